"""The streams of the file, and the heads of those in use: found, made, deleted, listed and forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import islice
from typing import Any, Final

import apsw
import msgspec

from tokentape.stores.base import StreamConfig, StreamInfo
from tokentape.stores.log import fresh_epoch, not_found, plain_config, same_config
from tokentape.stores.retention import Clock, Lifetime
from tokentape.stores.sqlite.database import begin, insert_rows
from tokentape.stores.sqlite.head import HeadRow, StoredHead


class Catalog:
    """Heads by name, for the writer thread; `heads` may be read from any thread and is as committed.

    What a transaction makes or deletes is seen by `find` at once, and moves into `heads` by `settle`.
    """

    def __init__(self, db: apsw.Connection, clock: Clock, *, max_heads: int) -> None:
        self._db = db
        self._clock = clock
        self._max_heads = max_heads
        self._pending: dict[str, StoredHead | None] = {}
        self._dropped: list[StoredHead] = []
        self.heads: dict[str, StoredHead] = {}

    @property
    def settled(self) -> Mapping[str, StoredHead]:
        """Heads that `find` would find too, unless their retention has run out."""
        return {} if self._pending else self.heads

    def find(self, name: str) -> StoredHead | None:
        """The head of a stream; None when there is none, or its retention has run out."""
        head = self._find(name)
        return None if head is None or head.over(self._clock) else head

    def get(self, name: str) -> StoredHead:
        """The head of a stream; raises `StreamNotFound`."""
        head = self.find(name)
        if head is None:
            raise not_found(name)
        return head

    def get_by_id(self, stream: int) -> StoredHead | None:
        """The head of a stream of the file, also of one whose retention has run out."""
        name = self._db.execute("SELECT name FROM stream WHERE id = ?", (stream,)).get
        return None if name is None else self._find(name)

    def create(self, name: str, config: StreamConfig) -> tuple[StreamInfo, bool]:
        """Makes a stream, as part of a transaction; see `Store.create`."""
        config = plain_config(config)
        head = self._find(name)
        if head is not None and not head.over(self._clock):
            same_config(head, config)
            return head.info(), False
        if head is not None:
            self.delete(head)
        begin(self._db)
        epoch, created_at = fresh_epoch(), self._clock.wall_ms()
        values = (name, epoch, msgspec.json.encode(config), created_at, config.retention.expires_at or None)
        stream = self._db.execute(INSERT_STREAM, values).get
        lifetime = Lifetime(config.retention, self._clock.steady())
        head = StoredHead(self._db, stream, name, epoch=epoch, config=config, lifetime=lifetime, created_at=created_at)
        if lifetime.slides:
            insert_rows(self._db, "INSERT INTO head VALUES", [head.row(0)])
        self._pending[name] = head
        return head.info(), True

    def delete(self, head: StoredHead) -> None:
        """Deletes a stream, as part of a transaction; its records become garbage."""
        begin(self._db)
        for statement in DELETE_STREAM:
            self._db.execute(statement, (head.id,))
        self._dropped.append(head)
        self._pending[head.name] = None

    def select(self, prefix: str, *, after: str, limit: int) -> list[StreamInfo]:
        """Streams by name; see `Listing.list`."""
        found: list[StreamInfo] = []
        statement = f"{SELECT_STREAM} WHERE name >= ? AND name > ? ORDER BY name"
        with closing(self._db.execute(statement, (prefix, after))) as rows:
            for row in rows:
                if len(found) >= limit or not row[1].startswith(prefix):
                    break
                head = self._pending.get(row[1]) or self.heads.get(row[1]) or self._restore(row)
                if not head.over(self._clock):
                    found.append(head.info())
        return found

    def settle(self) -> list[StoredHead]:
        """The transaction is committed; returns the heads of deleted streams."""
        dropped, self._dropped = self._dropped, []
        for head in dropped:
            head.deleted = True
        for name, found in self._pending.items():
            if found is None:
                self.heads.pop(name, None)
            else:
                self.heads[name] = found
        self._pending = {}
        return dropped

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._pending = {}
        self._dropped = []

    def surplus(self) -> list[StoredHead]:
        """Heads to drop so that their number stays in bounds: the first loaded of those that are wholly in the file."""
        count = len(self.heads) - self._max_heads
        if count <= 0:
            return []
        clean = (head for head in self.heads.values() if not head.dirty)
        return list(islice(clean, count + self._max_heads // 4))

    def drop(self, heads: Iterable[StoredHead]) -> None:
        """Forgets heads; they are loaded again when they are asked for."""
        for head in heads:
            del self.heads[head.name]

    def _find(self, name: str) -> StoredHead | None:
        if name in self._pending:
            return self._pending[name]
        head = self.heads.get(name)
        if head is None:
            row = self._db.execute(f"{SELECT_STREAM} WHERE name = ?", (name,)).fetchone()
            if row is not None:
                head = self.heads[name] = self._restore(row)
        return head

    def _restore(self, row: tuple[Any, ...]) -> StoredHead:
        stream, name, epoch, packed, created_at, *state = row
        config = _decode_config(packed)
        lifetime = Lifetime(config.retention, self._clock.steady())
        head = StoredHead(self._db, stream, name, epoch=epoch, config=config, lifetime=lifetime, created_at=created_at)
        if state[0] is not None:
            head.restore(HeadRow(*state))
        return head


_decode_config = msgspec.json.Decoder(StreamConfig).decode

SELECT_STREAM: Final = (
    "SELECT id, name, epoch, config, created_at, "
    "stream, journal, first, last, bytes, appended_at, closed_at, sequence, idle_until, closed_until, due "
    "FROM stream LEFT JOIN head ON stream = id"
)
INSERT_STREAM: Final = (
    "INSERT INTO stream (name, epoch, config, created_at, expires_at) VALUES (?, ?, ?, ?, ?) RETURNING id"
)
DELETE_STREAM: Final = (
    "DELETE FROM stream WHERE id = ?",
    "DELETE FROM head WHERE stream = ?",
    "INSERT INTO garbage VALUES (?)",
)
