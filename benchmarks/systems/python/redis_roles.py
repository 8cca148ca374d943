"""One process of the Redis benchmark: it makes tokens, or watches them, in tokentape's way or as people write it.

    roles.py writer|watcher tokentape|naive URL RUNS RATE

Obeys lines on stdin with lines of JSON on stdout: `streams NAME…` (for a watcher), `go`, `begin` (a window), `report`.
"Naive" is one XADD and one PUBLISH per token, in one pipeline, and one subscription for each watcher's stream.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import uvloop
from redis.asyncio import Redis

from tokentape import Tape
from tokentape.server.serve import GC_THRESHOLDS

PAD = "x" * 12
"""A token is a moment in nanoseconds and this: 32 bytes of text, about 90 as an event."""


class Figures:
    """What was seen in a window."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.count = 0
        self.latencies: list[float] = []
        self.cpu = cpu()

    def saw(self, text: str) -> None:
        now = time.monotonic_ns()
        for token in text.split():
            self.latencies.append((now - int(token.partition("-")[0])) / 1e6)

    def report(self) -> dict[str, Any]:
        times = sorted(self.latencies)
        found = {"made": self.count, "seen": len(times), "cpu": cpu() - self.cpu}
        if times:
            found |= {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100], "max": times[-1]}
        return found


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def tokens(go: asyncio.Event, figures: Figures, number: int, runs: int, rate: int) -> AsyncIterator[str]:
    """One run's tokens, at a steady rate, each run a little later than the one before."""
    await go.wait()
    start = time.monotonic() + number / runs / rate
    turn = 0
    while True:
        await asyncio.sleep(start + turn / rate - time.monotonic())
        turn += 1
        figures.count += 1
        yield f"{time.monotonic_ns()}-{PAD} "


class Process:
    """Carries out what stdin says."""

    def __init__(self, url: str, runs: int, rate: int) -> None:
        self.url, self.runs, self.rate = url, runs, rate
        self.figures = Figures()
        self.go = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Any) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    async def obey(self, watch: Any) -> None:
        reader = asyncio.StreamReader(limit=1 << 20)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := (await reader.readline()).decode().split():
            if line[0] == "quit":
                break
            answer: dict[str, Any] = {"ok": True}
            if line[0] == "streams":
                for name in line[1:]:
                    self.spawn(watch(name))
            elif line[0] == "go":
                self.go.set()
            elif line[0] == "begin":
                self.figures.begin()
            elif line[0] == "report":
                answer = self.figures.report()
            say(answer)
        os._exit(0)  # endless runs and watchers go with the process


async def tokentape(process: Process, role: str) -> None:
    async with Tape(process.url) as tape:

        async def watch(name: str) -> None:
            async for item in tape.read(name):
                if item.event.type == "token":
                    process.figures.saw(item.event.data)

        streams = []
        for number in range(process.runs if role == "writer" else 0):
            source = tokens(process.go, process.figures, number, process.runs, process.rate)
            streams.append((await tape.record(source)).info.stream)
        say({"streams": streams})
        await process.obey(watch)


async def naive(process: Process, role: str) -> None:
    async with Redis.from_url(process.url, protocol=2) as client:

        async def watch(name: str) -> None:
            async with client.pubsub() as pubsub:
                await pubsub.subscribe(f"channel:{name}")
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        process.figures.saw(json.loads(message["data"])["data"])

        async def write(name: str, number: int) -> None:
            async for token in tokens(process.go, process.figures, number, process.runs, process.rate):
                event = json.dumps({"type": "token", "data": token, "run": name, "at": int(time.time() * 1000)})
                async with client.pipeline(transaction=False) as pipeline:
                    pipeline.xadd(f"stream:{name}", {"event": event})
                    pipeline.publish(f"channel:{name}", event)
                    await pipeline.execute()

        streams = [f"r_{number:010}" for number in range(process.runs)] if role == "writer" else []
        for number, name in enumerate(streams):
            process.spawn(write(name, number))
        say({"streams": streams})
        await process.obey(watch)


def settle() -> None:
    """As `tokentape serve` does: what was imported is never looked at again by the garbage collector."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def main() -> None:
    role, system, url, runs, rate = sys.argv[1:]
    settle()
    serve = {"tokentape": tokentape, "naive": naive}[system]
    uvloop.run(serve(Process(url, int(runs), int(rate)), role))


if __name__ == "__main__":
    main()
