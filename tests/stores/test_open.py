"""URLs of stores."""

import sys
from pathlib import Path

import pytest

from tokentape.core.errors import SetupError
from tokentape.stores.base import StreamConfig
from tokentape.stores.memory import MemoryStore
from tokentape.stores.open import open_store
from tokentape.stores.sqlite import SqliteStore


def test_the_memory_store() -> None:
    assert isinstance(open_store("memory://"), MemoryStore)


async def test_three_slashes_are_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_store("sqlite:///my%20tape.db") as store:
        await store.create("a", StreamConfig())
    assert (tmp_path / "my tape.db").stat().st_size > 0


async def test_four_slashes_are_an_absolute_path(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/tape.db?durability=full") as store:
        assert isinstance(store, SqliteStore)
        await store.create("a", StreamConfig())
        assert await store._writer.call(lambda: store._engine._db.pragma("synchronous")) == 2
    assert (tmp_path / "tape.db").stat().st_size > 0


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://localhost/first", "database in the Redis URL is not a number"),
        ("rediss+cluster://localhost/1", "has no databases"),
        ("postgres://localhost/tape", "is not the URL of a store. Use memory://"),
        ("postgres://me:secret@host/tape", "'…@host/tape' is not the URL of a store"),
        ("tape.db", "is not the URL of a store"),
        ("", "is not the URL of a store"),
        ("memory://here", "the store in memory is 'memory://'"),
        ("sqlite://tape.db", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///folder/", "names no file"),
        ("sqlite:///tape.db?durability=some", "neither 'normal' nor 'full'"),
        ("sqlite:///tape.db?durable=full", "unknown option 'durable'"),
        ("sqlite:///tape.db#x", "names no file"),
    ],
)
def test_other_urls_are_refused_with_the_reason(url: str, says: str) -> None:
    with pytest.raises(SetupError) as refused:
        open_store(url)
    assert says in refused.value.message


@pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys+cluster", "redis+sentinel", "unix"])
def test_the_store_on_redis_says_which_extra_it_needs(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("redis.", "tokentape.stores.redis"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(SetupError, match=r"pip install 'tokentape\[redis\]'"):
        open_store(f"{scheme}://localhost")
