"""The writer: appends go to Redis in rounds, each with everything that was waiting when it began, in one write."""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from tokentape.core.errors import StoreUnavailable, TokentapeError
from tokentape.stores.base import Append, Appended
from tokentape.stores.redis.calls import Head, calls
from tokentape.stores.redis.entries import UNSURE, Entry, refusal
from tokentape.stores.redis.errors import explain, may_pass, was_refused
from tokentape.stores.redis.keys import Keys
from tokentape.stores.redis.link import Attempts, Link
from tokentape.stores.redis.scripts import FENCE

log = logging.getLogger("tokentape.store")

MAX_ENTRIES: Final = 256
MAX_BYTES: Final = 8_388_608
"""A round takes no further batch once it has this much: a few milliseconds of this process, and of Redis."""
_HELD: Final = 1000
"""Milliseconds for which a lease is held at the least when it was looked up for an append to another node."""

Answer = list[Appended | TokentapeError]


class Writer:
    """Appends batches in the order of the calls, over one connection per node; for one event loop.

    A round whose connection breaks is sent again, for as long as the store's time-out allows. Redis knows what
    of it was done already (`by` in append.lua), so nothing is appended twice. While Redis is silent, batches wait:
    `max_queued` entries and `max_queued_bytes` at most, then `StoreUnavailable` is raised at once.
    """

    def __init__(
        self,
        link: Link,
        keys: Keys,
        *,
        origin: str,
        clock: Callable[[], tuple[Any, Any]],
        accepted: Callable[[Sequence[Entry]], None],
        max_queued: int,
        max_queued_bytes: int,
    ) -> None:
        self._link = link
        self._keys = keys
        self._origin = origin
        self._clock = clock
        self._accepted = accepted
        self._max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes
        self._queue: deque[tuple[list[Entry], Future[Answer]]] = deque()
        self._waiting = 0
        self._waiting_bytes = 0
        self._round = 0
        self._closing = False
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="tokentape-redis-writer")

    def append(self, batch: Sequence[Append]) -> Future[Answer]:
        """Hands a batch in; raises `StoreUnavailable` when too much is waiting already."""
        if self._closing:
            raise StoreUnavailable("The store is closed.")
        entries = [Entry(append) for append in batch]
        size = sum([entry.size for entry in entries])
        if self._waiting and (
            self._waiting + len(entries) > self._max_queued or self._waiting_bytes + size > self._max_queued_bytes
        ):
            raise StoreUnavailable(f"{self._waiting} appends are waiting for Redis. Try again later.")
        self._waiting += len(entries)
        self._waiting_bytes += size
        future: Future[Answer] = self._loop.create_future()
        self._queue.append((entries, future))
        self._wake.set()
        return future

    async def finish(self) -> None:
        """Takes in nothing more, and waits until what was handed in is done, or has failed."""
        self._closing = True
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._serve(self._group())
            if self._closing:
                return

    def _group(self) -> list[tuple[list[Entry], Future[Answer]]]:
        group: list[tuple[list[Entry], Future[Answer]]] = []
        count = size = 0
        while self._queue and (not group or (count < MAX_ENTRIES and size < MAX_BYTES)):
            group.append(self._queue.popleft())
            count += len(group[-1][0])
            size += sum([entry.size for entry in group[-1][0]])
        return group

    async def _serve(self, group: list[tuple[list[Entry], Future[Answer]]]) -> None:
        entries = [entry for batch, _ in group for entry in batch]
        try:
            await self._append(entries)
        except Exception as error:  # a mistake of ours must not leave callers waiting for ever
            log.exception("the Redis store failed at appending")
            for entry in entries:
                entry.result = entry.result or _explain_bug(error)
        self._waiting -= len(entries)
        self._waiting_bytes -= sum([entry.size for entry in entries])
        for batch, future in group:
            if not future.done():
                _answer(future, [entry.result for entry in batch if entry.result is not None])
        self._accepted(entries)

    async def _append(self, entries: Sequence[Entry]) -> None:
        """One round: until each entry has its result."""
        self._round += 1
        for index, entry in enumerate(entries):
            entry.index = index
        attempts = Attempts(self._link.target.timeout)
        repeated = False
        while todo := [entry for entry in entries if entry.result is None]:
            errors = await self._look_up_fences(todo)
            answers = errors or await self._send(todo, repeated=repeated)
            _settle(todo, answers)
            _fail(todo, answers, self._link.where, hopeless=True)
            failed = [answer for entry, answer in zip(todo, answers, strict=True) if entry.result is None]
            if failed and not await attempts.again():
                _fail(todo, answers, self._link.where, hopeless=False)
            elif failed:
                await self._link.mend(failed)
                repeated = repeated or not all(map(was_refused, failed))

    async def _send(self, entries: list[Entry], *, repeated: bool) -> list[Any]:
        """One attempt: an answer or an exception for each entry, which are brought into the order of the answers."""
        head = Head(self._clock(), self._origin, self._round, repeated)
        made = calls(entries, head, self._keys, spread=self._link.is_cluster)
        entries[:] = [entry for call in made for entry in call.entries]
        got = await self._link.send([call.command for call in made])
        return [answer for call, answer in zip(made, got, strict=True) for answer in call.answers(answer)]

    async def _look_up_fences(self, entries: Sequence[Entry]) -> list[Any]:
        """In a cluster, leases live on one node and streams on all: the script is told until when the lease is held.

        A lease that is given back or taken anew by its own holder within this moment is not noticed; one that is
        taken by somebody else is, since it must have ended first.
        """
        fenced = [entry for entry in entries if entry.append.fence is not None]
        if not self._link.is_cluster or not fenced:
            return []
        answers = await self._link.send([
            FENCE.command((self._keys.leases,), *self._clock(), *entry.append.fence, _HELD)  # type: ignore[misc]
            for entry in fenced
        ])  # fmt: skip
        for entry, answer in zip(fenced, answers, strict=True):
            if isinstance(answer, BaseException):
                return [answer] * len(entries)
            entry.lease_ends = int(answer)
        return []


def _answer(future: Future[Answer], results: Answer) -> None:
    """Raises where Redis could take nothing at all, as other stores do; else each entry has a result of its own."""
    lost = [result for result in results if isinstance(result, StoreUnavailable)]
    if lost and len(lost) == len(results):
        future.set_exception(lost[0])
    else:
        future.set_result(results)


def _settle(entries: Sequence[Entry], answers: Sequence[Any]) -> None:
    """Gives each entry its answer. Those that got an exception may have to be sent again.

    One whose successor on the same stream was accepted meanwhile must not come after it.
    """
    failed: dict[str, list[Entry]] = {}
    for entry, answer in zip(entries, answers, strict=True):
        if isinstance(answer, BaseException):
            failed.setdefault(entry.append.stream, []).append(entry)
            continue
        entry.settle(answer)
        for earlier in failed.pop(entry.append.stream, ()) if isinstance(entry.result, Appended) else ():
            earlier.result = refusal(earlier.append, (UNSURE,))


def _fail(entries: Sequence[Entry], answers: Sequence[Any], where: str, *, hopeless: bool) -> None:
    """Gives up those that have no result yet: all, or (`hopeless`) those for which no further attempt can help."""
    for entry, answer in zip(entries, answers, strict=True):
        if entry.result is None and not (hopeless and may_pass(answer)):
            entry.result = explain(answer, where)


def _explain_bug(error: Exception) -> TokentapeError:
    """An error that nobody foresaw must not leave callers waiting for ever."""
    return StoreUnavailable(
        f"The store failed at appending ({type(error).__name__}): the operator finds more in the log."
    )
