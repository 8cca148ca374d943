"""A worker: takes runs from the queue while it has room, and shows that it is there."""

from __future__ import annotations

import asyncio
import logging
import random
from itertools import islice
from typing import Final

from tokentape.core.backoff import Backoff
from tokentape.core.errors import TokentapeError
from tokentape.runs.executor import Executor
from tokentape.runs.jobs import Jobs, WorkerNews
from tokentape.runs.registry import Registry
from tokentape.runs.taking import Taker
from tokentape.stores.base import Job

_log = logging.getLogger(__name__)

_AGAIN: Final = Backoff(base=0.1, cap=5.0)
SHOWN: Final = 3
"""A worker is taken for gone when it has missed so many chances to show itself."""


class Worker:
    """Executes up to `concurrency` runs at a time, beside those that it may have otherwise."""

    def __init__(
        self, jobs: Jobs, registry: Registry, executor: Executor, taker: Taker, *, name: str, concurrency: int
    ) -> None:
        self._jobs = jobs
        self._registry = registry
        self._executor = executor
        self._taker = taker
        self._name = name
        self._concurrency = concurrency
        self._working: asyncio.Task[None] | None = None
        self._appearing: asyncio.Task[None] | None = None
        self._waiting = False
        self._closing = False

    def open(self) -> None:
        """Takes runs from now on."""
        loop = asyncio.get_running_loop()
        self._working = loop.create_task(self._work(), name="tokentape-worker")
        self._appearing = loop.create_task(self._appear(), name="tokentape-worker-presence")

    async def aclose(self) -> None:
        """Takes nothing more; what it executes goes on."""
        if self._working is None or self._appearing is None:
            return
        self._closing = True
        if self._waiting:
            # In the midst of taking a run it would leave a lease behind, which others had to wait for.
            self._working.cancel()
        self._appearing.cancel()
        await asyncio.gather(self._working, self._appearing, return_exceptions=True)
        await self._jobs.appear(self._name, None, seconds=0)

    async def _work(self) -> None:
        failures = 0
        while not self._closing:
            self._waiting = True
            try:
                room = await self._executor.room(self._concurrency)
                job = await self._jobs.take()
                self._waiting = False
                if job is not None:
                    await self._take(job)
                else:
                    await self._take_forgotten(room)
            except TokentapeError as error:
                _log.warning("no runs can be taken: %s", error)
            except Exception:  # noqa: BLE001 - as it says: the next run may be a better one
                _log.exception("a run could not be taken")
            else:
                failures = 0
                continue
            self._waiting = True
            await asyncio.sleep(_AGAIN.delay(failures, random.random()))  # noqa: S311 - jitter, not a secret
            failures += 1

    async def _take(self, job: Job) -> None:
        info = await self._registry.find(job.name)
        if info is not None and job.again:
            await self._registry.catch_up()
            info = self._registry.index.get(job.name)
        if info is not None and info.state == "queued":
            await self._taker.take(info, worker=True)
        # Whoever has it now has its lease, which says more than the queue. One that runs is only taken from the dead,
        # by those who look for orphans: they know when everybody stood still.
        await self._jobs.finish(job)

    async def _take_forgotten(self, room: int) -> None:
        """The queue is empty: takes runs that wait all the same, because their entry was lost, or never put in."""
        for info in [*islice(self._taker.waiting(), room)]:
            if not self._closing and await self._taker.take(info, worker=True):
                _log.info("run %s waited, and was not in the queue", info.id)

    async def _appear(self) -> None:
        period = self._executor.custody.seconds / 2
        while True:
            news = WorkerNews(self._concurrency, len(self._executor.live))
            await self._jobs.appear(self._name, news, seconds=SHOWN * period)
            await asyncio.sleep(period)
