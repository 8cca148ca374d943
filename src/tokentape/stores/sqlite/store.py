"""The SQLite store as the rest of tokentape sees it: coroutines over the writer thread and a reader thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import apsw
import msgspec

from tokentape.core.errors import CursorGone, StoreUnavailable, TokentapeError
from tokentape.core.findings import Finding
from tokentape.stores.base import Append, Appended, Fence, LeaseInfo, Page, StreamConfig, StreamInfo
from tokentape.stores.broadcast import Hearers, LocalBroadcast
from tokentape.stores.log import check_position, fit, not_found, plain_config, same_config
from tokentape.stores.presence import LocalPresence
from tokentape.stores.retention import Clock
from tokentape.stores.sqlite.database import Durability, FileLock, details, explain, open_reader
from tokentape.stores.sqlite.diagnosis import diagnose
from tokentape.stores.sqlite.engine import Engine, Tuning
from tokentape.stores.sqlite.head import StoredHead
from tokentape.stores.sqlite.segments import SegmentReader
from tokentape.stores.sqlite.writer import Writer

log = logging.getLogger("tokentape.store")


class SqliteStore(LocalPresence, LocalBroadcast):
    """Streams in one SQLite file, with listing, broadcasts, leases and presence; the default store.

    What is accepted survives a crash of the process, also SIGKILL (`durability="normal"`), or a loss of
    power as well ("full": every commit waits for the disk). The file belongs to one process, and the
    store to one event loop. Opening raises `SetupError`; writing raises `StoreFull` or `StoreUnavailable`
    while the disk does not take it, and reading goes on.

    A commit takes everything that is queued when it begins. Reads near the end of a stream are answered from
    memory, others by a thread of their own, so neither waits for a commit.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        durability: Durability = "normal",
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        tuning: Tuning | None = None,
    ) -> None:
        super().__init__(monotonic)
        self._hearers = Hearers()
        self._path = Path(path)
        self._durability = durability
        self._clocks = now, monotonic
        self._tuning = tuning or Tuning()
        self._lock = FileLock(self._path)

    async def __aenter__(self) -> Self:
        """Opens the file, and takes up what a killed process left in its journal; raises `SetupError`."""
        self._clock = Clock(*self._clocks)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="tokentape-reader")
        loop = asyncio.get_running_loop()
        try:
            self._engine, self._reader = await loop.run_in_executor(self._threads, self._open)
        except BaseException:
            self._threads.shutdown(wait=False)
            raise
        self._heads = self._engine.catalog.heads
        self._writer = Writer(self._engine, loop, max_queued=self._tuning.max_queued)
        return self

    def _open(self) -> tuple[Engine, SegmentReader]:
        self._lock.acquire()
        try:
            engine = Engine(self._path, durability=self._durability, tuning=self._tuning, clock=self._clock)
            try:
                return engine, SegmentReader(open_reader(self._path))
            except BaseException:
                engine.close()
                raise
        except BaseException:
            self._lock.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Finishes what was handed in, then closes the file."""
        self._writer.finish()
        await asyncio.get_running_loop().run_in_executor(self._threads, self._close)
        self._threads.shutdown(wait=False)

    def _close(self) -> None:
        self._reader.close()  # first, so that it is not in the way of the last checkpoint
        self._writer.join()
        self._lock.release()

    async def create(self, name: str, config: StreamConfig) -> tuple[StreamInfo, bool]:
        """Creates a stream; see `Store.create`."""
        head = self._head(name)
        if head is not None:
            same_config(head, plain_config(config))
            return _committed(head), False
        return await self._writer.call(partial(self._engine.catalog.create, name, config))

    async def append(self, batch: Sequence[Append]) -> list[Appended | TokentapeError]:
        """Appends a batch; see `Store.append`."""
        return await self._writer.append(batch)

    def submit(self, batch: Sequence[Append]) -> asyncio.Future[list[Appended | TokentapeError]]:
        """Appends a batch, at once if the disk is quick; see `Submitting.submit`."""
        # A commit that waits for the disk is not one to wait for.
        return self._writer.append(batch, lend=self._durability == "normal")

    async def read(self, name: str, after: int, *, max_bytes: int = 262_144, max_records: int = 10_000) -> Page:
        """Reads on from `after`; see `Store.read`."""
        head = self._heads.get(name) if self._writer.is_open else None
        if head is None:
            head = await self._writer.call(partial(self._engine.catalog.get, name))
        if head.over(self._clock):
            raise not_found(name)
        head.lifetime.renew(self._clock.steady())
        tail = head.tail
        closed, last = tail.seen()
        check_position(name, after, first=head.first, last=last)
        records: list[bytes] = []
        if after + 1 < tail.first:
            records = await self._fetch(head, after, tail.first - 1, max_bytes, max_records)
        start = after + 1 + len(records) - tail.first
        if start >= 0:
            records += tail.records[start : min(last + 1 - tail.first, start + max(1, max_records))]
            del records[fit(records, max_bytes, max_records) :]
        return Page(head.epoch, list(enumerate(records, after + 1)), last, closed)

    def _head(self, name: str) -> StoredHead | None:
        """A stream that is in memory and has not run out: thousands who come to watch it need not wait for commits."""
        head = self._heads.get(name) if self._writer.is_open else None
        return head if head is not None and not head.over(self._clock) else None

    async def _fetch(self, head: StoredHead, after: int, upto: int, max_bytes: int, max_records: int) -> list[bytes]:
        """Records from the file; at least one."""
        fetch = partial(self._reader.fetch, head.id, after, upto, max_bytes=max_bytes, max_records=max_records)
        try:
            records = await asyncio.get_running_loop().run_in_executor(self._threads, fetch)
        except apsw.Error as error:
            log.error("the store cannot read: %s", details(error))  # noqa: TRY400 - the disk, not the code
            raise explain(error) from None
        except msgspec.DecodeError as error:
            log.error("a segment of stream %r is damaged: %s", head.name, error)  # noqa: TRY400 - likewise
            raise StoreUnavailable(
                f"Records of {head.name!r} are damaged: the operator finds more in the log."
            ) from None
        if records:
            return records
        # They went while it read.
        if head.deleted:
            raise not_found(head.name)
        raise CursorGone(f"Offset {after + 1} of {head.name!r} is no longer kept.", reason="trimmed")

    async def delete(self, name: str) -> None:
        """Deletes a stream; raises `StreamNotFound`."""
        await self._writer.call(partial(self._engine.delete, name))

    async def diagnose(self) -> list[Finding]:
        """What an operator should know of the file."""
        work = partial(diagnose, self._path, self._durability)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def info(self, name: str) -> StreamInfo:
        """The stream as it is now; raises `StreamNotFound`."""
        head = self._head(name)
        if head is not None:
            return _committed(head)
        return await self._writer.call(lambda: self._engine.catalog.get(name).info())

    async def list(self, prefix: str = "", *, after: str = "", limit: int = 100) -> list[StreamInfo]:
        """Streams by name; see `Listing.list`."""
        return await self._writer.call(partial(self._engine.catalog.select, prefix, after=after, limit=limit))

    async def acquire(self, name: str, holder: str, *, seconds: float, value: bytes = b"") -> LeaseInfo | None:
        """Takes a lease; see `Leasing.acquire`."""
        return await self._writer.call(partial(self._engine.acquire, name, holder, seconds=seconds, value=value))

    async def renew(self, name: str, token: int, *, seconds: float) -> bool:
        """Keeps a lease; False when it was lost."""
        return self._engine.renew(name, token, seconds=seconds)

    async def release(self, name: str, token: int) -> None:
        """Gives a lease back; without effect when it was lost."""
        await self._writer.call(partial(self._engine.release, name, token))

    async def renew_all(self, held: Sequence[Fence], *, seconds: float) -> Sequence[bool]:
        """Keeps leases; see `Leasing.renew_all`."""
        return [self._engine.renew(*fence, seconds=seconds) for fence in held]

    async def leases(self, prefix: str = "", *, dead: bool = False) -> Sequence[LeaseInfo]:
        """All leases that were acquired and not released; those of an earlier process are not live."""
        return await self._writer.call(partial(self._engine.leases, prefix, dead=dead))


def _committed(head: StoredHead) -> StreamInfo:
    """The stream as of its last commit; the writer thread may be in the middle of the next one."""
    closed, last = head.tail.seen()
    return msgspec.structs.replace(head.info(), last=last, closed=closed)
