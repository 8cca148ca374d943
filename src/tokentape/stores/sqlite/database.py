"""The file: locking, opening and checking it, and SQLite's errors in our words."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

import apsw

from tokentape.core.errors import SetupError, StoreFull, StoreUnavailable

Durability = Literal["normal", "full"]

APPLICATION_ID: Final = 0x74617065
"""`tape` in ASCII; in the file's header, where `file(1)` and others look (sqlite.org/fileformat.html, 1.3.14)."""
SCHEMA_VERSION: Final = 2
BUSY_MILLISECONDS: Final = 5000
"""How long to wait for somebody else's look at the file (the `sqlite3` shell, a backup)."""
CACHE_KIB: Final = 16_384
WAL_LIMIT: Final = 67_108_864
"""What a write-ahead log is cut back to once it was larger, in bytes."""


class FileLock:
    """An advisory lock on `<path>.lock`: a file belongs to one process, which caches what is in it."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._database = path
        self._descriptor = -1

    def acquire(self) -> None:
        """Raises `SetupError` when another process has it."""
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(self._descriptor, 0)
            os.write(self._descriptor, str(os.getpid()).encode())
        except OSError as error:
            holder = self._holder() if error.errno in (errno.EAGAIN, errno.EACCES) else ""
            self.release()
            if holder:
                raise SetupError(
                    f"{self._database} is in use by process {holder}. A SQLite store belongs to one process: stop that "
                    "one or use another file. Several processes or machines need a Redis store."
                ) from None
            raise SetupError(f"{self._path} cannot be written: {error.strerror}.") from None

    def release(self) -> None:
        """Lets go; the lock file stays, since removing it would race with the next process."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _holder(self) -> str:
        if self._descriptor < 0:
            return ""
        return os.pread(self._descriptor, 20, 0).decode("ascii", "replace") or "(unknown)"


def open_writer(path: Path, durability: Durability) -> apsw.Connection:
    """Opens the file for writing, making it when there is none; raises `SetupError`, and leaves foreign files alone."""
    try:
        db = apsw.Connection(str(path))
        try:
            _prepare(db, path, durability)
        except BaseException:
            db.close()
            raise
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise SetupError(
            f"{path} is not a SQLite database, or is damaged ({error}). Move it away to start afresh, or restore "
            "a copy."
        ) from None
    except apsw.Error as error:
        raise SetupError(f"{path} cannot be opened for writing: {error}. Check its folder, rights and disk.") from None
    return db


def open_reader(path: Path) -> apsw.Connection:
    """A second connection, that cannot write; raises `SetupError`."""
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        db.set_busy_timeout(BUSY_MILLISECONDS)
        db.pragma("query_only", 1)
    except apsw.Error as error:
        raise SetupError(f"{path} cannot be opened for reading: {error}.") from None
    return db


def open_mover(path: Path) -> apsw.Connection:
    """A connection that moves the log into the database, and nothing else; raises `apsw.Error`."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.wal_autocheckpoint(0)
    db.pragma("schema_version")  # only a connection that has read something knows that there is a log
    return db


def _prepare(db: apsw.Connection, path: Path, durability: Durability) -> None:
    db.set_busy_timeout(BUSY_MILLISECONDS)
    version, application = db.pragma("user_version"), db.pragma("application_id")
    tables = db.execute("SELECT count(*) FROM sqlite_schema").get
    if application != APPLICATION_ID and (application or version or tables):
        raise SetupError(f"{path} is a SQLite database of another application. Choose another file.")
    if version > SCHEMA_VERSION:
        raise SetupError(
            f"{path} was written by a newer tokentape (schema {version}, this one knows {SCHEMA_VERSION}). Upgrade."
        )
    if db.pragma("journal_mode", "wal") != "wal":
        raise SetupError(f"{path} cannot use a write-ahead log. Put it on a local disk.")
    db.pragma("synchronous", durability)
    db.pragma("cache_size", -CACHE_KIB)
    db.pragma("journal_size_limit", WAL_LIMIT)
    db.wal_autocheckpoint(0)  # the writer thread checkpoints, between commits
    if not tables:
        schema = files("tokentape.stores.sqlite").joinpath("schema.sql").read_text("utf-8")
        db.execute("BEGIN IMMEDIATE")
        db.execute(schema)
        db.pragma("application_id", APPLICATION_ID)
        db.pragma("user_version", SCHEMA_VERSION)
        db.execute("COMMIT")
    elif version < SCHEMA_VERSION:
        db.execute("BEGIN IMMEDIATE")
        db.execute("ALTER TABLE producer ADD COLUMN place INTEGER NOT NULL DEFAULT 0")
        db.pragma("user_version", SCHEMA_VERSION)
        db.execute("COMMIT")


def begin(db: apsw.Connection) -> None:
    """Starts a transaction unless one is under way."""
    if db.get_autocommit():
        db.execute("BEGIN IMMEDIATE")


def roll_back(db: apsw.Connection) -> None:
    """Undoes the transaction under way, if any: after some errors SQLite has done so itself."""
    if not db.get_autocommit():
        db.execute("ROLLBACK")


def insert_rows(db: apsw.Connection, statement: str, rows: Sequence[Sequence[apsw.SQLiteValue]]) -> None:
    """Inserts rows in as few steps as possible; `statement` ends where the rows' placeholders go, as in `… VALUES`.

    Every step lets go of the interpreter's lock, and gets it back up to 5 ms later when the event loop is
    busy. So 64 rows in one step may be a hundred times as quick as in 64.
    """
    start, size = 0, 64
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        chunk = rows[start : start + size]
        db.execute(f"{statement} {_placeholders(len(chunk[0]), size)}", [value for row in chunk for value in row])
        start += size


@cache
def _placeholders(columns: int, rows: int) -> str:
    return ",".join(["(" + ",".join("?" * columns) + ")"] * rows)


def details(error: apsw.Error) -> str:
    """An error for the log: SQLite's message and its extended result code (sqlite.org/rescode.html)."""
    return f"{error} (SQLite result {getattr(error, 'extendedresult', 'unknown')})"


def explain(error: apsw.Error) -> StoreUnavailable:
    """A failed write or read, as its caller may see it; the details are for the log."""
    match error:
        case apsw.FullError():
            return StoreFull("The store is full: nothing can be written until there is room on its disk.")
        case apsw.BusyError() | apsw.LockedError():
            return StoreUnavailable("The store's file is locked by another program. Try again.")
        case apsw.TooBigError():
            return StoreFull("An append of this size does not fit into the store. Split it.")
        case apsw.IOError() | apsw.CantOpenError() | apsw.ReadOnlyError():
            return StoreUnavailable("The store's disk refuses to work. Its operator finds the reason in the log.")
        case _:
            return StoreUnavailable("The store does not work now. Its operator finds the reason in the log.")
