"""Disk full, I/O errors and SIGKILL under the SQLite store: rows 17 and 18 (16 and 44 are in `StoreContract`)."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from tokentape.core.errors import StoreFull, StoreUnavailable, StreamNotFound
from tokentape.stores.base import Append, Producer, StreamConfig
from tokentape.stores.sqlite import SqliteStore, Tuning
from tokentape.testing.contract_log import everything, put

sys.path.insert(0, str(Path(__file__).parent))
from store_child import STREAMS, record

CHILD = Path(__file__).with_name("store_child.py")


async def limit_pages(store: SqliteStore, pages: int) -> None:
    """Makes SQLite find its disk full at this size: SQLITE_FULL from the same place as for ENOSPC."""
    await store._writer.call(lambda: store._engine._db.pragma("max_page_count", pages))


async def fill(store: SqliteStore, stream: str) -> list[bytes]:
    """Appends until the disk is full; what was accepted."""
    accepted: list[bytes] = []
    while True:
        text = b"%06d" % len(accepted) * 100
        try:
            await put(store, stream, text)
        except StoreFull:
            return accepted
        accepted.append(text)


async def test_row_17_a_full_disk_refuses_writes_and_reads_go_on(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "tape.db", tuning=Tuning(journal_bytes=50_000)) as store:
        await store.create("a", StreamConfig())
        await limit_pages(store, 100)
        accepted = await fill(store, "a")
        assert len(accepted) > 100
        with pytest.raises(StoreFull, match="until there is room"):
            await store.append([
                Append(stream="a", records=[b"x" * 5000], producer=Producer("p", 0, 0), keys=["k"], close=True)
            ])  # fmt: skip
        with pytest.raises(StoreFull):
            await store.create("new", StreamConfig(attributes={"filler": "x" * 5000}))
        with pytest.raises(StoreFull):
            await store.acquire("lease", "me", seconds=60, value=b"x" * 5000)
        # Nothing of what was refused is there, and all that was accepted is.
        assert await everything(store, "a") == accepted
        assert await store.leases() == []
        with pytest.raises(StreamNotFound):
            await store.info("new")
        await limit_pages(store, 100_000)
        result = await put(store, "a", b"more", producer=Producer("p", 0, 0), keys=["k"])
        assert (result.first, result.duplicate) == (len(accepted) + 1, False)
        assert await everything(store, "a") == [*accepted, b"more"]
    async with SqliteStore(tmp_path / "tape.db") as store:
        assert await everything(store, "a") == [*accepted, b"more"]


async def test_row_17_of_calls_that_wait_together_only_those_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "tape.db") as store:
        await store.create("a", StreamConfig())
        await limit_pages(store, 60)
        sizes = [10, 1_000_000, 20, 1_000_000, 30]
        results = await asyncio.gather(
            *[store.append([Append(stream="a", records=[b"x" * size])]) for size in sizes], return_exceptions=True
        )
        assert [type(result) for result in results] == [list, StoreFull, list, StoreFull, list]
        assert [len(text) for text in await everything(store, "a")] == [10, 20, 30]


async def test_row_17_deleting_makes_room(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "tape.db", tuning=Tuning(journal_bytes=20_000)) as store:
        for name in ("old", "new"):
            await store.create(name, StreamConfig())
        for turn in range(100):
            await put(store, "old", b"%d" % turn * 1000)
        await limit_pages(store, 130)
        accepted = await fill(store, "new")
        await store.delete("old")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:  # its records are removed in the background
            try:
                await put(store, "new", b"x" * 20_000)
                break
            except StoreFull:
                await asyncio.sleep(0.01)
        assert await everything(store, "new") == [*accepted, b"x" * 20_000]


async def test_row_17_a_flush_that_does_not_fit_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with SqliteStore(tmp_path / "tape.db", tuning=Tuning(journal_bytes=30_000)) as store:
        await store.create("a", StreamConfig())
        await limit_pages(store, 25)  # room for some of the journal, and not for the segments besides
        accepted = await fill(store, "a")
        assert await everything(store, "a") == accepted
    assert [entry.levelname for entry in caplog.records if entry.name == "tokentape.store"] != []
    async with SqliteStore(tmp_path / "tape.db") as store:
        assert await everything(store, "a") == accepted


def test_row_17_an_io_error_refuses_writes_and_reads_go_on(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    done = subprocess.run([sys.executable, CHILD, "limit", path], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert set(report["refusals"]) == {StoreUnavailable.code}
    assert report["before"] > 100
    assert report["readable"] == [report["before"], report["before"]]
    assert "the store cannot write" in done.stderr
    assert asyncio.run(read_from(path, "a", 0)) == [record("a", n) * 50 for n in range(1, report["accepted"] + 1)]
    assert check(path) == "ok"


async def test_row_17_a_damaged_file_is_an_error_and_no_wrong_data(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    async with SqliteStore(path) as store:
        await store.create("a", StreamConfig())
        await put(store, "a", *[b"%d" % turn * 1000 for turn in range(1000)])
    damage(path)
    async with SqliteStore(path) as store:
        with pytest.raises(StoreUnavailable):
            await everything(store, "a")
        await store.create("b", StreamConfig())
        await put(store, "b", b"others still work")
        assert await everything(store, "b") == [b"others still work"]


def damage(path: Path) -> None:
    """Overwrites pages in the middle of the file."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * 40_960)


def check(path: Path) -> str:
    db = apsw.Connection(str(path))
    db.pragma("synchronous", "off")
    try:
        return str(db.execute("PRAGMA integrity_check").get)
    finally:
        db.close()


async def read_from(path: Path, stream: str, after: int) -> list[bytes]:
    async with SqliteStore(path) as store:
        found: list[bytes] = []
        while True:
            page = await store.read(stream, after + len(found))
            found += [text for _, text in page.records]
            if after + len(found) == page.last:
                return found


class Victim:
    """A process that forks writers, which this one kills."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, CHILD, "kill", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.acknowledged = dict.fromkeys(STREAMS, 0)

    def live(self, acknowledgements: int, seconds: float) -> None:
        """Lets a writer live until it has said so many things, and a little longer; returns when it is dead."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        pid = 0
        heard = 0
        while not pid or heard < acknowledgements:
            word, *rest = self._hear()
            if word == "pid":
                pid = int(rest[0])
            else:
                heard += 1
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        while self._hear() != ["dead"]:
            pass

    def _hear(self) -> list[str]:
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        assert words, "the process that forks has ended"
        if words[0] == "ack":
            self.acknowledged[words[1]] = int(words[2])
        return words

    def end(self) -> None:
        self._process.communicate()


@contextmanager
def victim(path: Path) -> Iterator[Victim]:
    process = Victim(path)
    try:
        yield process
    finally:
        process.end()


async def verify(path: Path, verified: dict[str, int], acknowledged: dict[str, int]) -> None:
    """Checks what is new since the last time, and that it reaches as far as was acknowledged."""
    async with SqliteStore(path) as store:
        await store._writer.call(lambda: store._engine._db.pragma("synchronous", "off"))  # a copy, soon overwritten
        for name, after in verified.items():
            if acknowledged[name] == 0:
                continue
            last = (await store.info(name)).last
            assert last >= acknowledged[name], f"{name}: {acknowledged[name]} was acknowledged, {last} is there"
            found = [text for _, text in (await store.read(name, after, max_bytes=2**30, max_records=2**30)).records]
            assert found == [record(name, offset) for offset in range(after + 1, last + 1)]
            verified[name] = last
            again = await put(store, name, b"again", keys=[f"{last}"])
            assert list(again.offsets) == [last]


@pytest.mark.parametrize("kills", [80, pytest.param(1000, marks=pytest.mark.soak)])
def test_p3_row_18_every_acknowledged_event_survives_kills(tmp_path: Path, kills: int) -> None:
    path, copy = tmp_path / "tape.db", tmp_path / "copy.db"
    chance = random.Random(18)
    verified = dict.fromkeys(STREAMS, 0)
    with victim(path) as process:
        for _ in range(kills):
            process.live(chance.choice([0, 1, 5, 20, 60]), chance.uniform(0, 0.004))
            # The copy is what the next process would find; the original stays as the kill left it.
            for suffix in ("", "-wal"):
                if path.with_name(path.name + suffix).exists():
                    shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
            assert check(copy) == "ok"
            asyncio.run(verify(copy, verified, process.acknowledged))
    assert all(last > 5 * kills for last in verified.values()), verified
