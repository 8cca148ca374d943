"""One stream's log as data: what an append would do to it, decided without input or output.

Both stores that live in this process decide here, so that they cannot differ. The order of the checks
is that of `Store.append`.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeAlias, TypeVar

import msgspec

from tokentape.core.cursor import EPOCH_ALPHABET, EPOCH_LENGTH
from tokentape.core.errors import (
    BadRequest,
    CursorGone,
    Fenced,
    SequenceConflict,
    StaleProducer,
    StreamClosed,
    StreamExists,
    StreamNotFound,
    TokentapeError,
)
from tokentape.core.producer import ProducerState, admit
from tokentape.stores.base import Append, Appended, Fence, Producer, StreamConfig, StreamInfo
from tokentape.stores.retention import Clock, Lifetime


class Change(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one accepted append changes: new records from offset `first` on, and what else it moved."""

    stream: int
    first: int
    records: tuple[bytes, ...] = ()
    keys: tuple[str | None, ...] | None = None
    producer: Producer | None = None
    sequence: str | None = None
    closes: bool = False


Addition: TypeAlias = tuple[int, int, tuple[bytes, ...]]
"""A change that only adds records, as nearly all do: the first three of its fields, which it is written down as."""


class Tail:
    """The committed records that are in memory, from `first` on.

    A store only ever adds to it, the records before `closed`, or puts a new one in its place. So
    whoever reads `closed` first and then the records sees a true state, from any thread.
    """

    __slots__ = ("closed", "first", "records")

    def __init__(self, first: int, records: list[bytes], *, closed: bool) -> None:
        self.first = first
        self.records = records
        self.closed = closed

    def seen(self) -> tuple[bool, int]:
        """Whether the stream is closed, and its last committed offset."""
        closed = self.closed
        return closed, self.first + len(self.records) - 1


class Before(msgspec.Struct, frozen=True):
    """What a staged change overwrote, besides `last`."""

    head: Head
    change: Change
    closed: bool
    sequence: str | None
    state: ProducerState | None
    """Of the change's producer."""


class Head(ABC):
    """The state of one stream that decides its appends.

    An append is staged first (so that the next one of the same batch is decided on top of it) and
    committed once it is kept, or taken back; see `Transaction`. `last`, `closed`, `sequence` and the producers are
    as staged, all else is as committed.
    """

    __slots__ = (
        "appended_at",
        "bytes",
        "closed",
        "closed_at",
        "config",
        "created_at",
        "epoch",
        "first",
        "id",
        "last",
        "lifetime",
        "name",
        "producers",
        "sequence",
        "tail",
    )

    def __init__(self, name: str, *, epoch: str, config: StreamConfig, lifetime: Lifetime, created_at: int) -> None:
        self.id = 0
        self.name = name
        self.epoch = epoch
        self.config = config
        self.lifetime = lifetime
        self.created_at = created_at
        self.first = 1
        self.last = 0
        self.bytes = 0
        self.appended_at = 0
        self.closed = False
        self.closed_at = 0
        self.sequence: str | None = None
        self.producers: dict[str, ProducerState] = {}
        self.tail = Tail(1, [], closed=False)

    @abstractmethod
    def find_key(self, key: str) -> int:
        """The offset of the retained record with this key; 0 when there is none."""

    @abstractmethod
    def add_key(self, key: str, offset: int) -> None:
        """A staged record has this key."""

    @abstractmethod
    def drop_key(self, key: str) -> None:
        """It was taken back."""

    def find_producer(self, producer: str) -> ProducerState | None:
        """What is known of a producer."""
        return self.producers.get(producer)

    def stage(self, change: Change) -> Before:
        """Counts a change in; returns what it takes to undo it."""
        producer = change.producer
        state = None if producer is None else self.find_producer(producer.id)
        before = Before(self, change, self.closed, self.sequence, state)
        self.last += len(change.records)
        if change.keys is not None:
            for offset, key in enumerate(change.keys, change.first):
                if key is not None:
                    self.add_key(key, offset)
        if producer is not None:
            # In the order in which they wrote last.
            self.producers.pop(producer.id, None)
            self.producers[producer.id] = ProducerState(producer.epoch, producer.seq)
        if change.sequence is not None:
            self.sequence = change.sequence
        if change.closes:
            self.closed = True
        return before

    def unstage(self, before: Before) -> None:
        """Takes the latest staged change back, all but its records."""
        for key in before.change.keys or ():
            if key is not None:
                self.drop_key(key)
        self.closed, self.sequence = before.closed, before.sequence
        producer = before.change.producer
        if producer is not None:
            if before.state is None:
                self.producers.pop(producer.id, None)
            else:
                self.producers[producer.id] = before.state

    def commit(self, change: Change, wall_ms: int, steady: float) -> None:
        """A staged change is kept: what it does besides adding records."""
        self.lifetime.renew(steady)
        if change.closes:
            self.tail.closed = True
            self.closed_at = wall_ms
            self.lifetime.close(steady)

    def info(self) -> StreamInfo:
        """The stream as it is now."""
        return StreamInfo(
            name=self.name,
            epoch=self.epoch,
            config=self.config,
            first=self.first,
            last=self.last,
            bytes=self.bytes,
            closed=self.closed,
            created_at=self.created_at,
            appended_at=self.appended_at,
            closed_at=self.closed_at,
            sequence=self.sequence,
        )

    def over(self, clock: Clock) -> bool:
        """Whether its retention has run out."""
        return self.lifetime.mortal and self.lifetime.over(clock)


AnyHead = TypeVar("AnyHead", bound=Head)


class Transaction(Generic[AnyHead]):
    """Appends that are decided one on top of the other, and then kept or taken back together.

    What is done for every append is done in two loops, since it happens for every token: a call and an object more for
    each would be felt. `changes` is what is to be written down.
    """

    def __init__(self, find: Callable[[str], AnyHead | None], fences: Container[Fence]) -> None:
        self._find = find
        self._fences = fences
        self._grown: list[tuple[AnyHead, tuple[bytes, ...], int]] = []
        self._befores: list[Before] = []
        self.changes: list[Change | Addition] = []

    def append(self, batch: Sequence[Append], known: Mapping[str, AnyHead]) -> list[Appended | TokentapeError]:
        """Decides and stages a batch. Streams that are among the `known` ones need not be found first."""
        answers: list[Appended | TokentapeError] = []
        grown, changes, fences = self._grown, self.changes, self._fences
        for append in batch:
            head = known.get(append.stream)
            if (
                head is None
                or head.closed
                or head.lifetime.mortal
                or append.producer is not None
                or append.keys is not None
                or append.sequence is not None
                or append.epoch is not None
                or append.close
                or not (append.fence is None or append.fence in fences)
                or not append.records
            ):
                answers.append(self._append(append))
                continue
            # It does nothing but add records, and nothing speaks against it: what `decide` would find, too.
            records = tuple(append.records)
            size = 0
            for record in records:
                if type(record) is not bytes:
                    raise _not_bytes(record)
                size += len(record)
            first = head.last + 1
            head.last = last = head.last + len(records)
            answers.append(Appended(head.epoch, first, last, False, range(first, last + 1)))
            changes.append((head.id, first, records))
            grown.append((head, records, size))
        return answers

    def _append(self, append: Append) -> Appended | TokentapeError:
        head = self._find(append.stream)
        if head is None:
            return not_found(append.stream)
        decision = decide(head, append, self._fences)
        if isinstance(decision, TokentapeError):
            return decision
        appended, change = decision
        if change is not None:
            self.stage(head, change)
        return appended

    def stage(self, head: AnyHead, change: Change) -> None:
        """Stages a change that is decided."""
        self._befores.append(head.stage(change))
        self.changes.append(change)
        self._grown.append((head, change.records, sum(map(len, change.records))))

    def commit(self, wall_ms: int, steady: float) -> list[AnyHead]:
        """What was staged is kept; returns the heads that have changed, one for each change."""
        heads: list[AnyHead] = []
        for head, records, size in self._grown:
            if records:
                head.tail.records.extend(records)
                head.bytes += size
                head.appended_at = wall_ms
            heads.append(head)
        for before in self._befores:
            before.head.commit(before.change, wall_ms, steady)
        self._clear()
        return heads

    def take_back(self) -> None:
        """What was staged is not kept."""
        for before in reversed(self._befores):
            before.head.unstage(before)
        for head, _, _ in self._grown:
            _, head.last = head.tail.seen()
        self._clear()

    def _clear(self) -> None:
        self._grown, self._befores, self.changes = [], [], []


def decide(head: Head, append: Append, fences: Container[Fence]) -> tuple[Appended, Change | None] | TokentapeError:
    """What an append to an existing stream does: its result and the change to keep, or why it is refused."""
    if append.epoch is not None and append.epoch != head.epoch:
        return CursorGone(
            f"Stream {head.name!r} was made anew: its epoch is {head.epoch!r}, not {append.epoch!r}.", reason="epoch"
        )
    if append.fence is not None and append.fence not in fences:
        return Fenced(f"Lease {append.fence.lease!r} was lost: another writer may own {head.name!r} now. Stop writing.")
    producer, sequence, records, keys = append.producer, append.sequence, tuple(append.records), None
    offsets: Sequence[int]
    for record in records:
        if type(record) is not bytes:
            raise _not_bytes(record)
    if producer is not None:
        try:
            known = head.find_producer(producer.id)
            if not admit(known, producer.epoch, producer.seq):
                seq = producer.seq if known is None else known.seq
                offsets = (0,) * len(records)
                return Appended(
                    head.epoch, head.last + 1, head.last, head.closed, offsets, duplicate=True, seq=seq
                ), None
        except (StaleProducer, SequenceConflict) as refusal:
            return refusal
    first, last = head.last + 1, head.last + len(records)
    offsets = range(first, last + 1)
    if append.keys is not None:
        if len(append.keys) != len(records):
            return BadRequest(f"{len(append.keys)} keys were given for {len(records)} records: one each is needed.")
        offsets, records, keys = _place(head, records, append.keys)
        last = head.last + len(records)
    if head.closed and (records or not (append.close or offsets)):
        return StreamClosed(f"Stream {head.name!r} is closed at offset {head.last}.", last=head.last)
    if sequence is not None and head.sequence is not None and sequence <= head.sequence:
        return SequenceConflict(f"{sequence!r} is not greater than {head.sequence!r}, the last one of {head.name!r}.")
    closes = append.close and not head.closed
    if not (records or closes or producer is not None or sequence is not None):
        return Appended(head.epoch, first, head.last, head.closed, offsets), None
    # The class's own constructor would take twice as long, and this happens for every token.
    appended = Appended(head.epoch, first, last, closes or head.closed, offsets)
    return appended, Change(head.id, first, records, keys, producer, sequence, closes)


def _not_bytes(record: object) -> TypeError:
    """For what would be written down and could not be read again."""
    return TypeError(f"records are bytes, not {type(record).__name__}")


def _place(
    head: Head, records: tuple[bytes, ...], keys: Sequence[str | None]
) -> tuple[list[int], tuple[bytes, ...], tuple[str | None, ...] | None]:
    """Where each record stands, and which of them are new, with their keys."""
    offsets: list[int] = []
    new_records: list[bytes] = []
    new_keys: list[str | None] = []
    seen: dict[str, int] = {}
    for record, key in zip(records, keys, strict=True):
        offset = 0 if key is None else seen.get(key) or head.find_key(key)
        if not offset:
            new_records.append(record)
            new_keys.append(key)
            offset = head.last + len(new_records)
            if key is not None:
                seen[key] = offset
        offsets.append(offset)
    return offsets, tuple(new_records), tuple(new_keys) if seen else None


def check_position(name: str, after: int, *, first: int, last: int) -> None:
    """Raises `CursorGone` unless the record after `after` is retained or still to come."""
    if after > last:
        raise CursorGone(f"Offset {after} of {name!r} lies in the future: the last one is {last}.", reason="future")
    if after + 1 < first:
        raise CursorGone(
            f"Offset {after + 1} of {name!r} is no longer kept: the first one is {first}.", reason="trimmed"
        )


def fit(records: Sequence[bytes], max_bytes: int, max_records: int) -> int:
    """How many of the records go into a page: at least one."""
    total = 0
    for count, record in enumerate(islice(records, max(max_records, 1))):
        total += len(record)
        if total > max_bytes and count:
            return count
    return min(len(records), max(max_records, 1))


def same_config(head: Head, config: StreamConfig) -> None:
    """Raises `StreamExists` when an existing stream was created with another configuration."""
    if head.config != config:
        raise StreamExists(f"Stream {head.name!r} exists with another configuration. Use that one, or delete it first.")


def not_found(name: str) -> StreamNotFound:
    return StreamNotFound(f"There is no stream {name!r}: it was never created, was deleted, or its retention ran out.")


def fresh_epoch() -> str:
    """A random epoch for a new stream."""
    return "".join(secrets.choice(EPOCH_ALPHABET) for _ in range(EPOCH_LENGTH))


_decode_config = msgspec.json.Decoder(StreamConfig).decode


def plain_config(config: StreamConfig) -> StreamConfig:
    """The configuration as JSON has it: what it will be when read back, and nobody else's to change."""
    return _decode_config(msgspec.json.encode(config))
