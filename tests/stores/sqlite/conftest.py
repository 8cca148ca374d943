"""What the SQLite store's own tests share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from tokentape.stores.sqlite import SqliteStore, Tuning
from tokentape.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape.db"


@pytest.fixture
def opened(path: Path, clock: ManualClock) -> Callable[..., SqliteStore]:
    """Makes stores of one file, to be entered."""

    def make(**tuning: Any) -> SqliteStore:
        return SqliteStore(path, now=clock.now, monotonic=clock.monotonic, tuning=Tuning(**tuning))

    return make


@pytest.fixture
def look(path: Path) -> Callable[[str], Any]:
    """Runs a query on the file, from outside of the store."""

    def query(statement: str) -> Any:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            return db.execute(statement).get
        finally:
            db.close()

    return query
