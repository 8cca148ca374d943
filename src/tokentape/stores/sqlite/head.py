"""A stream as the SQLite store keeps it in memory: its head, and the tail of records that are only in the journal."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import apsw

from tokentape.core.producer import MAX_PRODUCERS, ProducerState
from tokentape.stores.base import StreamConfig
from tokentape.stores.log import Head, Tail
from tokentape.stores.retention import Lifetime


class StoredHead(Head):
    """A head with what connects it to the file. Only the writer thread changes it."""

    __slots__ = (
        "_db",
        "bounded",
        "deleted",
        "dirty",
        "idle_written",
        "journal",
        "keys",
        "stored_producers",
        "stores_keys",
        "trimmed",
    )

    def __init__(
        self,
        db: apsw.Connection,
        stream: int,
        name: str,
        *,
        epoch: str,
        config: StreamConfig,
        lifetime: Lifetime,
        created_at: int,
    ) -> None:
        super().__init__(name, epoch=epoch, config=config, lifetime=lifetime, created_at=created_at)
        self._db = db
        self.id = stream
        self.bounded = config.retention.max_bytes > 0
        self.journal = 0
        self.keys: dict[str, int] = {}
        self.stores_keys = False
        self.stored_producers = 0
        self.deleted = False
        self.dirty = False
        self.trimmed = False
        self.idle_written = lifetime.idle_until

    @property
    def renewed(self) -> bool:
        """Whether reads have moved its idle time since that was last written down."""
        return self.idle_written != self.lifetime.idle_until

    @property
    def crowded(self) -> bool:
        """Whether there may be more producers, once these are written down too, than are kept."""
        return bool(self.producers) and self.stored_producers + len(self.producers) > 2 * MAX_PRODUCERS

    def find_key(self, key: str) -> int:
        offset = self.keys.get(key, 0)
        if not offset and self.stores_keys:
            offset = self._db.execute(FIND_KEY, (self.id, key)).get or 0
        return offset if offset >= self.first else 0

    def find_producer(self, producer: str) -> ProducerState | None:
        state = self.producers.get(producer)
        if state is None and self.stored_producers:
            row = self._db.execute(FIND_PRODUCER, (self.id, producer)).get
            if row is not None:
                state = self.producers[producer] = ProducerState(*row)
        return state

    def add_key(self, key: str, offset: int) -> None:
        self.keys[key] = offset

    def drop_key(self, key: str) -> None:
        self.keys.pop(key, None)

    def flushed(self, last: int) -> None:
        """Everything up to `last`, and all else that is committed, is in the file's tables now."""
        self.tail = Tail(last + 1, [], closed=self.tail.closed)
        self.stores_keys = self.stores_keys or bool(self.keys)
        self.stored_producers = MAX_PRODUCERS if self.crowded else self.stored_producers + len(self.producers)
        self.keys = {}
        self.producers = {}
        self.idle_written = self.lifetime.idle_until
        self.dirty = self.trimmed = False

    def row(self, journal: int) -> HeadRow:
        """Its row of the `head` table, as of this journal row."""
        return HeadRow(
            self.id,
            journal,
            self.first,
            self.last,
            self.bytes,
            self.appended_at,
            self.closed_at,
            self.sequence,
            *self.deadlines(),
        )

    def deadlines(self) -> tuple[float | None, float | None, float | None]:
        """The row's last three columns."""
        life = self.lifetime
        return _finite(life.idle_until), _finite(life.closed_until), _finite(life.deadline)

    def restore(self, row: HeadRow) -> None:
        """Takes up the state that was written down."""
        self.journal = row.journal
        self.first, self.last, self.bytes = row.first, row.last, row.bytes
        self.appended_at, self.closed_at, self.sequence = row.appended_at, row.closed_at, row.sequence
        self.closed = row.closed_at > 0
        self.tail = Tail(row.last + 1, [], closed=self.closed)
        retention = self.config.retention
        self.lifetime = Lifetime(retention, 0, idle_until=row.idle_until, closed_until=row.closed_until)
        self.idle_written = self.lifetime.idle_until
        self.stores_keys = bool(self._db.execute(HAS_KEYS, (self.id,)).get)
        self.stored_producers = self._db.execute(COUNT_PRODUCERS, (self.id,)).get


class HeadRow(NamedTuple):
    """A row of the `head` table."""

    stream: int
    journal: int
    first: int
    last: int
    bytes: int
    appended_at: int
    closed_at: int
    sequence: str | None
    idle_until: float | None
    closed_until: float | None
    due: float | None


FIND_KEY: Final = "SELECT position FROM record_key WHERE stream = ? AND key = ?"
HAS_KEYS: Final = "SELECT EXISTS (SELECT 1 FROM record_key WHERE stream = ?)"
FIND_PRODUCER: Final = "SELECT epoch, seq FROM producer WHERE stream = ? AND id = ?"
COUNT_PRODUCERS: Final = "SELECT count(*) FROM producer WHERE stream = ?"


def _finite(moment: float) -> float | None:
    return moment if moment < math.inf else None
