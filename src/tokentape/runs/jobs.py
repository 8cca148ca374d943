"""The queue of runs that wait for a worker, and who works.

An entry is a hint: that a run waits is on `$runs`, and who executes it is its lease. So an entry may come twice, late
or never; what is lost is found by a worker that has nothing to do.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from tokentape.core.errors import SetupError, TokentapeError
from tokentape.runs.request import RunInfo
from tokentape.stores.base import Job, Member, Presence, Store, between_processes

_log = logging.getLogger(__name__)

QUEUE: Final = "runs"
WORKERS: Final = "$workers"
"""Where workers are present."""
TAKE_SECONDS: Final = 2.0
"""How long one request for an entry waits; then a worker looks for runs that no entry names."""


class WorkerNews(msgspec.Struct, frozen=True):
    """What a worker says of itself."""

    concurrency: int
    busy: int


class Jobs:
    """Runs as entries of the store's queue, where it has one that processes share."""

    def __init__(self, store: Store, *, lease: float) -> None:
        """An entry that was taken and has led to nothing comes again after the time of a `lease`."""
        self._queue = store if between_processes(store) else None
        self._presence = store if isinstance(store, Presence) else None
        self._lease = lease

    def check(self) -> None:
        """Raises `SetupError` where no other process could take what is put in."""
        if self._queue is None:
            raise SetupError(
                "Workers need a store that processes share, and this one belongs to one process. "
                "Set `store` to redis://…, or `runs.execute` to 'inline'."
            )

    async def offer(self, info: RunInfo) -> None:
        """Tells the workers that a run waits; without effect for one that waits for no worker."""
        if self._queue is not None and info.queue:
            await self._queue.put_job(info.queue, info.id)

    async def take(self) -> Job | None:
        """An entry, when one comes within `TAKE_SECONDS`."""
        assert self._queue is not None, "checked first"
        return await self._queue.take_job(QUEUE, seconds=TAKE_SECONDS, again=self._lease)

    async def finish(self, job: Job) -> None:
        """Somebody has the run, or it has ended; the entry says nothing new."""
        assert self._queue is not None, "checked first"
        await self._queue.finish_job(QUEUE, job)

    async def appear(self, worker: str, news: WorkerNews | None, *, seconds: float) -> None:
        """Shows a worker for so long, or with None shows it no more."""
        if self._presence is None:
            return
        try:
            if news is None:
                await self._presence.untrack(WORKERS, worker)
            else:
                data: Any = msgspec.to_builtins(news)
                await self._presence.track(WORKERS, Member(worker, data), seconds=seconds)
        except TokentapeError as error:
            _log.warning("this worker cannot be shown to others: %s", error)

    async def workers(self) -> list[Member]:
        """The workers that are there now."""
        return await self._presence.members(WORKERS) if self._presence is not None else []
