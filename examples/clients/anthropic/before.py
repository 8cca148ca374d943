"""An answer from Anthropic's API, streamed with its SDK for Python."""

import os

from anthropic import Anthropic

client = Anthropic(api_key=os.environ["ANTHROPIC_API_KEY"])

with client.messages.stream(
    model=os.environ.get("MODEL", "claude-sonnet-4-5"),
    max_tokens=1000,
    messages=[{"role": "user", "content": "Why is the sky blue?"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
print()
