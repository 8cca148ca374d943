"""However many names of producers are made up, a stream keeps few (for Redis: `redis/test_producers.py`)."""

from pathlib import Path

import apsw
import pytest

from tokentape.core.producer import MAX_PRODUCERS
from tokentape.stores.base import Append, Producer, Store, StreamConfig
from tokentape.stores.memory import MemoryStore
from tokentape.stores.sqlite import SqliteStore, Tuning
from tokentape.testing.contract_log import put


async def crowd(store: Store, count: int) -> None:
    await store.create("a", StreamConfig())
    for start in range(0, count, 500):
        await store.append([Append(stream="a", producer=Producer(f"p{start + n}", 0, 0)) for n in range(500)])


async def test_memory_keeps_twice_as_many_at_most() -> None:
    async with MemoryStore() as store:
        await crowd(store, 5 * MAX_PRODUCERS)
        assert MAX_PRODUCERS <= len(store._streams["a"].producers) <= 2 * MAX_PRODUCERS


def kept(path: Path) -> set[str]:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {name for (name,) in db.execute("SELECT id FROM producer")}
    finally:
        db.close()


@pytest.mark.parametrize("tuning", [Tuning(), Tuning(journal_rows=2)], ids=["at once", "in many flushes"])
async def test_sqlite_keeps_twice_as_many_at_most(tmp_path: Path, tuning: Tuning) -> None:
    path = tmp_path / "tape.db"
    async with SqliteStore(path, tuning=tuning) as store:
        await crowd(store, 5 * MAX_PRODUCERS)
    names = kept(path)
    assert MAX_PRODUCERS <= len(names) <= 2 * MAX_PRODUCERS
    assert names >= {f"p{n}" for n in range(4 * MAX_PRODUCERS, 5 * MAX_PRODUCERS)}


async def test_a_file_of_the_version_before_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    async with SqliteStore(path) as store:
        await store.create("a", StreamConfig())
        await put(store, "a", b"0", producer=Producer("p", 0, 0))
    db = apsw.Connection(str(path))
    db.execute("ALTER TABLE producer DROP COLUMN place")
    db.pragma("user_version", 1)
    db.close()
    async with SqliteStore(path) as store:
        assert (await put(store, "a", b"0", producer=Producer("p", 0, 0))).duplicate
        await put(store, "a", b"1", producer=Producer("p", 0, 1))
    async with SqliteStore(path) as store:
        assert (await put(store, "a", b"1", producer=Producer("p", 0, 1))).duplicate
