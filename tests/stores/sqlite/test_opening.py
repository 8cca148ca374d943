"""What the SQLite store does with the file that it is given."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from tokentape.core.errors import SetupError, StoreUnavailable
from tokentape.stores.base import StreamConfig
from tokentape.stores.sqlite import SqliteStore
from tokentape.testing.contract_log import everything, put

HOLD = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
os.write(descriptor, str(os.getpid()).encode())
print("held", flush=True)
sys.stdin.read()
"""


async def refusal(store: SqliteStore) -> str:
    with pytest.raises(SetupError) as refused:
        await store.__aenter__()
    return refused.value.message


@pytest.fixture
def foreign(path: Path) -> bytes:
    """Makes the file a database of another application; its content."""
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE precious (thing TEXT)")
    db.close()
    return path.read_bytes()


@pytest.fixture(params=[b"no database" * 1000, b"SQLite format 3\0" + b"\xff" * 5000], ids=["text", "header"])
def nonsense(path: Path, request: pytest.FixtureRequest) -> bytes:
    """Makes the file no database at all; its content."""
    path.write_bytes(request.param)
    return bytes(request.param)


def content(path: Path) -> bytes:
    return path.read_bytes()


def remove(path: Path) -> None:
    path.unlink()


async def test_a_second_process_is_told_who_has_the_file(path: Path) -> None:
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, f"{path}.lock", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"held\n"
    message = await refusal(SqliteStore(path))
    assert str(other.pid) in message
    assert "Redis" in message
    await other.communicate(b"")  # closes its input, upon which it ends
    async with SqliteStore(path) as store:  # it has ended: the file is free
        assert await store.list() == []


async def test_a_second_store_of_one_process_is_refused_as_well(path: Path) -> None:
    async with SqliteStore(path) as store:
        assert "in use" in await refusal(SqliteStore(path))
        await store.create("a", StreamConfig())
    async with SqliteStore(path) as store:
        assert [info.name for info in await store.list()] == ["a"]


async def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    async with SqliteStore(path):
        pass
    db = apsw.Connection(str(path))
    db.pragma("user_version", 99)
    db.close()
    assert "newer tokentape (schema 99" in await refusal(SqliteStore(path))


async def test_a_database_of_another_application_is_left_alone(path: Path, foreign: bytes) -> None:
    assert "another application" in await refusal(SqliteStore(path))
    assert content(path) == foreign


async def test_a_file_that_is_no_database_is_left_alone(path: Path, nonsense: bytes) -> None:
    assert "Move it away" in await refusal(SqliteStore(path))
    assert content(path) == nonsense


async def test_a_damaged_journal_is_not_passed_over(path: Path) -> None:
    async with SqliteStore(path) as store:
        await store.create("a", StreamConfig())
    db = apsw.Connection(str(path))
    db.execute("INSERT INTO journal VALUES (1000, x'93c1')")
    db.close()
    assert "damaged" in await refusal(SqliteStore(path))


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere" in await refusal(SqliteStore(tmp_path / "nowhere" / "tape.db"))


async def test_a_refused_store_lets_go_of_the_file(path: Path, nonsense: bytes) -> None:
    store = SqliteStore(path)
    await refusal(store)
    remove(path)
    async with store:
        await store.create("a", StreamConfig())


async def test_a_store_can_be_entered_again(path: Path) -> None:
    store = SqliteStore(path)
    for turn in range(2):
        async with store:
            await store.create("a", StreamConfig())
            await put(store, "a", b"%d" % turn)
    async with store:
        assert await everything(store, "a") == [b"0", b"1"]


async def test_a_closed_store_says_so(path: Path) -> None:
    async with SqliteStore(path) as store:
        await store.create("a", StreamConfig())
        await put(store, "a", b"x")
    for call in (store.read("a", 0), store.info("a"), store.append([])):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", 1), ("full", 2)])
async def test_durability_is_what_sqlite_is_told(path: Path, durability: str, synchronous: int) -> None:
    async with SqliteStore(path, durability=durability) as store:  # type: ignore[arg-type]  # a str to mypy
        settings: Callable[[str], object] = store._engine._db.pragma
        assert await store._writer.call(lambda: settings("synchronous")) == synchronous
        assert await store._writer.call(lambda: settings("journal_mode")) == "wal"
