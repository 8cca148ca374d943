"""Checkpoints: a long log is moved by a thread while commits go on, and starts over; nothing makes it grow for ever."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tokentape.stores.base import Append, StreamConfig
from tokentape.stores.sqlite import SqliteStore, checkpoint
from tokentape.stores.sqlite.checkpoint import AHEAD_BYTES, REST_SECONDS, TRUNCATE_FACTOR, Checkpointer
from tokentape.stores.sqlite.database import open_mover, open_reader, open_writer

Opened = Callable[..., SqliteStore]

MB = 1_000_000
LONG = 20.0
"""Seconds: whoever waits for as long as this fails."""


class Log:
    """A file with its log, and a checkpointer whose thread can be held up."""

    def __init__(self, path: Path, limit: int) -> None:
        self.db = open_writer(path, "normal")
        self.db.execute("CREATE TABLE t (x)")
        self.go = threading.Event()
        self.go.set()
        self.movers = 0
        self._path = path
        self._checkpointer: Checkpointer | None = None
        self._limit = limit

    @property
    def checkpointer(self) -> Checkpointer:
        if self._checkpointer is None:
            self._checkpointer = Checkpointer(self.db, self._path, limit=self._limit)
        return self._checkpointer

    def open_mover(self, path: Path) -> apsw.Connection:
        self.movers += 1
        assert self.go.wait(LONG)
        return open_mover(path)

    def write(self, size: int) -> None:
        self.checkpointer  # noqa: B018 - it has to hear of this
        self.db.execute("INSERT INTO t VALUES (?)", (os.urandom(size),))

    def begun(self, count: int) -> bool:
        """Whether exactly so many threads have begun to move the log; waits for the last of them."""
        deadline = time.monotonic() + LONG
        while self.movers < count and time.monotonic() < deadline:
            time.sleep(0.001)
        return self.movers == count

    def join(self) -> None:
        for thread in movers():
            thread.join(LONG)

    @property
    def moved(self) -> int:
        return self._path.stat().st_size

    @property
    def wal(self) -> int:
        return self._path.with_name(f"{self._path.name}-wal").stat().st_size

    def close(self) -> None:
        self.go.set()
        self.join()
        self.db.close()


def movers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tokentape-checkpoint"]


@pytest.fixture
def log(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    log = Log(path, AHEAD_BYTES)
    monkeypatch.setattr(checkpoint, "open_mover", log.open_mover)
    yield log
    log.close()


def test_a_long_log_is_moved_while_commits_go_on(log: Log) -> None:
    log.go.clear()
    log.write(5 * MB)
    assert log.checkpointer.due
    log.checkpointer.run()
    for _ in range(10):
        log.write(1000)
        assert log.checkpointer.due, "somebody has to look whether the thread is through"
        log.checkpointer.run()
    assert log.begun(1)
    assert (log.moved < MB, len(movers())) == (True, 1)
    log.go.set()
    log.join()
    assert log.moved > 5 * MB


def test_what_comes_meanwhile_is_moved_too_and_then_the_log_starts_over(
    log: Log, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "REST_SECONDS", LONG)  # however slow this machine's disk is today
    reader = open_reader(path)
    log.write(5 * MB)
    assert reader.execute("BEGIN; SELECT count(*) FROM t").get == 1  # so that the log cannot start over yet
    log.checkpointer.run()
    log.join()
    log.write(MB)
    reader.close()
    size = log.wal
    assert size > 6 * MB
    assert log.moved < 6 * MB
    log.checkpointer.run()
    assert (log.checkpointer.due, log.movers, movers()) == (False, 2, [])
    assert log.moved > 6 * MB
    log.write(3 * MB)
    assert not log.checkpointer.due
    assert log.wal == size, "the log goes on where it was, instead of at its start"


def test_a_slow_disk_holds_commits_up_for_a_moment_only(log: Log, path: Path) -> None:
    reader = open_reader(path)
    log.write(5 * MB)
    assert reader.execute("BEGIN; SELECT count(*) FROM t").get == 1
    log.checkpointer.run()
    log.join()
    log.write(1000)
    reader.close()
    log.go.clear()
    began = time.monotonic()
    log.checkpointer.run()
    assert REST_SECONDS <= time.monotonic() - began < LONG
    for _ in range(10):
        log.write(1000)
        assert not log.checkpointer.due, "once is enough for now"
    log.write(5 * MB)
    assert log.checkpointer.due
    log.checkpointer.run()
    assert log.begun(2)
    assert len(movers()) == 1
    log.go.set()
    log.join()
    size = log.wal
    log.write(MB)
    assert (log.wal, log.checkpointer.due) == (size, False), "it has started over"


def test_a_log_far_from_its_limit_is_moved_in_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(path, 4 * AHEAD_BYTES)
    monkeypatch.setattr(checkpoint, "open_mover", log.open_mover)
    reader = open_reader(path)
    log.write(MB)
    assert not log.checkpointer.due
    for step in range(1, 4):
        log.write(4_500_000)
        assert reader.execute("BEGIN; SELECT count(*) FROM t").get  # so that the log cannot start over
        assert log.checkpointer.due
        log.checkpointer.run()
        log.join()
        assert log.moved > step * 4_500_000
        log.checkpointer.run()
        assert (log.checkpointer.due, log.movers) == (False, step)
        log.write(1000)
        assert log.wal > step * 4_500_000, "it goes on where it was"
        reader.execute("COMMIT")
    log.write(5 * MB)
    assert log.checkpointer.due
    log.checkpointer.run()
    log.join()
    log.checkpointer.run()
    assert (log.checkpointer.due, log.movers) == (False, 4)
    size = log.wal
    assert log.moved > 18 * MB
    log.write(MB)
    assert log.wal == size, "it has started over"
    assert not log.checkpointer.due
    log.write(4_500_000)
    assert log.checkpointer.due, "and so have the steps"
    reader.close()
    log.close()


def test_each_log_has_a_thread_of_its_own(log: Log, path: Path) -> None:
    """Also when the one before has moved all of it, so that it started over by itself."""
    for turn in range(1, 4):
        log.write(5 * MB)
        assert log.checkpointer.due
        log.checkpointer.run()
        log.join()
        log.write(1000)
        assert not log.checkpointer.due
        assert log.movers == turn
    assert log.wal < 6 * MB
    reader = open_reader(path)
    assert reader.execute("BEGIN; SELECT count(*) FROM t").get == 6  # so that the log cannot start over
    log.write(5 * MB)
    log.checkpointer.run()
    log.join()
    log.write(1000)
    reader.close()
    log.checkpointer.run()
    assert (log.movers, log.checkpointer.due) == (5, False)


def test_what_is_written_faster_than_it_can_be_moved_has_to_wait(log: Log) -> None:
    log.go.clear()
    log.write(5 * MB)
    log.checkpointer.run()
    while log.wal < TRUNCATE_FACTOR * AHEAD_BYTES:
        log.write(5 * MB)
    threading.Timer(0.05, log.go.set).start()
    log.checkpointer.run()
    assert (movers(), log.checkpointer.due) == ([], False)
    assert log.moved > TRUNCATE_FACTOR * AHEAD_BYTES


def test_a_short_log_is_moved_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(path, MB)
    monkeypatch.setattr(checkpoint, "open_mover", log.open_mover)
    log.write(2 * MB)
    log.checkpointer.run()
    assert (log.movers, log.checkpointer.due) == (0, False)
    assert log.moved > 2 * MB
    log.close()


def test_a_reader_is_in_the_way_only_as_long_as_it_reads(log: Log, path: Path) -> None:
    reader = open_reader(path)
    assert reader.execute("BEGIN; SELECT count(*) FROM t").get == 0
    log.write(5 * MB)
    log.checkpointer.run()
    log.join()
    log.checkpointer.run()
    assert log.moved < MB
    assert not log.checkpointer.due, "it is not asked for at each commit when it does not help"
    reader.close()
    log.write(5 * MB)
    assert log.checkpointer.due
    log.checkpointer.run()
    log.join()
    assert log.moved > 10 * MB
    size = log.wal
    log.write(1000)
    assert not log.checkpointer.due
    log.write(5 * MB)
    assert log.checkpointer.due, "its limit is what it was"
    assert log.wal == size


def test_the_end_waits_for_the_thread_and_empties_the_log(log: Log) -> None:
    log.go.clear()
    log.write(5 * MB)
    log.checkpointer.run()
    threading.Timer(0.05, log.go.set).start()
    log.checkpointer.close()
    assert movers() == []
    assert log.wal == 0
    assert log.moved > 5 * MB


class Broken:
    """A connection whose disk refuses to work."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def wal_checkpoint(self, **_: Any) -> Any:
        raise apsw.IOError("no")


def test_what_fails_in_the_thread_is_done_or_said_by_the_writer(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> apsw.Connection:
        raise apsw.CantOpenError("no")

    monkeypatch.setattr(checkpoint, "open_mover", refuse)
    for turn in range(1, 3):
        log.write(5 * MB)
        log.checkpointer.run()
        log.join()
        assert log.checkpointer.due
        if turn == 1:
            log.checkpointer.run()
            assert not log.checkpointer.due
            assert log.moved > 5 * MB
    monkeypatch.setattr(log.checkpointer, "_db", Broken(log.db))
    with pytest.raises(apsw.IOError):
        log.checkpointer.run()
    assert log.checkpointer.due


async def test_the_log_of_a_store_that_is_written_to_all_the_time_is_bounded(opened: Opened, path: Path) -> None:
    limit = AHEAD_BYTES
    wal = path.with_name("tape.db-wal")
    largest = 0
    threads = set()
    async with opened(checkpoint_bytes=limit, journal_bytes=2 * MB) as store:
        await store.create("a", StreamConfig())
        for _ in range(600):
            await store.append([Append(stream="a", records=[b"x" * 50_000] * 2)])
            largest = max(largest, wal.stat().st_size)
            threads.update(thread.ident for thread in movers())
        # It is looked at between commits, and a commit may flush all that one stream has in the journal: on a machine
        # that is busy, what came while flushing had to rest.
        assert limit <= largest < 3 * TRUNCATE_FACTOR * limit, "of the 240 MB that were written, journal and segments"
        assert threads
    assert movers() == []
    assert not wal.exists()
