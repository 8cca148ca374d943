"""Sweeping: streams whose retention has run out are deleted, and what deleted or trimmed streams left is removed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import apsw

from tokentape.core.cursor import MAX_OFFSET
from tokentape.stores.retention import Clock
from tokentape.stores.sqlite.catalog import Catalog
from tokentape.stores.sqlite.database import begin
from tokentape.stores.sqlite.head import StoredHead

SLICE_STREAMS: Final = 256
SLICE_SEGMENTS: Final = 32
SLICE_KEYS: Final = 512
"""How much one slice removes, so that a commit waits for a few milliseconds at most."""

EVERYTHING: Final = MAX_OFFSET + 1

RENEWAL_SHARE: Final = 8
"""Reads that renew a stream are written down once they have moved its end by this part of its idle time."""


class Sweeper:
    """Applies retention. Garbage is a queue of (stream, offset): everything below that offset goes."""

    def __init__(self, db: apsw.Connection, catalog: Catalog, clock: Clock) -> None:
        self._db = db
        self._catalog = catalog
        self._clock = clock
        self._garbage: deque[tuple[int, int]] = deque(
            (stream, EVERYTHING) for (stream,) in db.execute("SELECT stream FROM garbage")
        )

    @property
    def busy(self) -> bool:
        """Whether there is garbage."""
        return bool(self._garbage)

    def deleted(self, heads: Sequence[StoredHead]) -> None:
        """These streams were deleted."""
        self._garbage.extend((head.id, EVERYTHING) for head in heads)

    def trimmed(self, heads: Sequence[StoredHead]) -> None:
        """These streams' `first` has moved on, and that is written down."""
        self._garbage.extend((head.id, head.first) for head in heads)

    def sweep(self) -> int:
        """Deletes streams whose retention has run out, a slice of them; returns how many."""
        steady = self._clock.steady()
        self.write_renewals(head for head in self._catalog.heads.values() if _worth_writing(head, steady))
        expired = self._expired()
        for head in expired:
            self._catalog.delete(head)
        if expired:
            self._db.execute("COMMIT")
        self.deleted(self._catalog.settle())
        return len(expired)

    def write_renewals(self, heads: Iterable[StoredHead]) -> None:
        """Writes down how far reads have moved the ends of these streams, in a transaction of its own."""
        renewed = [head for head in heads if head.renewed]
        if renewed:
            begin(self._db)
            for head in renewed:
                self._db.execute(WRITE_RENEWAL, (*head.deadlines(), head.id))
            self._db.execute("COMMIT")
        for head in renewed:
            head.idle_written = head.lifetime.idle_until

    def _expired(self) -> list[StoredHead]:
        expired = {head.id: head for head in self._catalog.heads.values() if head.over(self._clock)}
        due = self._db.execute(DUE, (self._clock.steady(), self._clock.wall_ms(), SLICE_STREAMS))
        for stream in [stream for (stream,) in due]:
            head = self._catalog.get_by_id(stream)
            if head is not None and head.over(self._clock):
                expired[head.id] = head
        return list(expired.values())[:SLICE_STREAMS]

    def collect(self) -> None:
        """Removes a slice of garbage, in a transaction of its own."""
        stream, below = self._garbage[0]
        begin(self._db)
        removed = self._remove(REMOVE_SEGMENTS, stream, below, SLICE_SEGMENTS)
        removed += self._remove(REMOVE_KEYS, stream, below, SLICE_KEYS)
        if below == EVERYTHING:
            removed += self._remove(REMOVE_PRODUCERS, stream, SLICE_KEYS)
            if not removed:
                self._db.execute("DELETE FROM garbage WHERE stream = ?", (stream,))
        self._db.execute("COMMIT")
        if not removed:
            self._garbage.popleft()

    def _remove(self, statement: str, *bindings: int) -> int:
        self._db.execute(statement, bindings)
        return self._db.changes()


def _worth_writing(head: StoredHead, steady: float) -> bool:
    if not head.renewed:
        return False
    moved = head.lifetime.idle_until - head.idle_written
    return head.idle_written <= steady or moved * RENEWAL_SHARE >= head.config.retention.idle


WRITE_RENEWAL: Final = "UPDATE head SET idle_until = ?, closed_until = ?, due = ? WHERE stream = ?"
DUE: Final = "SELECT stream FROM head WHERE due <= ?1 UNION ALL SELECT id FROM stream WHERE expires_at <= ?2 LIMIT ?3"
REMOVE_SEGMENTS: Final = """
    DELETE FROM segment WHERE stream = ?1 AND last <= (SELECT max(last) FROM
        (SELECT last FROM segment WHERE stream = ?1 AND last < ?2 ORDER BY last LIMIT ?3))"""
REMOVE_KEYS: Final = """
    DELETE FROM record_key WHERE stream = ?1 AND position <= (SELECT max(position) FROM
        (SELECT position FROM record_key WHERE stream = ?1 AND position < ?2 ORDER BY position LIMIT ?3))"""
REMOVE_PRODUCERS: Final = """
    DELETE FROM producer WHERE stream = ?1 AND id <= (SELECT max(id) FROM
        (SELECT id FROM producer WHERE stream = ?1 ORDER BY id LIMIT ?2))"""
