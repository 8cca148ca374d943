"""Checkpoints: the write-ahead log moves into the database, so that neither grows without bound.

Most of it is moved by a thread of its own, with commits going on. But while anybody writes there is always a rest, and
the log starts over only when nothing is left in it: so the rest is moved between two commits, and is small by then.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Final

import apsw

from tokentape.stores.sqlite.database import BUSY_MILLISECONDS, open_mover

AHEAD_BYTES: Final = 4_194_304
"""A log that is shorter than this is moved between two commits at once: some ten milliseconds."""
PASSES: Final = 2
"""Of the thread: the second takes what was written during the first."""
TRUNCATE_FACTOR: Final = 8
"""A log that is this many times over its limit is worth waiting: for its readers, briefly, and for the thread."""
TRUNCATE_MILLISECONDS: Final = 100


class Checkpointer:
    """Counts the pages of the log, and checkpoints when it has reached its limit."""

    def __init__(self, db: apsw.Connection, path: Path, *, limit: int) -> None:
        """`limit` is in bytes."""
        self._db = db
        self._path = path
        self._pages = 0
        page_size: int = db.pragma("page_size")
        self._limit = max(1, limit // page_size)
        self._ahead_pages = AHEAD_BYTES // page_size
        self._next = self._limit
        self._ahead: threading.Thread | None = None
        self._started_over = False  # since then, so that what it has moved was another log
        db.set_wal_hook(self._committed)

    @property
    def due(self) -> bool:
        """Whether there is something to do, also to look whether the thread is through."""
        return self._pages >= self._next

    def run(self) -> None:
        """Begins, or ends when all but the rest is moved; with that the next commit starts the log over."""
        if self._ahead is not None and self._ahead.is_alive():
            if self._pages < self._limit * TRUNCATE_FACTOR:
                return
            self._ahead.join()  # more is written than the disk can move meanwhile
        moved = self._ahead is not None and not self._started_over
        self._ahead = None
        if moved or self._pages < self._ahead_pages:
            self._move()
        else:
            self._started_over = False
            self._ahead = threading.Thread(target=self._move_ahead, name="tokentape-checkpoint", daemon=True)
            self._ahead.start()

    def _move_ahead(self) -> None:
        # Whatever goes wrong here goes wrong again in the writer's thread, which says so.
        with contextlib.suppress(apsw.Error), contextlib.closing(open_mover(self._path)) as db:
            for _ in range(PASSES):
                db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _move(self) -> None:
        pages, moved = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if moved < pages and pages >= self._limit * TRUNCATE_FACTOR:
            pages, moved = self._truncate()
        self._pages = pages - moved
        self._next = self._pages + self._limit

    def close(self) -> None:
        """Moves everything, as far as readers let it."""
        if self._ahead is not None:
            self._ahead.join()
        self._truncate()

    def _truncate(self) -> tuple[int, int]:
        """Moves everything, and empties the log's file, if its readers finish in time."""
        self._db.set_busy_timeout(TRUNCATE_MILLISECONDS)
        try:
            return self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return self._pages, 0
        finally:
            self._db.set_busy_timeout(BUSY_MILLISECONDS)

    def _committed(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._pages:
            self._started_over = True
            self._next = self._limit
        self._pages = pages
        return apsw.SQLITE_OK
