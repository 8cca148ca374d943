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
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Takes runs from now on."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._work(), name="tokentape-worker"),
            loop.create_task(self._appear(), name="tokentape-worker-presence"),
        ]

    async def aclose(self) -> None:
        """Takes nothing more; what it executes goes on."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._jobs.appear(self._name, None, seconds=0)

    async def _work(self) -> None:
        failures = 0
        while True:
            room = await self._executor.room(self._concurrency)
            try:
                if not await self._take_next():
                    await self._take_forgotten(room)
                failures = 0
            except TokentapeError as error:
                _log.warning("no runs can be taken: %s", error)
                await asyncio.sleep(_AGAIN.delay(failures, random.random()))  # noqa: S311 - jitter, not a secret
                failures += 1

    async def _take_next(self) -> bool:
        """Takes the run that has waited longest; False when the queue has nothing."""
        job = await self._jobs.take()
        if job is None:
            return False
        info = await self._registry.find(job.name)
        if info is not None:
            await self._taker.take(info, worker=True)
        # Whoever has it now has its lease, which says more than the queue.
        await self._jobs.finish(job)
        return True

    async def _take_forgotten(self, room: int) -> None:
        """The queue is empty: takes runs that wait all the same, because their entry was lost, or never put in."""
        for info in [*islice(self._taker.waiting(), room)]:
            if await self._taker.take(info, worker=True):
                _log.info("run %s waited, and was not in the queue", info.id)

    async def _appear(self) -> None:
        period = self._executor.custody.seconds / 2
        while True:
            news = WorkerNews(self._concurrency, len(self._executor.live))
            await self._jobs.appear(self._name, news, seconds=SHOWN * period)
            await asyncio.sleep(period)
