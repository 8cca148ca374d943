"""The store in memory: for tests, and for streams that may end with the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import islice
from types import TracebackType
from typing import Self

from tokentape.core.errors import TokentapeError
from tokentape.core.producer import MAX_PRODUCERS
from tokentape.stores.base import Append, Appended, Fence, LeaseInfo, Page, Standing, StreamConfig, StreamInfo
from tokentape.stores.broadcast import Hearers, LocalBroadcast
from tokentape.stores.leases import LeaseTable
from tokentape.stores.log import (
    Head,
    Transaction,
    check_position,
    fit,
    fresh_epoch,
    not_found,
    plain_config,
    same_config,
)
from tokentape.stores.presence import LocalPresence
from tokentape.stores.queues import LocalQueues
from tokentape.stores.retention import Clock, Lifetime, excess, oldest

SWEEP_SECONDS = 30.0
"""How often streams whose retention has run out are dropped when nobody asks for them."""


class _Stream(Head):
    __slots__ = ("keys",)

    def __init__(self, name: str, config: StreamConfig, clock: Clock) -> None:
        lifetime = Lifetime(config.retention, clock.steady())
        super().__init__(name, epoch=fresh_epoch(), config=config, lifetime=lifetime, created_at=clock.wall_ms())
        self.keys: dict[str, int] = {}  # in the order of their offsets

    def find_key(self, key: str) -> int:
        return self.keys.get(key, 0)

    def add_key(self, key: str, offset: int) -> None:
        self.keys[key] = offset

    def drop_key(self, key: str) -> None:
        self.keys.pop(key, None)

    def trim(self) -> None:
        """Makes the size bound hold."""
        amount = excess(self.bytes, self.config.retention.max_bytes)
        if not amount:
            return
        records = self.tail.records
        count, dropped = oldest(map(len, islice(records, len(records) - 1)), amount)
        del records[:count]
        self.tail.first += count
        self.bytes -= dropped
        self.first += count
        while self.keys and self.keys[key := next(iter(self.keys))] < self.first:
            del self.keys[key]


class MemoryStore(LocalPresence, LocalQueues, LocalBroadcast):
    """Streams in this process's memory, with listing, notification, broadcasts, leases, presence and queues.

    Accepted records survive nothing: not the end of the process, not even a crash. Memory is bounded by
    the streams' own retention only. It belongs to one event loop.
    """

    def __init__(
        self, *, now: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        LocalPresence.__init__(self, monotonic)
        LocalQueues.__init__(self, monotonic)
        self._clock = Clock(now, monotonic)
        self._hearers = Hearers()
        self._streams: dict[str, _Stream] = {}
        self._leases = LeaseTable(monotonic)
        self._transaction = Transaction(self._find, self._leases.fences)
        self._listeners: dict[Callable[[Standing], None], None] = {}
        self._next_sweep = monotonic() + SWEEP_SECONDS

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Keeps everything, so that it can be entered again."""

    async def create(self, name: str, config: StreamConfig) -> tuple[StreamInfo, bool]:
        """Creates a stream; see `Store.create`."""
        self._sweep()
        config = plain_config(config)
        stream = self._find(name)
        if stream is not None:
            same_config(stream, config)
            return stream.info(), False
        stream = self._streams[name] = _Stream(name, config, self._clock)
        return stream.info(), True

    async def append(self, batch: Sequence[Append]) -> list[Appended | TokentapeError]:
        """Appends a batch; see `Store.append`."""
        return self._append_all(batch)

    def submit(self, batch: Sequence[Append]) -> asyncio.Future[list[Appended | TokentapeError]]:
        """Appends a batch at once; see `Submitting.submit`."""
        answer: asyncio.Future[list[Appended | TokentapeError]] = asyncio.get_running_loop().create_future()
        answer.set_result(self._append_all(batch))
        return answer

    def _append_all(self, batch: Sequence[Append]) -> list[Appended | TokentapeError]:
        wall_ms, steady = self._clock.wall_ms(), self._clock.steady()
        answers = [self._append(entry, wall_ms, steady) for entry in batch]
        if self._listeners:
            asyncio.get_running_loop().call_soon(self._tell, [entry.stream for entry in batch])
        return answers

    def notify(self, listener: Callable[[Standing], None]) -> Callable[[], None]:
        """Calls back after each append; see `Notifying.notify`."""
        self._listeners[listener] = None
        return lambda: self._listeners.pop(listener, None)

    def _tell(self, names: Sequence[str]) -> None:
        for name in dict.fromkeys(names):
            stream = self._find(name)
            if stream is not None:
                standing = Standing(name, stream.epoch, stream.last, stream.closed)
                for listener in tuple(self._listeners):
                    listener(standing)

    def _append(self, entry: Append, wall_ms: int, steady: float) -> Appended | TokentapeError:
        [answer] = self._transaction.append([entry], self._streams)
        for stream in self._transaction.commit(wall_ms, steady):
            stream.trim()
            if len(stream.producers) > 2 * MAX_PRODUCERS:
                stream.producers = dict(islice(stream.producers.items(), MAX_PRODUCERS, None))
        return answer

    async def read(self, name: str, after: int, *, max_bytes: int = 262_144, max_records: int = 10_000) -> Page:
        """Reads on from `after`; see `Store.read`."""
        stream = self._get(name)
        stream.lifetime.renew(self._clock.steady())
        check_position(name, after, first=stream.first, last=stream.last)
        start = after + 1 - stream.first
        records = stream.tail.records[start : start + max(max_records, 1)]
        del records[fit(records, max_bytes, max_records) :]
        return Page(stream.epoch, list(enumerate(records, after + 1)), stream.last, stream.closed)

    async def delete(self, name: str) -> None:
        """Deletes a stream; raises `StreamNotFound`."""
        del self._streams[self._get(name).name]

    async def info(self, name: str) -> StreamInfo:
        """The stream as it is now; raises `StreamNotFound`."""
        return self._get(name).info()

    async def list(self, prefix: str = "", *, after: str = "", limit: int = 100) -> list[StreamInfo]:
        """Streams by name; see `Listing.list`."""
        names = sorted(name for name in self._streams if name > after and name.startswith(prefix))
        found = (stream.info() for name in names if (stream := self._find(name)) is not None)
        return [*islice(found, limit)]

    async def acquire(self, name: str, holder: str, *, seconds: float, value: bytes = b"") -> LeaseInfo | None:
        """Takes a lease; see `Leasing.acquire`."""
        return self._leases.acquire(name, holder, seconds=seconds, value=value)

    async def renew(self, name: str, token: int, *, seconds: float) -> bool:
        """Keeps a lease; False when it was lost."""
        return self._leases.renew(name, token, seconds=seconds)

    async def release(self, name: str, token: int) -> None:
        """Gives a lease back; without effect when it was lost."""
        self._leases.release(name, token)

    async def renew_all(self, held: Sequence[Fence], *, seconds: float) -> Sequence[bool]:
        """Keeps leases; see `Leasing.renew_all`."""
        return self._leases.renew_all(held, seconds=seconds)

    async def leases(self, prefix: str = "", *, dead: bool = False) -> Sequence[LeaseInfo]:
        """All leases that were acquired and not released; with `dead` those alone that are not live."""
        return self._leases.infos(prefix, dead=dead)

    def _find(self, name: str) -> _Stream | None:
        stream = self._streams.get(name)
        if stream is not None and stream.over(self._clock):
            del self._streams[name]
            return None
        return stream

    def _get(self, name: str) -> _Stream:
        stream = self._find(name)
        if stream is None:
            raise not_found(name)
        return stream

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            for name in [*self._streams]:
                self._find(name)
