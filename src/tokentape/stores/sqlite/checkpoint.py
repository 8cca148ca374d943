"""Checkpoints: the write-ahead log moves into the database, so that neither grows without bound.

A thread of its own moves it, with commits going on: a disk may take its time to say that something is on it, and no
token is to wait for that. It moves in steps, since a thread that copies has its share of the processor. The log starts
over once nothing is left in it, which under load needs commits to wait: for what little is left then, and not for long.
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
REST_BYTES: Final = 1_048_576
"""So little of a full log is moved while commits wait."""
REST_SECONDS: Final = 0.01
"""And for no longer than this; if that is too short, they wait again a step later."""
TRUNCATE_FACTOR: Final = 4
"""A log that is this many times over its limit is worth waiting: for its readers, briefly, and for the disk."""
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
        self._rest_pages = REST_BYTES // page_size
        self._step = min(self._ahead_pages, self._limit)
        self._next = self._step
        self._ahead: threading.Thread | None = None
        self._ahead_to = 0  # where the log ended when that thread began
        self._failed = False  # set by that thread
        self._started_over = False  # since then, so that what it has moved was another log
        db.set_wal_hook(self._committed)

    @property
    def due(self) -> bool:
        """Whether there is something to do, also to look whether the thread is through."""
        return self._pages >= self._next

    def run(self) -> None:
        """Begins a step, or ends one; with the last one the next commit starts the log over."""
        enough = self._pages >= self._limit * TRUNCATE_FACTOR
        if self._ahead is not None and self._ahead.is_alive():
            if not enough:
                return
            self._ahead.join()  # more is written than the disk can move meanwhile
        moved = self._ahead_to if self._ahead is not None and not self._started_over else 0
        failed, self._failed = self._failed, False
        self._ahead = None
        if enough or failed or self._limit <= self._pages < self._ahead_pages:
            self._move()
        elif moved and (self._pages < self._limit or self._pages == moved):
            self._next = moved + self._step
        else:
            self._started_over = False
            self._ahead_to = self._pages
            self._ahead = threading.Thread(target=self._move_ahead, name="tokentape-checkpoint", daemon=True)
            self._ahead.start()
            if self._pages - moved <= self._rest_pages:
                self._ahead.join(REST_SECONDS)
                self._next = self._pages + self._step

    def _move_ahead(self) -> None:
        try:
            with contextlib.closing(open_mover(self._path)) as db:
                db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:
            self._failed = True  # goes wrong again in the writer's thread, which says so

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
