"""Runs that nobody executes: those that wait for a worker, that were handed over, or whose process died (P4, P7).

One rule for all of them: take the lease, then read the record to its end, then decide. With the lease nobody else can
write; whoever had it before has recorded what became of the run before letting go; so what the record says now is so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.errors import CursorGone, StreamClosed, StreamNotFound, TokentapeError
from tokentape.core.events import Event, decode_event
from tokentape.hub import Hub
from tokentape.runs.executor import Executor, kept, may_restart, next_attempt
from tokentape.runs.orders import Orders
from tokentape.runs.registry import Registry
from tokentape.runs.request import RunInfo
from tokentape.runs.runner import ending, terminal
from tokentape.stores.base import Fence

_log = logging.getLogger(__name__)

AT_A_TIME: Final = 32
"""Orphans that one process sees to at the same time: a process that dies may leave thousands."""
SCANS: Final = 5
"""Looks for dead leases in the time of a lease."""
FULL_SCAN: Final = 20
"""Every so many looks, runs are sought that have no lease at all: the store has lost it."""


class Taker:
    """Takes runs, and does with each what is to be done."""

    def __init__(
        self,
        hub: Hub,
        registry: Registry,
        executor: Executor,
        orders: Orders,
        *,
        max_live: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._executor = executor
        self._custody = executor.custody
        self._orders = orders
        self._max_live = max_live
        self._now = now
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Sees to what dead processes left behind, now and from now on."""
        await self.scan(full=True)
        self._task = asyncio.get_running_loop().create_task(self._scan_for_ever(), name="tokentape-orphans")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _scan_for_ever(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(self._custody.seconds / SCANS)
            turn += 1
            try:
                await self.scan(full=turn % FULL_SCAN == 0)
            except TokentapeError as error:
                _log.warning("orphans could not be looked for: %s", error)
            except Exception:  # noqa: BLE001 - nobody else might look
                _log.exception("orphans could not be looked for")

    async def scan(self, *, full: bool) -> None:
        """Sees to the runs of dead processes; a full look finds also those whose lease is lost."""
        index = self._registry.index
        orphans = {info.id: info for info in await self._custody.dead()}
        if full:
            # A run is on the index, or has a lease, or both: killed at any moment, one of them is left.
            names = await self._custody.names()
            lost = (info for info in index.unfinished() if not (_waits(info) or _handed_over(info)))
            orphans |= {info.id: info for info in lost if info.id not in names}
        found = [(info, True) for info in orphans.values()]
        if not self._is_full:
            found += [(info, False) for info in index.queued() if _handed_over(info) and info.id not in orphans]
        waiting = iter(found)
        while some := list(islice(waiting, AT_A_TIME)):
            await asyncio.gather(*(self._try(info, orphan=orphan) for info, orphan in some))

    async def _try(self, info: RunInfo, *, orphan: bool) -> None:
        try:
            await self.take(info, orphan=orphan)
        except TokentapeError as error:
            _log.warning("run %s, which nobody executes, could not be seen to yet: %s", info.id, error)
        except Exception:  # noqa: BLE001 - whatever is wrong with this one is not the others' trouble
            _log.exception("run %s, which nobody executes, could not be seen to", info.id)

    async def take(self, info: RunInfo, *, orphan: bool = False, worker: bool = False) -> bool:
        """Takes a run that nobody executes; False when somebody does, be it this process.

        An `orphan` was in the hands of a process that died. Only a `worker` executes what waits for one.
        """
        fence = await self._custody.take(info)
        if fence is None:
            return False
        try:
            await self._registry.catch_up()
            known = self._registry.index.get(info.id)
            if known is None:
                await self._settle_unknown(info, fence)
            if known is None or not await self._settle(known, fence, orphan=orphan, worker=worker):
                await self._custody.give_back(fence)
        except BaseException:
            # The lease will run out, and the next one who looks begins where this one was.
            self._custody.let_go(fence)
            raise
        return True

    async def _settle_unknown(self, info: RunInfo, fence: Fence) -> None:
        """Of a run with a lease and no record."""
        if await self._has_begun(info):
            # It has lived for so long that its record is no longer kept.
            await self._end(info, fence, "interrupted", "process_died")
            return
        # Its process died before it was recorded, so nobody was told of it, and whoever asked asks again.
        if info.owns_stream:
            with suppress(StreamNotFound):
                await self._hub.delete(info.stream)
        await self._orders.drop(info.id)

    async def _settle(self, info: RunInfo, fence: Fence, *, orphan: bool, worker: bool) -> bool:
        """Decides; False when the lease is to be given back."""
        if info.state == "done":
            return False
        # Nobody lets go of a run while it says so: however it came here, its process died.
        orphan = orphan or info.state == "running"
        stop = self._registry.index.stop_of(info.id)
        if stop is not None:
            await self._end(info, fence, "stopped", stop)
            return False
        if (orphan and not may_restart(info)) or not kept(info):
            await self._end(info, fence, "interrupted", "process_died")
            return False
        if self._is_full or (info.queue and not worker):
            if orphan and not await self._is_over(info):
                await self._executor.release(next_attempt(info), fence)
                return True
            return False
        return await self._execute(next_attempt(info) if orphan else info, fence)

    @property
    def _is_full(self) -> bool:
        return self._executor.draining or len(self._executor.live) >= self._max_live

    async def _execute(self, info: RunInfo, fence: Fence) -> bool:
        written = await self._written(info)
        if written.end is not None:
            await self._record_end(info, *written.end)
            return False
        request = await self._orders.find(info.id)
        if request is None:
            await self._end(info, fence, "interrupted", "request_lost")
            return False
        try:
            attempts = self._executor.attempts(request, None)
        except TokentapeError as error:
            await self._end(info, fence, "error", None, error)
            return False
        if info.attempt > 1:
            _log.info("run %s begins its attempt %d here", info.id, info.attempt)
        self._executor.launch(info, request, attempts, fence, again=written.begun)
        return True

    # What a stream says of a run

    async def _is_over(self, info: RunInfo) -> bool:
        written = await self._written(info)
        if written.end is not None:
            await self._record_end(info, *written.end)
        return written.end is not None

    async def _written(self, info: RunInfo) -> _Written:
        """Whether the run has begun on its stream, and how it ended there: its process may have died right after."""
        if info.attempt == 1 and info.state == "queued":
            return _Written(begun=False, end=None)
        try:
            return await self._look(info, Cursor.parse(info.cursor).offset if info.cursor else 0)
        except (StreamNotFound, CursorGone):
            # Its beginning is no longer kept, so it has begun.
            return _Written(begun=True, end=None)

    async def _has_begun(self, info: RunInfo) -> bool:
        """Whether there is anything of it on its stream, wherever that began."""
        try:
            stream = await self._hub.store.info(info.stream)
            return (await self._look(info, stream.first - 1)).begun
        except StreamNotFound:
            return False

    async def _look(self, info: RunInfo, at: int) -> _Written:
        begun = False
        while True:
            page = await self._hub.store.read(info.stream, at)
            for offset, record in page.records:
                at = offset
                event = decode_event(record)
                if event.run == info.id:
                    begun = True
                    if event.type == "done":
                        return _Written(begun=True, end=(str(Cursor(page.epoch, offset)), event))
            if not page.records or at >= page.last:
                return _Written(begun, None)

    async def _end(
        self, info: RunInfo, fence: Fence, reason: str, detail: str | None, error: TokentapeError | None = None
    ) -> None:
        """Records the end of a run that nobody executes, unless its process had done so and died right after."""
        at = int(self._now() * 1000)
        done: dict[str, Any] = {"reason": reason}
        if detail is not None:
            done["detail"] = detail
        events = ending(info.id, done, error.as_dict() if error is not None else None, at=at)
        end, last = "", events[-1]
        try:
            appended = await self._hub.append(terminal(info, events, fence=fence), events)
            end = str(Cursor(appended.epoch, appended.offsets[-1]))
            if appended.offsets[-1] < appended.first:
                page = await self._hub.store.read(info.stream, appended.offsets[-1] - 1, max_records=1)
                last = decode_event(page.records[0][1])
        except (StreamNotFound, StreamClosed) as refusal:
            _log.warning("run %s ended before it began, or its stream is gone: %s", info.id, refusal)
        await self._record_end(info, end, last)

    async def _record_end(self, info: RunInfo, end: str, last: Event) -> None:
        done = last.data
        ended = msgspec.structs.replace(
            info, state="done", end=end, reason=done["reason"], usage=done.get("usage"), ended_at=last.at
        )
        await self._registry.changed(ended)
        if kept(info):
            await self._orders.drop(info.id)

    def waiting(self) -> Iterable[RunInfo]:
        """The runs that wait for a worker, in their order."""
        return (info for info in self._registry.index.queued() if _waits(info))


class _Written(NamedTuple):
    begun: bool
    end: tuple[str, Event] | None


def _waits(info: RunInfo) -> bool:
    """Whether it waits for a worker; then it has no lease, and is no orphan."""
    return info.state == "queued" and bool(info.queue)


def _handed_over(info: RunInfo) -> bool:
    """Whether it waits for any process that executes runs of its own, and has no lease until one takes it."""
    return info.state == "queued" and info.attempt > 1 and not info.queue
