"""Streams an answer through tokentape. When the connection breaks, it goes on after the last event that came."""

import os
import sys

from openai import APIConnectionError, OpenAI

client = OpenAI(base_url=os.environ.get("TAPE_URL", "http://127.0.0.1:8000/v1"))

events = client.responses.create(model="gpt-4o-mini", input=sys.argv[1], stream=True)
while True:
    try:
        for event in events:
            if event.type == "response.created":
                response = event.response
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
        break
    except APIConnectionError:
        events = client.responses.retrieve(response.id, stream=True, starting_after=event.sequence_number)
print()
