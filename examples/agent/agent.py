"""An agent on a channel: it answers what is said there, and whoever speaks in mid-answer interrupts it.

    tokentape serve
    python agent.py

It keeps nothing of its own: what was said, and whether an answer is being given, it reads from the channel. So it can
be killed at any moment, and the next one goes on where it was.
"""

import asyncio
import os
import sys
from contextlib import suppress

from tokentape import TokentapeError
from tokentape.client import Client, Publish

URL = os.environ.get("TOKENTAPE_URL", "http://127.0.0.1:8000")
TURNS = 50
"""How much of the conversation the model is given."""


async def main(channel: str) -> None:
    async with Client(URL, transport="ws") as client:
        page = await client.messages(channel, limit=1)
        await status(client, channel, "here")
        await answer(client, channel)  # what was said while nobody was here
        async for item in client.watch(channel, page.cursor):
            if item.event.type == "message":
                await answer(client, channel)


async def answer(client: Client, channel: str) -> None:
    """Answers what was said last. An answer that is still being given is stopped, and what it has said is kept."""
    said = (await client.messages(channel, limit=TURNS)).items[::-1]
    if not said or said[-1].role != "user":
        return
    messages = [{"role": message.role, "content": message.content} for message in said if message.state != "running"]
    request = {"channel": channel, "messages": messages}
    running = next((message.run for message in said if message.state == "running"), None)
    if running is not None:
        # One step: the server stops that run, puts what it has said before the last message, and starts this one.
        request["replaces"] = running
        await status(client, channel, "interrupting", run=running)
    await status(client, channel, "thinking", turns=len(messages))
    try:
        # The key makes it one answer, also when two agents have heard the question.
        await client.start(request, idempotency_key=f"{channel}@{said[-1].last}")
    except TokentapeError as error:
        if error.code != "run_conflict":
            raise


async def status(client: Client, channel: str, state: str, **more: object) -> None:
    """Tells those who watch at this moment what the agent does; nobody needs it later."""
    await client.publish(channel, Publish(type="status", data={"state": state, **more}, persist=False))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "talk"))
