"""An answer through tokentape, streamed with Anthropic's SDK for Python; others can watch it as it is written."""

import os

from anthropic import Anthropic

client = Anthropic(api_key=os.environ["TOKENTAPE_KEY"], base_url=os.environ["TOKENTAPE_URL"])

with client.messages.stream(
    model=os.environ.get("MODEL", "claude-sonnet-4-5"),
    max_tokens=1000,
    messages=[{"role": "user", "content": "Why is the sky blue?"}],
) as stream:
    print("Watch it at", f"{client.base_url}v1/messages/{stream.response.headers['tokentape-run']}/stream")
    for text in stream.text_stream:
        print(text, end="", flush=True)
print()
