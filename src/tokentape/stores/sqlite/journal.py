"""The journal: one row per commit, with every change of every stream, in the order of the commits.

This is what makes a commit cheap. 500 streams that each get a token would dirty 500 pages of a table
ordered by stream; here they share one row of a table that only grows at its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import apsw
import msgspec

from tokentape.stores.log import Addition, Change
from tokentape.stores.sqlite.database import begin

MAX_ROW: Final = 16_777_216
"""Bytes of changes in one row, unless a single change is larger: well below SQLite's bound of 10^9 for a value."""


class Row(msgspec.Struct, array_like=True, frozen=True):
    """What one commit changed, and when: milliseconds of wall clock, and steady seconds (retention.py)."""

    wall_ms: int
    steady: float
    changes: Sequence[Change]


class Journal:
    """Writes and replays the journal. `seq` is its last row; `rows` and `bytes` are what a replay would cost."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._encode = msgspec.msgpack.Encoder().encode
        counted = db.execute("SELECT value FROM counter WHERE name = 'journal'").get
        self.seq: int = db.execute("SELECT coalesce(max(seq), ?) FROM journal", (counted,)).get
        self._kept = self.seq
        self.rows = 0
        self.bytes = 0

    def write(self, changes: Sequence[Change | Addition], *, wall_ms: int, steady: float) -> int:
        """Writes what one commit changes; returns the bytes written, which `kept` counts once it is committed.

        A single row outside a transaction is a transaction by itself: one step of SQLite per commit.
        """
        payload = self._encode((wall_ms, steady, changes))  # as a `Row` is read
        if len(payload) > MAX_ROW and len(changes) > 1:
            begin(self._db)
            middle = len(changes) // 2
            first = self.write(changes[:middle], wall_ms=wall_ms, steady=steady)
            return first + self.write(changes[middle:], wall_ms=wall_ms, steady=steady)
        self._db.execute("INSERT INTO journal VALUES (?, ?)", (self.seq + 1, payload))
        self.seq += 1
        return len(payload)

    def kept(self, size: int) -> None:
        """A commit of this many bytes has happened."""
        self._kept = self.seq
        self.rows += 1
        self.bytes += size

    def forget(self) -> None:
        """The transaction was rolled back; the numbers of its rows are free again."""
        self.seq = self._kept

    def replay(self) -> Iterator[tuple[int, Row]]:
        """The rows in order; raises `msgspec.DecodeError` for a row that is damaged."""
        decode = msgspec.msgpack.Decoder(Row).decode
        for seq, payload in self._db.execute("SELECT seq, changes FROM journal ORDER BY seq"):
            self.rows += 1
            self.bytes += len(payload)
            yield seq, decode(payload)

    def mark(self) -> int:
        """Starts counting anew; returns the last row so far, up to which `discard` will remove."""
        self.rows = self.bytes = 0
        return self.seq

    def discard(self, seq: int) -> None:
        """Removes the rows up to `seq`, as part of the transaction under way."""
        self._db.execute("DELETE FROM journal WHERE seq <= ?", (seq,))
        self._db.execute("UPDATE counter SET value = ? WHERE name = 'journal'", (self.seq,))
