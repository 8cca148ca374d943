"""What reading a provider's stream costs: µs of CPU per token, from the socket up to what is handed to the store.

    python benchmarks/provider.py [--streams 200 1000] [--rounds N] [--seconds S] [--readers NAME …]

`NAME@FOLDER` measures the same with the tokentape of another checkout's `src`.

Each reader is a process of its own on one core; the harness's upstream, in OpenAI's format, has the other.
`raw` is the floor in Python: a protocol that parses with httptools and msgspec, and makes nothing of it. `aiohttp`
throws what it reads away. `run` is ours: a provider and a run, with a store that takes everything and keeps nothing;
`pull` is the same provider through its generator, without a run. Rounds are interleaved, and medians are printed:
compare within one table only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import httptools
import msgspec
import uvloop

from harness.cores import choose, raise_descriptors
from harness.drive import Upstream
from harness.place import Place
from tokentape.core.events import Event
from tokentape.providers.base import Generation, Timeouts
from tokentape.providers.openai import OpenAIProvider
from tokentape.runs.request import RunInfo
from tokentape.runs.runner import Attempt, Runner
from tokentape.stores.base import Append, Appended, Fence

RATE = 50
"""Tokens per second and stream."""
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": True}).encode()
GENERATION = Generation(model="m", messages=[{"role": "user", "content": "?"}])


# The readers: each reads one stream until it is cancelled, and counts

count = 0


class Chunk(msgspec.Struct):
    choices: list[Choice]


class Choice(msgspec.Struct):
    delta: Delta


class Delta(msgspec.Struct):
    content: str | None = None


class Raw(asyncio.Protocol):
    """The floor: each part of the body is taken for one event."""

    decode = staticmethod(msgspec.json.Decoder(Chunk).decode)

    def connection_made(self, transport: Any) -> None:
        self.parse = httptools.HttpResponseParser(self).feed_data
        transport.write(b"POST / HTTP/1.1\r\nHost: u\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY))

    def data_received(self, data: bytes) -> None:
        self.parse(data)

    def on_body(self, body: bytes) -> None:
        global count  # noqa: PLW0603 - the cheapest count there is
        if self.decode(body[6:]).choices[0].delta.content:
            count += 1


async def raw(port: int) -> None:
    transport, _ = await asyncio.get_running_loop().create_connection(Raw, "127.0.0.1", port)
    try:
        await asyncio.Event().wait()
    finally:
        transport.close()


async def discard(port: int, session: aiohttp.ClientSession) -> None:
    global count  # noqa: PLW0603
    async with session.post(f"http://127.0.0.1:{port}/", data=BODY) as response:
        async for chunk in response.content.iter_any():
            count += chunk.count(b"\n\n")


class Pen:
    """A writer whose store takes everything at once."""

    error = None
    full = False

    def put(self, events: Sequence[Event]) -> None:
        global count  # noqa: PLW0603
        count += len(events)

    async def flush(self) -> None:
        return


class Nowhere:
    """A hub with no store behind it."""

    def writer(self, stream: str, *, fence: Fence) -> Pen:  # noqa: ARG002
        return Pen()

    async def append(self, item: Append, events: Sequence[Event]) -> Appended:  # noqa: ARG002
        return Appended("e", 1, len(events), closed=True, offsets=range(1, len(events) + 1))


async def run(number: int, provider: OpenAIProvider) -> None:
    async def changed(_info: RunInfo) -> None: ...

    info = RunInfo(id=f"r_{number}", stream=f"runs/r_{number}", model="m", state="starting", created_at=1)
    attempt = Attempt("m", provider, GENERATION, Timeouts(), 0)
    await Runner(Nowhere(), info, [attempt], fence=Fence("l", 1), now=time.time).execute(changed)


async def pull(provider: OpenAIProvider) -> None:
    global count  # noqa: PLW0603
    async for parts in provider.generate(GENERATION, Timeouts()):
        count += len(parts)


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def measure(reader: str, port: int, streams: int, seconds: float) -> SimpleNamespace:
    """Opens the streams, then counts over `seconds`."""
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None))
    provider = OpenAIProvider(base_url=f"http://127.0.0.1:{port}/v1")
    make: dict[str, Callable[[int], Awaitable[None]]] = {
        "raw": lambda _: raw(port),
        "aiohttp": lambda _: discard(port, session),
        "pull": lambda _: pull(provider),
        "run": lambda number: run(number, provider),
    }
    before = resident()
    tasks = []
    for number in range(streams):
        tasks.append(asyncio.ensure_future(make[reader](number)))
        if number % 50 == 49:
            await asyncio.sleep(0.02)
    await asyncio.sleep(1.5)
    tokens, busy, wall = count, cpu(), time.perf_counter()
    await asyncio.sleep(seconds)
    tokens, busy, wall = count - tokens, cpu() - busy, time.perf_counter() - wall
    size = (resident() - before) / streams
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    await session.close()
    await provider.aclose()
    return SimpleNamespace(
        micros=busy / tokens * 1e6, share=tokens / (streams * RATE * wall), load=busy / wall, kilobytes=size / 1024
    )


# All of them, by turns


def read_in_child(place: Place, name: str, *arguments: object) -> dict[str, float]:
    kind, _, source = name.partition("@")
    command = [sys.executable, __file__, "--reader", kind, *map(str, arguments)]
    done = subprocess.run(
        ["taskset", "--cpu-list", str(place.cores.server), *command],
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    return json.loads(done.stdout)


def compare(options: argparse.Namespace) -> None:
    raise_descriptors()
    place = Place(root=Path(__file__).resolve().parents[1], cores=choose(os.sched_getaffinity(0)))
    if reason := place.not_ready():
        sys.exit(reason)
    with Upstream(place, rate=RATE, tokens=1_000_000_000) as upstream:
        for streams in options.streams:
            found: dict[str, list[dict[str, float]]] = {name: [] for name in options.readers}
            for _ in range(options.rounds):
                for name, rounds in found.items():
                    rounds.append(read_in_child(place, name, upstream.port, streams, options.seconds))
            show(streams, found)


def show(streams: int, found: dict[str, list[dict[str, float]]]) -> None:
    print(f"\n{streams} streams, {RATE} tokens per second each")
    print(f"{'reader':20} {'CPU µs':>7} {'range':>13} {'to first':>8} {'tokens':>7} {'core':>5} {'KB each':>8}")
    first = None
    for name, rounds in found.items():
        each = [figures["micros"] for figures in rounds]
        middle = {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}
        first = first or middle["micros"]
        print(
            f"{name[-20:]:20} {middle['micros']:7.2f} {min(each):6.2f}–{max(each):<6.2f} "
            f"{middle['micros'] / first:8.2f} {middle['share']:7.1%} {middle['load']:5.0%} {middle['kilobytes']:8.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--readers", nargs="+", default=["raw", "aiohttp", "pull", "run"])
    parser.add_argument("--reader", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reader:
        name, port, streams, seconds = options.reader
        print(json.dumps(vars(uvloop.run(measure(name, int(port), int(streams), float(seconds))))))
    else:
        compare(options)


if __name__ == "__main__":
    main()
