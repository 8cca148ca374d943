"""Flushing: what the journal holds moves into each stream's own segments, a few streams at a time."""

from __future__ import annotations

from typing import Final

import apsw

from tokentape.core.producer import MAX_PRODUCERS
from tokentape.stores.sqlite.database import begin, insert_rows
from tokentape.stores.sqlite.head import StoredHead
from tokentape.stores.sqlite.journal import Journal
from tokentape.stores.sqlite.segments import split

SLICE_HEADS: Final = 64
SLICE_BYTES: Final = 65_536
"""One slice is this many streams, or records of about this size: a millisecond between two commits."""

PLACES: Final = 2**20
"""Producers that one flush can put in order."""
FORGET_PRODUCERS: Final = """
    DELETE FROM producer WHERE stream = ?1 AND place <=
        (SELECT place FROM producer WHERE stream = ?1 ORDER BY place DESC LIMIT 1 OFFSET ?2)"""


class Flusher:
    """Takes dirty heads, those with changes that are only in the journal, and writes them where they belong.

    A round covers all heads that are dirty when it begins, and ends by removing the journal's rows up to
    there. A process that is killed in mid-round leaves some heads that are ahead of the journal's rows; a
    head says which row it has come to, so that replaying skips what is in it already.
    """

    def __init__(
        self, db: apsw.Connection, journal: Journal, *, journal_bytes: int, journal_rows: int, max_dirty: int
    ) -> None:
        self._db = db
        self._journal = journal
        self._journal_bytes = journal_bytes
        self._journal_rows = journal_rows
        self._max_dirty = max_dirty
        self._dirty: list[StoredHead] = []
        self._round: list[StoredHead] = []
        self._size = 0  # of the round as it began
        self._upto = 0

    @property
    def due(self) -> bool:
        """Whether a round should begin: the journal, or what is kept in memory because of it, is large enough."""
        return self._fullness >= 1

    @property
    def early(self) -> bool:
        """Whether a round is under way, and will at this pace be over long before the next one is due."""
        return bool(self._round) and 1 - len(self._round) / self._size > 2 * self._fullness

    @property
    def _fullness(self) -> float:
        journal = self._journal
        return max(
            journal.bytes / self._journal_bytes, journal.rows / self._journal_rows, len(self._dirty) / self._max_dirty
        )

    @property
    def busy(self) -> bool:
        """Whether a round is under way."""
        return bool(self._round)

    @property
    def empty(self) -> bool:
        """Whether everything is flushed."""
        return not (self._round or self._dirty)

    def mark(self, head: StoredHead) -> None:
        """A head has a change that is only in the journal."""
        if not head.dirty:
            head.dirty = True
            self._dirty.append(head)

    def step(self) -> list[StoredHead]:
        """Flushes a slice, starting a round if need be; returns the heads whose oldest segments can go now."""
        if not self._round:
            self._round, self._dirty = self._dirty, []
            self._size = len(self._round)
            self._upto = self._journal.mark()
        chosen = self._choose()
        begin(self._db)
        self._write(chosen)
        if len(chosen) == len(self._round):
            self._journal.discard(self._upto)
        self._db.execute("COMMIT")
        del self._round[: len(chosen)]
        trimmed = [head for head in chosen if head.trimmed and not head.deleted]
        for head in chosen:
            head.flushed(head.last)
        return trimmed

    def _choose(self) -> list[StoredHead]:
        chosen: list[StoredHead] = []
        size = 0
        for head in self._round:
            if len(chosen) >= SLICE_HEADS or size >= SLICE_BYTES:
                break
            chosen.append(head)
            size += sum(map(len, head.tail.records))
        return chosen

    def _write(self, heads: list[StoredHead]) -> None:
        heads = [head for head in heads if not head.deleted]
        db, seq = self._db, self._journal.seq
        insert_rows(
            db,
            "INSERT INTO segment VALUES",
            [row for head in heads for row in split(head.id, head.tail.first, head.tail.records)],
        )
        insert_rows(
            db,
            "INSERT OR REPLACE INTO record_key VALUES",
            [(head.id, key, offset) for head in heads for key, offset in head.keys.items()],
        )
        insert_rows(
            db,
            "INSERT OR REPLACE INTO producer VALUES",
            [
                (head.id, name, *state, seq * PLACES + place)
                for head in heads
                for place, (name, state) in enumerate(head.producers.items())
            ],
        )
        for head in heads:
            if head.crowded:
                db.execute(FORGET_PRODUCERS, (head.id, MAX_PRODUCERS))
        insert_rows(db, "INSERT OR REPLACE INTO head VALUES", [head.row(seq) for head in heads])
