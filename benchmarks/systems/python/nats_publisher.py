"""Feeds NATS: publishes on the subject `bench`, and obeys the commands of `load publish`.

Unthrottled, each message is followed by a round trip (`flush`), as an HTTP publisher has one for each event: NATS does
not hold a publisher back for its subscribers, and cuts off those that fall behind.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import nats
import uvloop
from control import Tick, lines, say, ticks
from nats.aio.client import Client

SUBJECT = "bench"


async def publish(client: Client, events: AsyncGenerator[Tick, None], *, waits: bool) -> float:
    """Returns how many seconds it took until the server had them all."""
    began = time.perf_counter()
    async for _seq, text in events:
        await client.publish(SUBJECT, text.encode())
        if waits:
            await client.flush()
    await client.flush()
    return time.perf_counter() - began


def address() -> str:
    """Of the server's TCP side, from its configuration: it was started in the same working folder."""
    listen = re.search(r'^listen: "(.+)"$', Path("nats.conf").read_text("utf-8"), re.MULTILINE)
    if listen is None:
        raise SystemExit("nats.conf does not say where NATS listens")
    return f"nats://{listen[1]}"


async def main(server: str) -> None:
    client = await nats.connect(server)
    first, count = 1, 0
    publishing: asyncio.Task[float] | None = None
    async for line in lines():
        match line.split():
            case ["start", rate, number] if publishing is None or publishing.done():
                say(ok=True)
                count = int(number)
                events = ticks(first, count, float(rate))
                first += count
                publishing = asyncio.create_task(publish(client, events, waits=float(rate) == 0))
            case ["done", seconds] if publishing is not None:
                await asyncio.wait([publishing], timeout=float(seconds))
                if publishing.done():
                    say(published=count, seconds=round(publishing.result(), 6))
                else:
                    say(error=f"not all of {count} events are published after {seconds} s")
            case ["quit"]:
                return
            case _:
                say(error=f"cannot do {line!r} now")


if __name__ == "__main__":
    uvloop.run(main(address()))
