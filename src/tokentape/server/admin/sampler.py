"""One sample a second of what this process counts: the last ten minutes of it, and whoever wants the next one.

Everything is counted where it happens, whether anybody looks or not (`hub.metrics`, `runs.metrics`,
`transport.Connections`). Here the totals become rates, by subtraction, and the histograms percentiles of the last
seconds: some 200 µs once a second.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tokentape.core.metrics import Percentiles, Window
from tokentape.server.services import Services

if sys.platform != "win32":
    import resource

INTERVAL: Final = 1.0
KEPT: Final = 600
"""Samples: ten minutes."""
WINDOW: Final = 10
"""Samples that percentiles look back over."""


class Spread(msgspec.Struct, frozen=True):
    """Percentiles of `count` durations in milliseconds; null of none."""

    count: int
    p50: float | None
    p90: float | None
    p99: float | None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One second of this process. What happened is per second, what there is was at its end."""

    at: float
    """Seconds since the Unix epoch."""
    tokens: float
    """From providers."""
    events: float
    """Accepted by the store."""
    delivered: float
    """Events to watchers."""
    bytes_out: float
    """To watchers."""
    watchers: int
    connections: int
    runs: int
    """That this process executes."""
    cpu: float
    """Of one core; more than 1 with threads."""
    memory: int
    """Resident bytes."""
    ttft: Spread
    inter_token: Spread
    delivery: Spread
    """From the acceptance of an event until watchers who are up to date had been written to."""
    resumes: float
    """Watches that began."""
    reconnects: float
    """Of these, at a position that the client held."""


class _Totals(NamedTuple):
    at: float
    cpu: float
    tokens: int
    events: int
    delivered: int
    bytes_out: int
    resumes: int
    reconnects: int


class Sampler:
    """The samples of one process, from `open` to `close`."""

    def __init__(self, services: Services) -> None:
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self._services = services
        self._memory = _Memory()
        hub, runs = services.hub.metrics, services.runs.metrics
        self._ttft = Window(runs.ttft, looks=WINDOW)
        self._inter_token = Window(runs.inter_token, looks=WINDOW)
        self._delivery = Window(hub.delivery, looks=WINDOW)
        self._before = self._totals()
        self._task: asyncio.Task[None] | None = None
        self._next: asyncio.Future[Sample | None] | None = None

    def open(self) -> None:
        """Begins; without effect when it has."""
        if self._task is None:
            self._before = self._totals()
            self._task = asyncio.get_running_loop().create_task(self._run(), name="tokentape-sampler")

    async def close(self) -> None:
        """Ends, and tells those who wait for the next one."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._tell(None)

    @property
    def latest(self) -> Sample:
        """The newest one; before the first, one of this moment, that is not kept."""
        return self.samples[-1] if self.samples else self._sample(self._totals(), self._before)

    async def next(self) -> Sample | None:
        """The next one; None when there will be none."""
        if self._task is None:
            return None
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._next)

    def _tell(self, sample: Sample | None) -> None:
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done():
            waiting.set_result(sample)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            # By the clock, so that there is one for each second also when each is a little late.
            due = max(due + INTERVAL, loop.time())
            await asyncio.sleep(due - loop.time())
            now = self._totals()
            sample = self._sample(now, self._before)
            self._before = now
            self.samples.append(sample)
            self._tell(sample)

    def _totals(self) -> _Totals:
        hub, runs = self._services.hub.metrics, self._services.runs.metrics
        return _Totals(
            at=time.time(),
            cpu=time.process_time(),
            tokens=runs.tokens,
            events=hub.events,
            delivered=hub.delivered,
            bytes_out=hub.bytes_out,
            resumes=sum(hub.outcomes.values()),
            reconnects=hub.reconnects,
        )

    def _sample(self, now: _Totals, before: _Totals) -> Sample:
        seconds = max(now.at - before.at, 1e-3)

        def rate(name: str) -> float:
            change: float = getattr(now, name) - getattr(before, name)
            return round(change / seconds, 3)

        services = self._services
        return Sample(
            at=now.at,
            tokens=rate("tokens"),
            events=rate("events"),
            delivered=rate("delivered"),
            bytes_out=rate("bytes_out"),
            watchers=services.hub.watchers(),
            connections=services.connections.open,
            runs=services.runs.live(),
            cpu=rate("cpu"),
            memory=self._memory.resident(),
            ttft=_spread(self._ttft.look()),
            inter_token=_spread(self._inter_token.look()),
            delivery=_spread(self._delivery.look()),
            resumes=rate("resumes"),
            reconnects=rate("reconnects"),
        )


def _spread(found: Percentiles) -> Spread:
    return Spread(found.observations, *(None if value is None else round(value * 1000, 3) for value in found[1:]))


class _Memory:
    """What this process holds in memory, now where the system says it, else at its most."""

    def __init__(self) -> None:
        self._pages = Path("/proc/self/statm")
        self._page = os.sysconf("SC_PAGE_SIZE") if sys.platform != "win32" else 0

    def resident(self) -> int:
        try:
            return int(self._pages.read_bytes().split()[1]) * self._page
        except (OSError, IndexError, ValueError):
            if sys.platform == "win32":
                return 0
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return most if sys.platform == "darwin" else most * 1024
