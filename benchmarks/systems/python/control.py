"""What every Python server under test does beside serving: it makes events when its stdin says so.

Standard library only: it runs in the project's environment and in the peers'.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

EVENT_TEXT: Final = 60
_WORDS: Final = "the quick brown fox jumps over the lazy dog and goes home"

Tick = tuple[int, str]
"""The sequence number of an event, from 1, and its text."""
Play = Callable[[AsyncGenerator[Tick, None]], Awaitable[None]]
"""Takes events until there are none, and hands each to all watchers."""


def event_text(seq: int) -> str:
    """Some words, then the marker that the load client looks for."""
    marker = f"#{seq}@{time.monotonic_ns() // 1000};"
    return _WORDS[: max(0, EVENT_TEXT - len(marker))] + marker


async def ticks(first: int, count: int, rate: float, *, batch: int = 1) -> AsyncGenerator[Tick, None]:
    """Makes events at a rate, or (0) as fast as they are taken; the loop gets its turn after each `batch`.

    Whoever takes them too slowly gets what is due at once: the rate is kept on the whole.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    for index in range(count):
        wait = began + index / rate - clock() if rate else 0.0
        if wait > 0 or index % batch == 0:
            await asyncio.sleep(max(wait, 0.0))
        yield first + index, event_text(first + index)


def say(**answer: Any) -> None:
    """One line of JSON on stdout."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def ready(port: int, pid: int | None = None) -> None:
    """Tells the harness that connections are accepted, and whose CPU and memory count."""
    say(ready=True, port=port, pid=os.getpid() if pid is None else pid)


def arguments(own: Callable[[argparse.ArgumentParser], None] | None = None) -> argparse.Namespace:
    """`--port` (0 is any free one), of a proxy `--upstream` (the provider's origin), and what a system adds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--upstream", default="")
    if own is not None:
        own(parser)
    return parser.parse_args()


async def lines() -> AsyncGenerator[str, None]:
    """The lines of stdin, without blocking the loop."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


async def obey(play: Play, *, batch: int = 1) -> None:
    """Carries out what stdin says, until `quit` or its end."""
    first = 1
    playing: asyncio.Task[None] | None = None
    async for line in lines():
        match line.split():
            case ["start", rate, count] if playing is None or playing.done():
                say(ok=True)
                events = ticks(first, int(count), float(rate), batch=batch)
                first += int(count)
                playing = asyncio.create_task(_emit(play, events, int(count)))
            case ["quit"]:
                return
            case _:
                say(error=f"cannot do {line!r} now")


async def _emit(play: Play, events: AsyncGenerator[Tick, None], count: int) -> None:
    began = time.perf_counter()
    async with aclosing(events):
        await play(events)
    say(emitted=count, seconds=round(time.perf_counter() - began, 6))
