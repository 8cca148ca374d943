"""The write side: everything that is recorded in one turn of the loop goes to the store as one batch (group commit).

One batch is under way at a time; what comes meanwhile is the next one. So nothing waits per token, what each caller
hands in is accepted in the order of its calls, and a slow store makes larger batches, not more of them. And commits
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
from tokentape.core.merge import RAW, Entry
from tokentape.stores.base import Append, Appended, Fence, Store, Submitting

_log = logging.getLogger(__name__)

MAX_BATCH: Final = 4096
"""Appends in one batch; bounds how long one commit can take."""
FULL_BATCH: Final = 64
"""Writers that are enough for a batch, also before the turn of the loop is over."""
COMMIT_SHARE: Final = 0.15
"""Of the time, for commits, when they come one after the other."""
COMMIT_BURST: Final = 0.003
"""Seconds of commits that need no pause: what one caller does step by step goes at full speed."""
MAX_REST: Final = 0.008
"""Seconds that a batch waits at most for the one before to be paid for."""


class Recorder:
    """Collects appends and hands them to the store, in batches.

    Tells `accepted` what the store took, stream by stream, and how many bytes of records that is; and `committed` when
    a batch is through.
    """

    def __init__(
        self,
        store: Store,
        accepted: Callable[[str, Appended, Sequence[Entry], int], None],
        committed: Callable[[], None],
    ) -> None:
        self._submit = store.submit if isinstance(store, Submitting) else _submitting(store)
        self._accepted = accepted
        self._committed = committed
        self._waiting: list[_Caller] = []
        self._dirty: dict[Writer, None] = {}
        self._next: asyncio.Handle | None = None
        self._under_way = False
        self._idle: asyncio.Future[None] | None = None
        self._owed = 0.0
        self._owed_at = 0.0
        self._rest_until = 0.0

    async def append(self, item: Append, events: Sequence[Event]) -> Appended:
        """Records events on a stream and waits until they are accepted; raises what the store answered.

        `item.records` is set here. Cancelling the caller does not cancel the append.
        """
        item.records = [encode_event(event) for event in events]
        return await self._append(item, events)

    async def append_raw(self, item: Append) -> Appended:
        """As `append`, for records that are no events: those of the item, as they are."""
        return await self._append(item, [RAW] * len(item.records))

    async def _append(self, item: Append, events: Sequence[Event]) -> Appended:
        answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Caller(item, events, answer))
        self._wake()
        return await asyncio.shield(answer)

    def writer(self, stream: str, *, fence: Fence | None = None, max_bytes: int = 1_048_576) -> Writer:
        """A writer for one run; `max_bytes` bounds what it may have handed in and not yet seen accepted."""
        return Writer(self, stream, fence=fence, max_bytes=max_bytes)

    def touch(self, writer: Writer) -> None:
        """A writer has something."""
        self._dirty[writer] = None
        if self._next is None:
            self._wake()
        elif len(self._dirty) >= FULL_BATCH:
            self._next.cancel()
            self._commit()

    async def aclose(self) -> None:
        """Waits until everything that was handed in has been answered."""
        while self._under_way or self._next is not None:
            self._idle = self._idle or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    def _wake(self) -> None:
        if self._next is None and not self._under_way:
            loop, rest = asyncio.get_running_loop(), self._rest_until - monotonic()
            # call_soon, so that all that comes in one turn of the loop is one batch.
            self._next = loop.call_later(rest, self._commit) if rest > 0 else loop.call_soon(self._commit)

    def _commit(self) -> None:
        self._next = None
        self._under_way = True
        batch = self._take()
        items = [owner.take() for owner in batch]
        started = monotonic()
        try:
            answer = self._submit(items)
        except Exception as error:  # noqa: BLE001 - see `_answers`
            self._finish(batch, items, started, [_refusal(error)] * len(batch))
            return
        if answer.done():
            self._finish(batch, items, started, _answers(answer, len(batch)))
        else:
            answer.add_done_callback(lambda answer: self._finish(batch, items, started, _answers(answer, len(batch))))

    def _finish(self, batch: list[Owner], items: list[Append], started: float, answers: Answers) -> None:
        for owner, item, answer in zip(batch, items, answers, strict=True):
            try:
                if isinstance(answer, Appended):
                    records, size = item.records, owner.size
                    if len(records) == 1 and answer.first == answer.last:  # as nearly always
                        entries = [Entry(answer.last, records[0], owner.events[0])]
                    else:
                        entries, size = _placed(owner, records, answer)
                    self._accepted(item.stream, answer, entries, size)
            except Exception:  # noqa: BLE001 - the watchers of one stream are not the others' trouble
                # It is recorded all the same, and what comes after it must be, too.
                _log.exception("what was recorded on %s could not be shown", item.stream)
            owner.settle(answer)
        self._charge(started, monotonic())
        self._under_way = False
        if self._waiting or self._dirty:
            self._wake()
        elif self._idle is not None:
            self._idle.set_result(None)
            self._idle = None
        self._committed()

    def _charge(self, started: float, ended: float) -> None:
        """Decides how long the next commit has to wait for this one."""
        owed = max(0.0, self._owed - COMMIT_SHARE * (started - self._owed_at))
        self._owed = owed + (1 - COMMIT_SHARE) * (ended - started)
        self._owed_at = ended
        self._rest_until = ended + min(MAX_REST, (self._owed - COMMIT_BURST) / COMMIT_SHARE)

    def _take(self) -> list[Owner]:
        batch: list[Owner] = list(self._waiting[:MAX_BATCH])
        del self._waiting[:MAX_BATCH]
        writers, room = list(self._dirty), MAX_BATCH - len(batch)
        self._dirty = dict.fromkeys(writers[room:])
        batch += writers[:room]
        return batch


Answers = list[Appended | TokentapeError]


def _submitting(store: Store) -> Callable[[Sequence[Append]], asyncio.Future[Answers]]:
    def submit(batch: Sequence[Append]) -> asyncio.Future[Answers]:
        return asyncio.get_running_loop().create_task(store.append(batch), name="tokentape-commit")

    return submit


def _answers(answer: asyncio.Future[Answers], count: int) -> Answers:
    """What came of each append of a batch. Whatever it was: nobody may take a batch that failed for recorded."""
    try:
        answers = answer.result()
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as it says
        return [_refusal(error)] * count
    if len(answers) != count:
        return [_refusal(ValueError(f"{len(answers)} answers to {count} appends"))] * count
    return answers


def _refusal(error: BaseException) -> TokentapeError:
    if isinstance(error, TokentapeError):
        return error
    _log.error("the store failed to append", exc_info=error)
    return StoreUnavailable("The store failed; see the server's log.")


def _placed(owner: Owner, records: Sequence[bytes], answer: Appended) -> tuple[list[Entry], int]:
    """The new records in their places, and their bytes."""
    entries = list(map(Entry, answer.offsets, records, owner.events))
    if answer.last - answer.first + 1 == len(records):
        return entries, owner.size
    # Some were on the stream already, by their keys.
    entries = [entry for entry in entries if entry.offset >= answer.first]
    return entries, sum([len(entry.record) for entry in entries])


class _Caller:
    """Somebody who waits for the answer to one append: a `Writer` that writes once."""

    __slots__ = ("_answer", "_item", "events", "size")

    def __init__(self, item: Append, events: Sequence[Event], answer: asyncio.Future[Appended]) -> None:
        self._item = item
        self._answer = answer
        self.events = events
        self.size = sum(map(len, item.records))

    def take(self) -> Append:
        return self._item

    def settle(self, answer: Appended | TokentapeError) -> None:
        if self._answer.done():
            return
        if isinstance(answer, Appended):
            self._answer.set_result(answer)
        else:
            self._answer.set_exception(answer)


class Writer:
    """The pen of one run: takes events without waiting, in order, and remembers the first refusal."""

    def __init__(self, recorder: Recorder, stream: str, *, fence: Fence | None, max_bytes: int) -> None:
        self.stream = stream
        self.error: TokentapeError | None = None
        """What the store refused. Once set, nothing more is recorded."""
        self._recorder = recorder
        self._fence = fence
        self._max_bytes = max_bytes
        self.events: Sequence[Event] = ()
        """What is on its way to the store."""
        self.size = 0
        """The bytes of its records."""
        self._events: list[Event] = []
        self._records: list[bytes] = []
        self._unsettled = 0
        self._changed: asyncio.Event = asyncio.Event()
        self._waited_for = 0

    def put(self, events: Sequence[Event]) -> bool:
        """Hands in events, to be recorded with this turn's batch; False when there is no `room` for more, or never."""
        if self.error is not None:
            return False
        if len(events) == 1:  # as nearly always
            event = events[0]
            record = encode_event(event)
            self._unsettled += len(record)
            if self._records:
                self._events.append(event)
                self._records.append(record)
            else:
                self._events, self._records = [event], [record]
                self._recorder.touch(self)
        else:
            records = list(map(encode_event, events))
            self._unsettled += sum(map(len, records))
            begins = bool(records) and not self._records
            self._events += events
            self._records += records
            if begins:
                self._recorder.touch(self)
        return self._unsettled <= self._max_bytes

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
        self._waited_for += 1
        try:
            await self._changed.wait()
        finally:
            self._waited_for -= 1

    def take(self) -> Append:
        """What has been handed in since the last time, as one append; then its answer comes by `settle`."""
        item = Append(stream=self.stream, records=self._records, fence=self._fence)
        # One batch is under way at a time: what is not settled now is what this one takes.
        self.events, self.size = self._events, self._unsettled
        self._events, self._records = [], []
        return item

    def settle(self, answer: Appended | TokentapeError) -> None:
        """The store has answered what was taken."""
        if not isinstance(answer, Appended):
            self.error = self.error or answer
        self.events = ()
        self._unsettled -= self.size
        if self._waited_for:
            self._changed.set()


Owner = Writer | _Caller
"""Whose append it is."""
