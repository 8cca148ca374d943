"""The write side: everything that is recorded in one turn of the loop goes to the store as one batch (group commit).

One batch is under way at a time; what comes meanwhile is the next one. So nothing waits per token, the
order of acceptance is the order of the calls, and a slow store makes larger batches, not more of them. And commits
take no more than a share of the time, beyond a burst: each costs the same whether it carries one token or fifty.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from tokentape.core.errors import StoreUnavailable, TokentapeError
from tokentape.core.events import Event, encode_event
from tokentape.core.merge import Entry
from tokentape.stores.base import Append, Appended, Fence, Store

_log = logging.getLogger(__name__)

MAX_BATCH: Final = 4096
"""Appends in one batch; bounds how long one commit can take."""
COMMIT_SHARE: Final = 0.3
"""Of the time, for commits, when they come one after the other."""
COMMIT_BURST: Final = 0.003
"""Seconds of commits that need no pause: what one caller does step by step goes at full speed."""
MAX_REST: Final = 0.008
"""Seconds that a batch waits at most for the one before to be paid for."""


class Recorder:
    """Collects appends and hands them to the store, in batches; tells `accepted` what the store took."""

    def __init__(self, store: Store, accepted: Callable[[str, Appended, Sequence[Entry]], None]) -> None:
        self._store = store
        self._accepted = accepted
        self._waiting: list[_Pending] = []
        self._dirty: dict[Writer, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._owed = 0.0
        self._owed_at = 0.0

    async def append(self, item: Append, events: Sequence[Event]) -> Appended:
        """Records events on a stream and waits until they are accepted; raises what the store answered.

        `item.records` is set here. Cancelling the caller does not cancel the append.
        """
        item.records = [encode_event(event) for event in events]
        answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Pending(item, events, answer))
        self._wake()
        return await asyncio.shield(answer)

    def writer(self, stream: str, *, fence: Fence | None = None, max_bytes: int = 1_048_576) -> Writer:
        """A writer for one run; `max_bytes` bounds what it may have handed in and not yet seen accepted."""
        return Writer(self, stream, fence=fence, max_bytes=max_bytes)

    def touch(self, writer: Writer) -> None:
        """A writer has something."""
        self._dirty[writer] = None
        self._wake()

    async def aclose(self) -> None:
        """Waits until everything that was handed in has been answered."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def _wake(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="tokentape-recorder")

    async def _run(self) -> None:
        try:
            while self._waiting or self._dirty:
                started = monotonic()
                await self._commit(self._take())
                rest = self._charge(started, monotonic())
                if rest > 0:
                    await asyncio.sleep(rest)
        finally:
            self._task = None

    def _charge(self, started: float, ended: float) -> float:
        """How long the next commit has to wait for this one."""
        owed = max(0.0, self._owed - COMMIT_SHARE * (started - self._owed_at))
        self._owed = owed + (1 - COMMIT_SHARE) * (ended - started)
        self._owed_at = ended
        return min(MAX_REST, (self._owed - COMMIT_BURST) / COMMIT_SHARE)

    def _take(self) -> list[_Pending]:
        batch = self._waiting[:MAX_BATCH]
        del self._waiting[:MAX_BATCH]
        for writer in list(self._dirty)[: MAX_BATCH - len(batch)]:
            del self._dirty[writer]
            batch.append(writer.take())
        return batch

    async def _commit(self, batch: list[_Pending]) -> None:
        try:
            answers = await self._store.append([pending.item for pending in batch])
        except TokentapeError as error:
            answers = [error] * len(batch)
        except Exception:  # noqa: BLE001 - whatever it was, its appends must be answered
            # Whatever it was, nobody may take these for recorded.
            _log.exception("the store failed to append")
            answers = [StoreUnavailable("The store failed; see the server's log.")] * len(batch)
        for pending, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Appended):
                self._accepted(pending.item.stream, answer, _placed(pending, answer))
            pending.settle(answer)


def _placed(pending: _Pending, answer: Appended) -> list[Entry]:
    records, events = pending.item.records, pending.events
    if answer.last - answer.first + 1 == len(records):
        return list(map(Entry, range(answer.first, answer.last + 1), records, events))
    # Some were on the stream already, by their keys.
    placed = zip(answer.offsets, records, events, strict=True)
    return [Entry(offset, record, event) for offset, record, event in placed if offset >= answer.first]


class _Pending:
    """One append on its way to the store."""

    __slots__ = ("answer", "events", "item", "writer")

    def __init__(
        self,
        item: Append,
        events: Sequence[Event],
        answer: asyncio.Future[Appended] | None = None,
        writer: Writer | None = None,
    ) -> None:
        self.item = item
        self.events = events
        self.answer = answer
        self.writer = writer

    def settle(self, answer: Appended | TokentapeError) -> None:
        if self.writer is not None:
            self.writer.settle(self.item, answer)
        elif self.answer is not None and not self.answer.done():
            if isinstance(answer, Appended):
                self.answer.set_result(answer)
            else:
                self.answer.set_exception(answer)


class Writer:
    """The pen of one run: takes events without waiting, in order, and remembers the first refusal."""

    def __init__(self, recorder: Recorder, stream: str, *, fence: Fence | None, max_bytes: int) -> None:
        self.stream = stream
        self.error: TokentapeError | None = None
        """What the store refused. Once set, nothing more is recorded."""
        self._recorder = recorder
        self._fence = fence
        self._max_bytes = max_bytes
        self._events: list[Event] = []
        self._records: list[bytes] = []
        self._unsettled = 0
        self._changed: asyncio.Event = asyncio.Event()

    def put(self, events: Sequence[Event]) -> None:
        """Hands in events, to be recorded with this turn's batch."""
        if self.error is not None:
            return
        records = [encode_event(event) for event in events]
        self._events.extend(events)
        self._records.extend(records)
        self._unsettled += sum(map(len, records))
        self._recorder.touch(self)

    @property
    def full(self) -> bool:
        """Whether the store is so far behind that the producer should wait for `room`."""
        return self._unsettled > self._max_bytes

    async def room(self) -> None:
        """Waits until the store has caught up enough, or has refused."""
        while self.full and self.error is None:
            await self._wait()

    async def flush(self) -> None:
        """Waits until everything handed in is accepted; raises what the store refused."""
        while self._unsettled and self.error is None:
            await self._wait()
        if self.error is not None:
            raise self.error

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def take(self) -> _Pending:
        """What has been handed in since the last time, as one append."""
        item = Append(stream=self.stream, records=self._records, fence=self._fence)
        pending = _Pending(item, self._events, writer=self)
        self._events, self._records = [], []
        return pending

    def settle(self, item: Append, answer: Appended | TokentapeError) -> None:
        """The store has answered one append."""
        if isinstance(answer, TokentapeError):
            self.error = self.error or answer
        self._unsettled -= sum(map(len, item.records))
        self._changed.set()
