"""How many stand before a run that waits: told to its watchers, on every instance, while it changes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from tokentape.core.errors import TokentapeError
from tokentape.core.events import Event
from tokentape.hub import Hub
from tokentape.runs.index import RunIndex
from tokentape.runs.jobs import Jobs
from tokentape.runs.request import RunInfo

_log = logging.getLogger(__name__)

SECONDS: Final = 1.0
"""How often a watcher is told, at most."""
PATIENCE: Final = 5.0
"""Seconds that a run waits before somebody looks whether there are workers at all."""


class Positions:
    """Tells watchers of this process; the same on each process, since each knows the order from `$runs`."""

    def __init__(self, hub: Hub, index: RunIndex, jobs: Jobs, *, now: Callable[[], float] = time.time) -> None:
        self._hub = hub
        self._index = index
        self._jobs = jobs
        self._now = now
        self._told: dict[str, tuple[int, int]] = {}
        self._alone_since: float | None = None
        self._warned = False
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._tell_for_ever(), name="tokentape-positions")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tell_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SECONDS)
            queued = self._index.queued()
            self._tell(queued)
            try:
                await self._look_for_workers(queued)
            except TokentapeError as error:
                _log.warning("whether there are workers cannot be told: %s", error)

    def _tell(self, queued: list[RunInfo]) -> None:
        told = {}
        for position, info in enumerate(queued):
            audience = self._hub.audience(info.stream)
            if not audience:
                continue
            known, before = self._told.get(info.id, (None, 0))
            # Somebody who has come since must be told, too.
            if position != known or audience > before:
                data = {"state": "queued", "position": position}
                # Each process tells its own watchers: all of them know the order.
                self._hub.show(info.stream, Event(type="status", run=info.id, data=data, at=int(self._now() * 1000)))
            told[info.id] = (position, audience)
        self._told = told

    async def _look_for_workers(self, queued: list[RunInfo]) -> None:
        """Says in the log when runs wait for workers and there are none, and when there are some again."""
        waiting = [info for info in queued if info.queue]
        if not waiting:
            self._alone_since = None
            return
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
        if now - self._alone_since < PATIENCE:
            return
        self._alone_since = now
        workers = await self._jobs.workers()
        if not workers and not self._warned:
            _log.warning(
                "%d runs wait, and no worker is there: start some with `tokentape worker`, with the same store",
                len(waiting),
            )
        elif workers and self._warned:
            _log.info("there are workers again: %d", len(workers))
        self._warned = not workers
