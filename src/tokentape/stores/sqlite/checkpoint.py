"""Checkpoints: the write-ahead log moves into the database, so that neither grows without bound.

Most of it is moved by a thread of its own, with commits going on, in steps: a thread that copies has its share of the
processor, and whoever waits for a token should not notice. But while anybody writes there is nearly always a rest, and
the log starts over only when nothing is left in it: so that is moved between two commits, and is little by then.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Final

import apsw

from tokentape.stores.sqlite.database import BUSY_MILLISECONDS, open_mover

AHEAD_BYTES: Final = 4_194_304
"""What the thread moves in one step. A log that is full and shorter is moved between two commits at once, in some ten
milliseconds."""
LAST_PASSES: Final = 2
"""Of the thread, once the log has reached its limit: the second takes what was written during the first."""
TRUNCATE_FACTOR: Final = 4
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
        self._step = min(self._ahead_pages, self._limit)
        self._next = self._step
        self._ahead: threading.Thread | None = None
        self._ahead_to = 0  # where the log ended when that thread began
        self._started_over = False  # since then, so that what it has moved was another log
        db.set_wal_hook(self._committed)

    @property
    def due(self) -> bool:
        """Whether there is something to do, also to look whether the thread is through."""
        return self._pages >= self._next

    def run(self) -> None:
        """Begins a step, or ends one; at the limit all is moved, with which the next commit starts the log over."""
        if self._ahead is not None and self._ahead.is_alive():
            if self._pages < self._limit * TRUNCATE_FACTOR:
                return
            self._ahead.join()  # more is written than the disk can move meanwhile
        moved = self._ahead is not None and not self._started_over
        self._ahead = None
        full = self._pages >= self._limit
        if full and (moved or self._pages < self._ahead_pages):
            self._move()
        elif moved:
            self._next = min(self._ahead_to + self._step, self._limit)
        else:
            self._started_over = False
            self._ahead_to = self._pages
            passes = LAST_PASSES if full else 1
            self._ahead = threading.Thread(
                target=self._move_ahead, args=(passes,), name="tokentape-checkpoint", daemon=True
            )
            self._ahead.start()

    def _move_ahead(self, passes: int) -> None:
        # Whatever goes wrong here goes wrong again in the writer's thread, which says so.
        with contextlib.suppress(apsw.Error), contextlib.closing(open_mover(self._path)) as db:
            for _ in range(passes):
                db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _move(self) -> None:
        pages, moved = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if moved < pages and pages >= self._limit * TRUNCATE_FACTOR:
            pages, moved = self._truncate()
        if moved < pages:  # somebody reads what is in the log: not again at each commit
            self._pages, self._next = pages, pages + self._limit
        else:
            self._pages, self._next = 0, self._step

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
            self._next = self._step
        self._pages = pages
        return apsw.SQLITE_OK
