"""What holds whatever happens to others (the base oracle of the connection faults).

While a fault is under way, a run goes on and some watch it. Afterwards each of them has the log, to the byte; the
process has neither grown beyond a bound nor kept a descriptor; and it still answers.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
from cutting import Seen, cut_sse, cut_websocket
from served import Served

from tokentape.client import Client

PATIENCE = 15
"""Seconds that a test waits for what must come, on a busy machine."""
LEAK_SECONDS = 5
"""After which nothing may be left of connections that have ended."""
MAX_DELAY = 3.0
"""Seconds that an event may take to a bystander, for 99 of 100: many times what it is on a busy machine.

For as long as this process itself stood still, with the machine or without it, is allowed on top.
"""
LOOK_SECONDS = 0.02
WHOLE = 10**12
RATE = 100
SPARE = 4
"""Descriptors that may come in between: the client of the test itself keeps some connections."""


class Bystander(Seen):
    """A watcher that knows how late each event was."""

    def __init__(self) -> None:
        super().__init__()
        self.delays: list[float] = []

    def take(self, cursor: str, event: dict) -> None:
        super().take(cursor, event)
        self.delays.append(time.time() - event["at"] / 1000)


class Footprint:
    """The memory and the descriptors of a process, from now on."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.descriptors = self._process.num_fds()
        self._before = self._peak = self._process.memory_info().rss
        self.stood_still = 0.0
        """Seconds for which nobody could look, at the most."""

    @property
    def opened(self) -> int:
        return self._process.num_fds() - self.descriptors

    @property
    def grown(self) -> int:
        """Bytes, at the worst moment."""
        return self._peak - self._before

    async def look(self) -> None:
        while True:
            self._peak = max(self._peak, self._process.memory_info().rss)
            looked = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            self.stood_still = max(self.stood_still, time.monotonic() - looked - LOOK_SECONDS)

    async def released(self, *, within: float) -> None:
        """Waits until what was opened is closed."""
        async with asyncio.timeout(within):
            while self.opened > SPARE:  # noqa: ASYNC110 - another process, which tells nobody
                await asyncio.sleep(0.05)


@asynccontextmanager
async def bystanders(server: Served, *, growth: int, delay: float = MAX_DELAY) -> AsyncIterator[Client]:
    """Watchers over both transports for as long as the fault lasts, which is the block.

    `growth` is what the process may grow by, in bytes; `delay` is for tests that keep themselves busy, and so see
    everything late.
    """
    async with server.client() as client:
        pace = {"rate": RATE, "tokens": 100_000, "seed": 3}
        run = await client.start({"messages": [{"role": "user", "content": "Go on"}], "simulated": pace})
        watching = [Bystander() for _ in range(4)]
        path = f"/v1/runs/{run.id}/events?merge=false"
        reading = asyncio.gather(
            *(cut_sse(server.port, path, seen, budget=WHOLE) for seen in watching[:2]),
            *(cut_websocket(server.port, run.stream, seen, budget=WHOLE, merge=False) for seen in watching[2:]),
        )
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(seen.until(10) for seen in watching))
        footprint = Footprint(server.pid)
        looking = asyncio.create_task(footprint.look())
        try:
            yield client
        finally:
            looking.cancel()
        await footprint.released(within=LEAK_SECONDS)
        assert footprint.grown <= growth, f"it grew by {footprint.grown} bytes"
        async with asyncio.timeout(PATIENCE):
            assert (await client.healthz())["status"] == "ok"
            await client.stop(run.id)
            await reading
        truth = [(i.cursor.offset, i.event) async for i in client.watch(run.stream, merge=False) if i.cursor]
        assert truth[-1][1].data["reason"] == "stopped"
        for place, seen in enumerate(watching):
            assert seen.ended, f"bystander {place} was cut after {seen.last} of {truth[-1][0]} events"
            assert [(offset, event["type"], event["data"]) for offset, event in seen.events] == [
                (offset, event.type, event.data) for offset, event in truth
            ]
            delays = sorted(seen.delays)
            late, most = delays[len(delays) * 99 // 100], delay + footprint.stood_still
            assert late < most, (
                f"p99 of bystander {place}: {late:.2f} s; this process stood still for {most - delay:.2f} s"
            )


async def watched_by(server: Served, stream: str, count: int, *, within: float = PATIENCE) -> float:
    """Waits until so many watch a stream; returns the seconds that it took."""
    started = time.monotonic()
    async with asyncio.timeout(within), server.client() as client:
        while True:
            page = await client.streams(prefix=stream)
            if sum(info.watchers for info in page if info.name == stream) == count:
                return time.monotonic() - started
            await asyncio.sleep(0.05)
