"""The engine: everything that changes the file, without threads or an event loop. One thread at a time uses it."""

from __future__ import annotations

import logging
import math
from asyncio import Future
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from tokentape.core.errors import SetupError, TokentapeError
from tokentape.stores.base import Append, LeaseInfo
from tokentape.stores.leases import Lease, LeaseTable
from tokentape.stores.log import Transaction
from tokentape.stores.retention import Clock
from tokentape.stores.sqlite.catalog import Catalog
from tokentape.stores.sqlite.checkpoint import Checkpointer
from tokentape.stores.sqlite.database import Durability, begin, details, explain, open_writer, roll_back
from tokentape.stores.sqlite.flush import Flusher
from tokentape.stores.sqlite.head import StoredHead
from tokentape.stores.sqlite.journal import Journal
from tokentape.stores.sqlite.segments import trim
from tokentape.stores.sqlite.sweep import Sweeper
from tokentape.stores.sqlite.upkeep import Upkeep

log = logging.getLogger("tokentape.store")


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of the SQLite store; the defaults suit a server with some thousand streams in use."""

    journal_bytes: int = 33_554_432
    """Records are moved from the journal to their streams when it holds this many bytes, or rows; until then they
    are also in memory."""
    journal_rows: int = 10_000
    checkpoint_bytes: int = 33_554_432
    """The write-ahead log is checkpointed to its end when it is this long."""
    max_heads: int = 10_000
    """How many streams' states are kept in memory; more only while they have records in the journal."""
    max_queued: int = 100_000
    """How many appends may wait for the disk; more are refused with `StoreUnavailable`."""
    sweep_seconds: float = 5.0
    """How often streams whose retention has run out are looked for, of those that nobody asks about."""


class Call:
    """One call of the store on its way through the writer thread: a batch to append, or other work."""

    __slots__ = ("batch", "done", "error", "future", "result", "work")

    def __init__(
        self,
        future: Future[Any],
        *,
        batch: Sequence[Append] | None = None,
        work: Callable[[], Any] | None = None,
    ) -> None:
        self.future = future
        self.batch = batch
        self.work = work
        self.result: Any = None
        self.error: Exception | None = None
        self.done = False


class Engine:
    """The open file and what is cached of it."""

    def __init__(self, path: Path, *, durability: Durability, tuning: Tuning, clock: Clock) -> None:
        self._clock = clock
        self._tuning = tuning
        self._db = open_writer(path, durability)
        try:
            self._journal = Journal(self._db)
            self._flusher = Flusher(
                self._db,
                self._journal,
                journal_bytes=tuning.journal_bytes,
                journal_rows=tuning.journal_rows,
                max_dirty=max(1, tuning.max_heads // 2),
            )
            self.catalog = Catalog(self._db, clock, max_heads=tuning.max_heads)
            self._sweeper = Sweeper(self._db, self.catalog, clock)
            self._checkpointer = Checkpointer(self._db, path, limit=tuning.checkpoint_bytes)
            self._restore(path)
        except BaseException:
            self._db.close()
            raise
        self._undo: list[Callable[[], None]] = []
        self._failing = False
        self._upkeep = Upkeep(
            self.catalog,
            self._flusher,
            self._sweeper,
            self._checkpointer,
            clock=clock,
            sweep_seconds=tuning.sweep_seconds,
            failed=self._chore_failed,
        )

    def _restore(self, path: Path) -> None:
        """Brings heads, tails and leases to where the last process left them."""
        try:
            self._leases = LeaseTable(
                self._clock.monotonic,
                last_token=self._db.execute("SELECT value FROM counter WHERE name = 'lease'").get,
            )
            rows = self._db.execute("SELECT name, token, holder, value FROM lease")
            self._leases.restore(Lease(name, token, holder, value, -math.inf) for name, token, holder, value in rows)
            self._transaction = Transaction(self.catalog.find, self._leases.fences)
            self._replay()
        except (apsw.Error, msgspec.DecodeError) as error:
            raise SetupError(f"{path} is damaged: {error}. Move it away to start afresh, or restore a copy.") from None

    def _replay(self) -> None:
        heads: dict[int, StoredHead | None] = {}
        for seq, row in self._journal.replay():
            for change in row.changes:
                if change.stream not in heads:
                    heads[change.stream] = self.catalog.get_by_id(change.stream)
                head = heads[change.stream]
                if head is None or seq <= head.journal:
                    continue
                if change.first != head.last + 1:
                    raise msgspec.DecodeError(f"offset {head.last + 1} of stream {head.name!r} is missing")
                self._transaction.stage(head, change)
                self._transaction.commit(row.wall_ms, row.steady)
                self._flusher.mark(head)
                trim(self._db, head)

    def run(self, calls: Sequence[Call]) -> None:
        """Does the calls in one transaction, and fills in their results.

        When that fails, each is tried by itself, so that one that cannot work does not take the others along.
        """
        wall_ms, steady = self._clock.wall_ms(), self._clock.steady()
        try:
            written = self._transact(calls, wall_ms, steady)
        except Exception as error:  # noqa: BLE001 - also a mistake in one call must not end the thread for all
            self._take_back()
            if len(calls) > 1:
                for call in calls:
                    call.error = None
                    self.run([call])
                return
            self._trouble(error)
            calls[0].error = explain(error) if isinstance(error, apsw.Error) else error
            return
        self._keep(written, wall_ms, steady)
        for call in calls:
            call.done = True
        if self._failing and written:
            self._failing = False
            log.warning("the store can write again")

    def _transact(self, calls: Sequence[Call], wall_ms: int, steady: float) -> int:
        for call in calls:
            try:
                if call.batch is not None:
                    call.result = self._transaction.append(call.batch, self.catalog.settled)
                elif call.work is not None:
                    call.result = call.work()
            except TokentapeError as refusal:
                call.error = refusal
        written = 0
        if self._transaction.changes:
            written = self._journal.write(self._transaction.changes, wall_ms=wall_ms, steady=steady)
        if not self._db.get_autocommit():
            self._db.execute("COMMIT")
        return written

    def _keep(self, written: int, wall_ms: int, steady: float) -> None:
        """The transaction is committed: what it changed becomes visible."""
        self._sweeper.deleted(self.catalog.settle())
        self._undo.clear()
        if not self._transaction.changes:
            return
        self._journal.kept(written)
        for head in self._transaction.commit(wall_ms, steady):
            if not (head.dirty or head.deleted):
                self._flusher.mark(head)
            if head.bounded and not head.deleted:
                self._trim(head)

    def _trim(self, head: StoredHead) -> None:
        try:
            trim(self._db, head)
        except apsw.Error as error:  # the change itself is kept; the next one trims again
            log.warning("stream %r could not be trimmed: %s", head.name, details(error))

    def _take_back(self) -> None:
        roll_back(self._db)
        self._transaction.take_back()
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        self.catalog.forget()
        self._journal.forget()

    def _chore_failed(self, error: Exception) -> None:
        self._take_back()
        self._trouble(error)

    def _trouble(self, error: Exception) -> None:
        """Logs an error; of a disk that refuses to work only the first, until it works again."""
        if not isinstance(error, apsw.Error):
            log.error("the store failed at a call", exc_info=error)
        elif not self._failing:
            self._failing = True
            log.error("the store cannot write: %s", details(error))

    def acquire(self, name: str, holder: str, *, seconds: float, value: bytes) -> LeaseInfo | None:
        """Takes a lease as part of the transaction: should this process be killed, the next one finds it."""
        before = self._leases.get(name)
        info = self._leases.acquire(name, holder, seconds=seconds, value=value)
        if info is not None:
            self._undo.append(lambda: self._leases.put_back(name, before))
            begin(self._db)
            self._db.execute("INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?)", info[:4])
            self._db.execute("UPDATE counter SET value = ? WHERE name = 'lease'", (info.token,))
        return info

    def renew(self, name: str, token: int, *, seconds: float) -> bool:
        """Keeps a lease; from any thread. Nothing is written, so this does not wait for a disk that is slow."""
        return self._leases.renew(name, token, seconds=seconds)

    def release(self, name: str, token: int) -> None:
        """Gives a lease back, as part of the transaction."""
        before = self._leases.get(name)
        if self._leases.release(name, token):
            self._undo.append(lambda: self._leases.put_back(name, before))
            begin(self._db)
            self._db.execute("DELETE FROM lease WHERE name = ?", (name,))

    def leases(self, prefix: str, *, dead: bool = False) -> list[LeaseInfo]:
        """All leases that were acquired and not released; with `dead` those alone that are not live."""
        return self._leases.infos(prefix, dead=dead)

    def delete(self, name: str) -> None:
        """Deletes a stream; raises `StreamNotFound`."""
        self.catalog.delete(self.catalog.get(name))

    def upkeep(self) -> float:
        """Does a slice of housekeeping, for a few milliseconds; returns the seconds until there is more to do."""
        return self._upkeep.run()

    def close(self) -> None:
        """Leaves the file tidy, where that works, and closes it. All that was accepted is in it anyway."""
        try:
            self._sweeper.write_renewals(self.catalog.heads.values())
            while not self._flusher.empty:
                self._flusher.step()
        except Exception as error:  # noqa: BLE001 - whoever waits for the end must not wait for ever
            self._take_back()
            self._trouble(error)
        try:
            self._checkpointer.close()
        except apsw.Error as error:
            self._trouble(error)
        self._db.close()
