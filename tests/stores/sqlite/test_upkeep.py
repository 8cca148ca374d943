"""Housekeeping between commits: in slices, with the file and memory in bounds. The engine alone, without threads."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tokentape.core.errors import StoreFull, StreamNotFound
from tokentape.stores.base import Append, Appended, Producer, Retention, StreamConfig
from tokentape.stores.retention import Clock
from tokentape.stores.sqlite.engine import Call, Engine, Tuning
from tokentape.stores.sqlite.sweep import SLICE_SEGMENTS
from tokentape.testing import ManualClock

SOON = 0.5
"""Seconds: whoever waits longer for the next slice has nothing left to do."""


class Make:
    """Makes engines of one file, one at a time."""

    def __init__(self, path: Path, clock: ManualClock) -> None:
        self._path = path
        self._clock = clock
        self._engine: Engine | None = None

    def __call__(self, **tuning: Any) -> Engine:
        self.close()
        clock = Clock(self._clock.now, self._clock.monotonic)
        self._engine = Engine(self._path, durability="normal", tuning=Tuning(**tuning), clock=clock)
        return self._engine

    def after_kill(self) -> Engine:
        """An engine of what a kill would leave now: the file and its log as they are."""
        left = {path: path.read_bytes() for path in (self._path, self._path.with_name(f"{self._path.name}-wal"))}
        self.close()
        for path, content in left.items():
            path.write_bytes(content)
        return self()

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


@pytest.fixture
def make(path: Path, clock: ManualClock) -> Iterator[Make]:
    maker = Make(path, clock)
    yield maker
    maker.close()


def do(engine: Engine, work: Callable[[], Any]) -> Any:
    call = Call(None, work=work)  # type: ignore[arg-type]  # nobody waits for it
    engine.run([call])
    if call.error is not None:
        raise call.error
    return call.result


def append(engine: Engine, stream: str, *records: bytes, **more: Any) -> Appended:
    call = Call(None, batch=[Append(stream=stream, records=records, **more)])  # type: ignore[arg-type]  # likewise
    engine.run([call])
    if call.error is not None:
        raise call.error
    [result] = call.result
    assert isinstance(result, Appended), result
    return result


def count(engine: Engine, table: str) -> int:
    return int(engine._db.execute(f"SELECT count(*) FROM {table}").get)


def housekeeping(engine: Engine) -> Iterator[None]:
    """Does a slice at a time until there is nothing to do; rests between them as the writer would."""
    while (wait := engine.upkeep()) < SOON:
        time.sleep(wait)
        yield


def settle(engine: Engine) -> int:
    """Keeps house until there is nothing to do; returns how many slices that took."""
    return 1 + sum(1 for _ in housekeeping(engine))


def test_calls_that_wait_together_are_one_commit(make: Make) -> None:
    engine = make()
    do(engine, lambda: engine.catalog.create("a", StreamConfig()))
    calls = [Call(None, batch=[Append(stream="a", records=[b"%d" % turn])]) for turn in range(100)]  # type: ignore[arg-type]  # likewise
    engine.run(calls)
    assert [call.result[0].last for call in calls] == [*range(1, 101)]
    assert count(engine, "journal") == 1


def test_records_move_from_the_journal_into_segments(make: Make) -> None:
    engine = make(journal_rows=200)
    for name in "abc":
        do(engine, lambda name=name: engine.catalog.create(name, StreamConfig()))
    for turn in range(200):
        append(engine, "abc"[turn % 3], b"%d" % turn)
    settle(engine)
    assert count(engine, "journal") == 0
    assert count(engine, "segment") == 3
    assert engine.catalog.get("a").tail.records == []


def test_one_slice_flushes_some_streams_and_commits_go_on_between(make: Make) -> None:
    engine = make(journal_rows=300)
    for turn in range(300):
        do(engine, lambda turn=turn: engine.catalog.create(f"s/{turn}", StreamConfig()))
        append(engine, f"s/{turn}", b"x")
    slices = 0
    for _ in housekeeping(engine):
        slices += 1
        append(engine, "s/299", b"between")
    assert slices >= 300 // 64
    head = engine.catalog.get("s/299")
    assert head.last == 1 + slices


def test_a_round_hurries_only_when_the_next_one_comes_near(make: Make) -> None:
    engine = make(journal_rows=300)
    for turn in range(300):
        do(engine, lambda turn=turn: engine.catalog.create(f"s/{turn}", StreamConfig()))
        append(engine, f"s/{turn}", b"x")
    flusher = engine._flusher
    assert not flusher.early
    flusher.step()  # a fifth of the round
    assert flusher.early
    for _ in range(60):  # a fifth of what the next one begins at, which is to be half that far at this point
        append(engine, "s/0", b"x")
    assert not flusher.early
    flusher.step()
    flusher.step()
    assert flusher.early
    while flusher.busy:
        flusher.step()
    assert not flusher.early


def test_what_comes_in_during_a_round_survives_a_kill_after_it(make: Make) -> None:
    engine = make(journal_rows=200)
    for turn in range(100):
        do(engine, lambda turn=turn: engine.catalog.create(f"s/{turn}", StreamConfig()))
        append(engine, f"s/{turn}", b"x", b"y", keys=["k", None])
        append(engine, f"s/{turn}", b"z", producer=Producer("p", 0, 0))
    engine.upkeep()  # the first slice, which holds s/0
    append(engine, "s/0", b"in between", keys=["between"])
    settle(engine)
    engine = make.after_kill()
    assert engine.catalog.get("s/0").last == 4
    again = append(engine, "s/0", b"x", b"in between", b"new", keys=["k", "between", None])
    assert list(again.offsets) == [1, 4, 5]
    assert append(engine, "s/99", b"z", producer=Producer("p", 0, 0)).duplicate


def test_a_commit_that_failed_half_way_does_not_use_up_journal_numbers(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a head that is flushed next would claim to know a row that another commit is going to write."""
    monkeypatch.setattr("tokentape.stores.sqlite.journal.MAX_ROW", 1000)
    engine = make(journal_rows=100)
    for turn in range(100):
        do(engine, lambda turn=turn: engine.catalog.create(f"s/{turn}", StreamConfig()))
        append(engine, f"s/{turn}", b"1")
    engine._db.pragma("max_page_count", engine._db.pragma("page_count") + 3)
    batch = [Append(stream="s/0", records=[b"x" * size]) for size in (900, 900, 100_000)]
    call = Call(None, batch=batch)  # type: ignore[arg-type]  # likewise
    engine.run([call])
    assert isinstance(call.error, StoreFull)
    engine._db.pragma("max_page_count", 100_000)
    engine.upkeep()  # flushes a slice, and s/0 is in it
    engine = make.after_kill()
    append(engine, "s/0", b"2")
    engine = make.after_kill()
    assert engine.catalog.get("s/0").last == 2


def test_a_deleted_stream_is_not_flushed(make: Make) -> None:
    engine = make(journal_rows=2)
    for name in "ab":
        do(engine, lambda name=name: engine.catalog.create(name, StreamConfig()))
        append(engine, name, b"x", keys=["k"], producer=Producer("p", 0, 0))
    last_words = Call(None, batch=[Append(stream="a", records=[b"y"])])  # type: ignore[arg-type]  # likewise
    engine.run([last_words, Call(None, work=lambda: engine.delete("a"))])  # type: ignore[arg-type]  # likewise
    settle(engine)
    for table in ("stream", "head", "segment", "record_key", "producer"):
        assert count(engine, table) == 1, table


def test_a_large_stream_is_removed_in_slices(make: Make) -> None:
    engine = make(journal_bytes=1)
    do(engine, lambda: engine.catalog.create("big", StreamConfig()))
    for turn in range(100):
        append(engine, "big", b"x" * 30_000, b"y" * 30_000, keys=[f"{turn}", None], producer=Producer("p", 0, turn))
        settle(engine)
    before = count(engine, "segment")
    assert before >= 100
    do(engine, lambda: engine.delete("big"))
    left = before
    for _ in housekeeping(engine):
        assert left - count(engine, "segment") <= SLICE_SEGMENTS
        left = count(engine, "segment")
    for table in ("segment", "record_key", "producer", "garbage", "head", "stream"):
        assert count(engine, table) == 0, table


def test_the_next_process_goes_on_removing(make: Make) -> None:
    engine = make(journal_bytes=1)
    do(engine, lambda: engine.catalog.create("big", StreamConfig()))
    for _ in range(100):
        append(engine, "big", b"x" * 30_000)
        settle(engine)
    do(engine, lambda: engine.delete("big"))
    engine.upkeep()
    assert count(engine, "segment") > 0
    engine = make()
    settle(engine)
    assert count(engine, "segment") == count(engine, "garbage") == 0


def test_what_was_trimmed_leaves_the_file(make: Make, path: Path) -> None:
    engine = make(journal_bytes=20_000, checkpoint_bytes=100_000)
    do(engine, lambda: engine.catalog.create("a", StreamConfig(retention=Retention(max_bytes=50_000))))
    for turn in range(2000):
        append(engine, "a", b"x" * 1000, keys=[f"k{turn}"])
        settle(engine)
    assert count(engine, "record_key") <= 100
    assert engine._db.execute("SELECT sum(length(records)) FROM segment").get <= 150_000
    assert path.stat().st_size < 600_000


def test_streams_that_nobody_asks_about_are_swept(make: Make, clock: ManualClock) -> None:
    engine = make(sweep_seconds=5, max_heads=10, journal_rows=50)
    for turn in range(1000):
        retention = [
            Retention(idle=60),
            Retention(after_close=60),
            Retention(expires_at=int(clock.now() * 1000) + 60_000),
        ]
        config = StreamConfig(retention=retention[turn % 3])
        do(engine, lambda turn=turn, config=config: engine.catalog.create(f"s/{turn}", config))
        append(engine, f"s/{turn}", b"x", close=True)
        settle(engine)
    clock.advance(59)
    settle(engine)
    assert count(engine, "stream") == 1000
    clock.advance(6)
    settle(engine)
    for table in ("stream", "head", "segment", "garbage"):
        assert count(engine, table) == 0, table
    with pytest.raises(StreamNotFound):
        engine.catalog.get("s/0")


def test_the_states_in_memory_are_bounded_and_come_back(make: Make) -> None:
    engine = make(max_heads=20, journal_rows=10)
    for turn in range(200):
        do(engine, lambda turn=turn: engine.catalog.create(f"s/{turn}", StreamConfig()))
        append(engine, f"s/{turn}", b"%d" % turn, keys=["k"], producer=Producer("p", 0, 0))
        settle(engine)
        assert len(engine.catalog.heads) <= 20
    for turn in range(200):
        again = append(engine, f"s/{turn}", b"no", b"new", keys=["k", None], producer=Producer("p", 0, 1))
        assert list(again.offsets) == [1, 2]
        assert append(engine, f"s/{turn}", b"no", producer=Producer("p", 0, 1)).duplicate


def test_reads_that_renew_a_stream_are_not_writes(make: Make, clock: ManualClock) -> None:
    engine = make(sweep_seconds=1)
    do(engine, lambda: engine.catalog.create("a", StreamConfig(retention=Retention(idle=800))))
    written = engine._db.execute("SELECT idle_until FROM head").get
    head = engine.catalog.get("a")
    for _ in range(9):
        clock.advance(10)
        head.lifetime.renew(engine._clock.steady())
        settle(engine)
        assert engine._db.execute("SELECT idle_until FROM head").get == written
    clock.advance(10)
    head.lifetime.renew(engine._clock.steady())
    settle(engine)  # by now an eighth of its idle time has passed
    assert engine._db.execute("SELECT idle_until FROM head").get == written + 100


def test_a_renewal_outlives_being_forgotten(make: Make, clock: ManualClock) -> None:
    engine = make(sweep_seconds=1000, max_heads=1)
    do(engine, lambda: engine.catalog.create("a", StreamConfig(retention=Retention(idle=60))))
    clock.advance(50)
    engine.catalog.get("a").lifetime.renew(engine._clock.steady())
    for name in "bcd":
        do(engine, lambda name=name: engine.catalog.create(name, StreamConfig()))
        settle(engine)
    assert "a" not in engine.catalog.heads
    clock.advance(50)
    assert engine.catalog.get("a").last == 0


def test_the_log_is_bounded(make: Make, path: Path) -> None:
    engine = make(checkpoint_bytes=200_000, journal_bytes=100_000)
    do(engine, lambda: engine.catalog.create("a", StreamConfig()))
    largest = 0
    for _ in range(500):
        append(engine, "a", b"x" * 20_000)
        settle(engine)
        largest = max(largest, path.with_name("tape.db-wal").stat().st_size)
    assert 200_000 <= largest < 600_000


def test_a_reader_holds_the_log_up_only_as_long_as_it_reads(make: Make, path: Path) -> None:
    engine = make(checkpoint_bytes=200_000)
    do(engine, lambda: engine.catalog.create("a", StreamConfig()))
    append(engine, "a", b"x")
    wal = path.with_name("tape.db-wal")
    reader = apsw.Connection(str(path))
    assert reader.execute("BEGIN; SELECT name FROM stream").get == "a"
    for _ in range(100):
        append(engine, "a", b"x" * 20_000)
        settle(engine)
    held_up = wal.stat().st_size
    assert held_up > 1_900_000
    reader.close()
    for _ in range(100):
        append(engine, "a", b"x" * 20_000)
        settle(engine)
    assert wal.stat().st_size <= held_up + 400_000


def test_a_call_that_cannot_work_does_not_take_others_along(make: Make) -> None:
    engine = make()
    do(engine, lambda: engine.catalog.create("a", StreamConfig()))
    good = [Call(None, batch=[Append(stream="a", records=[b"%d" % turn], keys=[f"{turn}"])]) for turn in range(2)]  # type: ignore[arg-type]  # likewise
    bad = Call(None, batch=[Append(stream="a", records=["text"])])  # type: ignore[arg-type, list-item]  # on purpose
    engine.run([good[0], bad, good[1]])
    assert isinstance(bad.error, TypeError)
    assert [call.result[0].last for call in good] == [1, 2]
    assert append(engine, "a", b"next").last == 3
