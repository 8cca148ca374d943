"""The store contract: named append-only logs of bytes, with epochs, offsets and a few optional capabilities.

A store knows nothing of events, runs or watchers. What follows is in MUST language because every
store is tested against it (`tokentape.testing.StoreContract`), and because P1–P3 and P7 stand on it.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self, TypeGuard, runtime_checkable

import msgspec

from tokentape.core.errors import TokentapeError
from tokentape.core.findings import Finding


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long a stream is kept. Zero means without that bound.

    `after_close` and `idle` are seconds; `expires_at` is milliseconds since the Unix epoch. `idle` is
    sliding: reads and appends renew it, `info` does not. `max_bytes` bounds the sum of the records'
    sizes: the oldest are trimmed first, up to a quarter of the bound more than need be (so that a full log
    is not trimmed at every append), and at least the newest record stays.
    """

    after_close: float = 0
    idle: float = 0
    expires_at: int = 0
    max_bytes: int = 0


class StreamConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream is created with; it never changes. `attributes` is a little JSON for the layers above."""

    content_type: str = "application/json"
    retention: Retention = Retention()
    attributes: dict[str, Any] = {}


class StreamInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A stream at one moment. Retained offsets are `first`…`last`; an empty one has `first == last + 1`."""

    name: str
    epoch: str
    config: StreamConfig
    first: int
    last: int
    bytes: int
    closed: bool
    created_at: int
    """Milliseconds since the Unix epoch, as are the next two; 0 means never."""
    appended_at: int = 0
    closed_at: int = 0
    sequence: str | None = None
    """The last `Append.sequence`."""


class Producer(NamedTuple):
    """Makes appends idempotent: (id, epoch, seq), with seq counting appends of this producer epoch from 0.

    A stream remembers at least the `MAX_PRODUCERS` producers that wrote last (`core.producer`), and a bounded number.
    """

    id: str
    epoch: int
    seq: int


class Fence(NamedTuple):
    """A lease that nobody must have taken since it was given this token, for an append to be accepted."""

    lease: str
    token: int


class Append(msgspec.Struct, kw_only=True):
    """One atomic append to one stream; part of a batch.

    `keys`, when given, is as long as `records`: a record whose key is already on the stream (and
    retained) is not appended again. `epoch`, when given, must be the stream's. `sequence` must be
    greater, as text, than the last one given (the Durable Streams protocol's Stream-Seq); the empty text comes before
    all others, so it can be given once, and first. With `close`
    the stream is closed by the same atomic step; an append without records that only closes is allowed,
    and closing a closed stream again is a success.
    """

    stream: str
    records: Sequence[bytes] = ()
    keys: Sequence[str | None] | None = None
    epoch: str | None = None
    producer: Producer | None = None
    sequence: str | None = None
    fence: Fence | None = None
    close: bool = False


class Appended(msgspec.Struct, frozen=True, gc=False):
    """What an accepted append did.

    The new records have the offsets `first`…`last` (`first == last + 1` when none is new). `offsets`
    has, for each record of the append, the offset where it stands: for a repeated key that of its first
    copy, and all of them for a repeated producer sequence number are 0 (`duplicate`).
    """

    epoch: str
    first: int
    last: int
    closed: bool
    offsets: Sequence[int]
    duplicate: bool = False
    seq: int = 0
    """With `duplicate`: the last sequence number that was accepted from this producer."""


class Page(NamedTuple):
    """A stretch of records in order. `last` and `closed` are the stream's, at the moment of reading.

    The page reached the end when it is empty or its final offset is `last`.
    """

    epoch: str
    records: list[tuple[int, bytes]]
    last: int
    closed: bool


class Store(Protocol):
    """Named append-only logs. Five methods; the rest are capabilities.

    Every method MAY raise `StoreUnavailable`; then nothing was changed, or (for a store across a
    network) the caller repeats the call with the same producer or keys to learn which.
    """

    async def create(self, name: str, config: StreamConfig) -> tuple[StreamInfo, bool]:
        """Creates a stream; returns it and whether it is new.

        An existing stream with an equal configuration MUST be returned unchanged, with False; with another
        configuration `StreamExists` MUST be raised. A new stream MUST get a fresh random epoch, also when a
        stream of that name existed before.
        """
        ...

    async def append(self, batch: Sequence[Append]) -> list[Appended | TokentapeError]:
        """Appends a batch, in its order; each entry is atomic, and one refused entry MUST NOT affect another.

        A returned `Appended` is accepted: it MUST survive what the store promises to survive (P3).
        Offsets MUST be contiguous per (stream, epoch), starting at 1. Checks come in this order: exists
        (`StreamNotFound`), epoch (`CursorGone`, reason `epoch`), fence (`Fenced`), producer (a repeated
        sequence number is a success with `duplicate`; `StaleProducer`; `SequenceConflict`, also when a new
        producer epoch starts past 0, and then with the `epoch` in force among its details), closed
        (`StreamClosed`, unless the append only closes, or all its records are known by their keys), sequence
        (`SequenceConflict`), keys. Batches MUST be applied in the order of the calls. It is not cancelled by
        cancelling the caller.
        """
        ...

    async def read(self, name: str, after: int, *, max_bytes: int = 262_144, max_records: int = 10_000) -> Page:
        """Reads on from `after` (exclusive): at least one record where there is one, else as many as fit.

        Raises `StreamNotFound`, and `CursorGone` with reason `trimmed` when the record after `after` is no
        longer retained, or `future` when `after` lies beyond the end. MUST be one indexed look-up, not a scan.
        """
        ...

    async def delete(self, name: str) -> None:
        """Deletes a stream with its records, keys and producers; raises `StreamNotFound`."""
        ...

    async def info(self, name: str) -> StreamInfo:
        """The stream as it is now; raises `StreamNotFound` (also once its retention has run out)."""
        ...

    async def __aenter__(self) -> Self:
        """Opens files and connections; raises `SetupError` where that cannot work."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Finishes what was handed in, then closes."""
        ...


@runtime_checkable
class Submitting(Protocol):
    """Capability: appends without a task for each batch, for whoever appends a thousand times a second."""

    def submit(self, batch: Sequence[Append]) -> Future[list[Appended | TokentapeError]]:
        """As `append`, in the order of all calls of both; the future MAY be done already. For the loop's thread.

        It MAY hold the event loop for a few milliseconds, no longer, where that gets a commit done sooner.
        """
        ...


@runtime_checkable
class Listing(Protocol):
    """Capability: find streams by prefix."""

    async def list(self, prefix: str = "", *, after: str = "", limit: int = 100) -> list[StreamInfo]:
        """Streams whose name starts with `prefix` and sorts after `after`, by name; `limit` at most."""
        ...


class Standing(NamedTuple):
    """Where a stream stands: its offsets go up to `last`."""

    stream: str
    epoch: str
    last: int
    closed: bool


@runtime_checkable
class Notifying(Protocol):
    """Capability: tells when streams have grown, for stores that several processes write to.

    What it tells is a hint: it MAY be late, repeated or lost, and says nothing that `read` does not. Whoever
    relies on it looks at the log now and then.
    """

    def notify(self, listener: Callable[[Standing], None]) -> Callable[[], None]:
        """Calls back, in the running event loop, after appends of any process; returns what ends that.

        What an own append did MUST be returned to its caller before it is told here.
        """
        ...


@runtime_checkable
class Diagnosing(Protocol):
    """Capability: says what an operator should know of the server or file behind the store."""

    async def diagnose(self) -> list[Finding]:
        """What it finds; never a secret."""
        ...


MAX_BROADCAST: Final = 262_144
"""Bytes of one broadcast: the same as of an event."""


@runtime_checkable
class Broadcasting(Protocol):
    """Capability: tells all processes of a store what nobody needs later.

    It is stored nowhere, and told at most once. What one process tells of one stream MUST be heard in that order, as
    far as it is heard: it MAY be lost. The stream need not exist.
    """

    def broadcast(self, stream: str, record: bytes) -> None:
        """Tells every listener of every process: those of this one before it returns. It MUST NOT wait for others.

        Raises `TooLarge` for a record of more than `MAX_BROADCAST` bytes.
        """
        ...

    def listen(self, hearer: Callable[[str, bytes], None]) -> Callable[[], None]:
        """Calls back, in the running event loop, with each stream and record; returns what ends that."""
        ...


class LeaseInfo(NamedTuple):
    """A lease. `token` grows with every acquisition of that name; `value` says what it is for."""

    name: str
    token: int
    holder: str
    value: bytes
    live: bool
    """False once it has run out, or its process is known to have ended."""


@runtime_checkable
class Leasing(Protocol):
    """Capability: one holder at a time, with fencing tokens (P7).

    A lease that has run out may be taken by others. Until one does, its token is good: it can be renewed and given
    back, and appends with it are accepted. So a store that stood still, and let nobody renew, has ended nothing.

    Expiry MUST be measured on a monotonic clock of the store, never on wall clocks of its users.
    """

    async def acquire(self, name: str, holder: str, *, seconds: float, value: bytes = b"") -> LeaseInfo | None:
        """Takes the lease when it is free or has run out; None when somebody else holds it live.

        Its own holder may take it anew: the earlier token is fenced off.
        """
        ...

    async def renew(self, name: str, token: int, *, seconds: float) -> bool:
        """Keeps it; False when somebody else has taken it: the holder MUST stop writing."""
        ...

    async def renew_all(self, held: Sequence[Fence], *, seconds: float) -> Sequence[bool]:
        """As `renew` for each of them, at once: a process holds thousands."""
        ...

    async def release(self, name: str, token: int) -> None:
        """Gives it back; without effect when somebody else has taken it."""
        ...

    async def leases(self, prefix: str = "", *, dead: bool = False) -> Sequence[LeaseInfo]:
        """All leases that were acquired and not released; with `dead` those alone that are not live.

        Dead ones are orphans to clean up, unless nobody could renew them.
        """
        ...


class Member(NamedTuple):
    """Somebody who is present: `id` is unique on its stream; `data` is any small JSON value."""

    id: str
    data: Any


@runtime_checkable
class Presence(Protocol):
    """Capability: who is here, with expiry, so that a crash cleans up by itself."""

    async def track(self, stream: str, member: Member, *, seconds: float) -> bool:
        """Adds, changes or keeps a member; True when it was not there before."""
        ...

    async def untrack(self, stream: str, member_id: str) -> bool:
        """Removes a member; False when it was not there."""
        ...

    async def members(self, stream: str) -> list[Member]:
        """Those present now, in the order of arrival."""
        ...


class Job(NamedTuple):
    """An entry that was taken from a queue. `receipt` is the store's own name for it."""

    receipt: str
    name: str
    again: bool = False
    """Whether it was taken before, by somebody who has not finished it."""


MAX_JOBS: Final = 100_000
"""Entries of one queue; beyond that the oldest ones go."""


@runtime_checkable
class Queueing(Protocol):
    """Capability: work for whoever is free first.

    An entry is a hint. It MUST be delivered at least once, unless the queue was over `MAX_JOBS` or the store has
    lost what it had accepted; it MAY be delivered more than once, and out of turn after a failure. What must happen
    once is guarded by a lease, and what must happen at all is on a stream.
    """

    @property
    def between_processes(self) -> bool:
        """Whether other processes put and take here too."""
        ...

    async def put_job(self, queue: str, name: str) -> None:
        """Adds an entry at the end."""
        ...

    async def take_job(self, queue: str, *, seconds: float, again: float) -> Job | None:
        """The entry that has waited longest; None when there was none for so many seconds.

        One that was taken and is not finished MUST come again, to anybody, `again` seconds after it was taken.
        Cancelling this MUST NOT lose an entry for longer than that.
        """
        ...

    async def finish_job(self, queue: str, job: Job) -> None:
        """Removes an entry that was taken; without effect when it is gone."""
        ...

    async def count_jobs(self, queue: str) -> int:
        """How many entries there are, taken or not."""
        ...


def between_processes(store: Store) -> TypeGuard[Queueing]:
    """Whether other processes use this store, too: one that has queues, and says so."""
    return isinstance(store, Queueing) and store.between_processes
