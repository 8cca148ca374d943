"""Streams an answer of OpenAI's. When the connection breaks, what was not read yet is lost, though it is paid for."""

import sys

from openai import OpenAI

client = OpenAI()

events = client.responses.create(model="gpt-4o-mini", input=sys.argv[1], stream=True)
for event in events:
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
print()
