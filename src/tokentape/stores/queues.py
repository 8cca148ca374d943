"""Queues within one process: for tests of whatever works through a queue."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

from tokentape.stores.base import MAX_JOBS, Job

NEVER: Final = float("-inf")
"""When an entry was taken that nobody has taken yet."""


class LocalQueues:
    """The `Queueing` capability, kept in memory."""

    between_processes = False

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._queue_clock = monotonic
        self._jobs: dict[str, dict[str, tuple[str, float]]] = {}
        self._receipts = itertools.count(1)
        self._job_added = asyncio.Event()

    async def put_job(self, queue: str, name: str) -> None:
        """Adds an entry at the end."""
        jobs = self._jobs.setdefault(queue, {})
        jobs[str(next(self._receipts))] = (name, NEVER)
        if len(jobs) > MAX_JOBS:
            del jobs[next(iter(jobs))]
        self._job_added.set()

    async def take_job(self, queue: str, *, seconds: float, again: float) -> Job | None:
        """The entry that has waited longest; see `Queueing.take_job`."""
        try:
            async with asyncio.timeout(seconds):
                while (job := self._take(queue, again)) is None:
                    self._job_added.clear()
                    await self._job_added.wait()
                return job
        except TimeoutError:
            return self._take(queue, again)

    async def finish_job(self, queue: str, job: Job) -> None:
        """Removes an entry that was taken."""
        self._jobs.get(queue, {}).pop(job.receipt, None)

    async def count_jobs(self, queue: str) -> int:
        """How many entries there are, taken or not."""
        return len(self._jobs.get(queue, {}))

    def _take(self, queue: str, again: float) -> Job | None:
        now = self._queue_clock()
        for receipt, (name, taken_at) in self._jobs.get(queue, {}).items():
            if now >= taken_at + again:
                self._jobs[queue][receipt] = (name, now)
                return Job(receipt, name, again=taken_at != NEVER)
        return None
