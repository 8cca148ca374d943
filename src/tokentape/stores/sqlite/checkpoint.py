"""Checkpoints: the write-ahead log moves into the database between commits, so that neither grows without bound."""

from __future__ import annotations

from typing import Final

import apsw

from tokentape.stores.sqlite.database import BUSY_MILLISECONDS

TRUNCATE_FACTOR: Final = 8
"""A log that is this many times over its limit is worth waiting for its readers, briefly."""
TRUNCATE_MILLISECONDS: Final = 100


class Checkpointer:
    """Counts the pages of the log, and checkpoints when it has reached its limit."""

    def __init__(self, db: apsw.Connection, *, limit: int) -> None:
        self._db = db
        self._pages = 0
        self._limit: int = max(1, limit // db.pragma("page_size"))
        self._next: int = self._limit
        db.set_wal_hook(self._committed)

    @property
    def due(self) -> bool:
        return self._pages >= self._next

    def run(self) -> None:
        """Moves what no reader is in the way of; after that the next commit starts the log over, if that was all."""
        pages, moved = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if moved < pages and pages >= self._limit * TRUNCATE_FACTOR:
            pages, moved = self.truncate()
        self._pages = pages - moved
        self._next = self._pages + self._limit

    def truncate(self) -> tuple[int, int]:
        """Moves everything, and empties the log's file, if its readers finish in time."""
        self._db.set_busy_timeout(TRUNCATE_MILLISECONDS)
        try:
            return self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return self._pages, 0
        finally:
            self._db.set_busy_timeout(BUSY_MILLISECONDS)

    def _committed(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK
