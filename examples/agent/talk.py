"""A conversation on a channel, in the terminal: what you type interrupts whoever is speaking.

python talk.py
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

from tokentape.client import Client, Notice, Opened, Publish

URL = os.environ.get("TOKENTAPE_URL", "http://127.0.0.1:8000")


async def main(channel: str) -> None:
    async with Client(URL, transport="ws") as client, asyncio.TaskGroup() as group:
        showing = group.create_task(show(client, channel))
        async for line in typed():
            await client.publish(channel, Publish(type="message", data={"role": "user", "content": line}))
        showing.cancel()


async def typed() -> AsyncIterator[str]:
    """What is typed, line by line."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        if text := line.decode(errors="replace").strip():
            yield text


async def show(client: Client, channel: str) -> None:
    """Prints what is on the channel: all that was said, and then what is being said."""
    async with client.watch(channel, "start", notify=connection) as watch:
        async for item in watch:
            match item.event.type, item.event.data:
                case "message", {"content": text}:
                    write(f"\n> {text}\n")
                case "token", text:
                    write(text)
                case "status", {"state": state, **more}:
                    write(f"\n[{' '.join([state, *map(str, more.values())])}]\n")
                case "error", {"message": text}:
                    write(f"\n[{text}]\n")
                case "done", {"reason": reason}:
                    write(f"\n[{reason}]\n")


def connection(notice: Notice) -> None:
    """A connection that is lost costs nothing but time."""
    write(
        "\n[connected]\n" if isinstance(notice, Opened) else f"\n[connection lost; again in {notice.seconds:.1f} s]\n"
    )


def write(text: str) -> None:
    print(text, end="", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "talk"))
