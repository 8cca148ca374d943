"""Batches that are submitted: the loop stands still for a commit that is quick, and never long for one that is not."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tokentape.core.errors import StoreUnavailable, TokentapeError
from tokentape.stores.base import Append, Appended, StreamConfig
from tokentape.stores.sqlite import SqliteStore, writer
from tokentape.testing.contract_log import everything

Opened = Callable[..., SqliteStore]
Answer = asyncio.Future[list[Appended | TokentapeError]]

LONG = 20.0
"""Seconds: whoever waits for as long as this fails."""


@contextmanager
def busy(store: SqliteStore, *, seconds: float = LONG) -> Iterator[None]:
    """Keeps the writer thread busy, as a slow disk would; for so long if it is not over before."""
    begun, done = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        done.wait(seconds)

    waits = store._writer.call(wait)
    assert begun.wait(LONG), "the writer has not taken it"
    try:
        yield
    finally:
        waits.cancel()
        done.set()


@pytest.fixture
async def store(opened: Opened) -> Any:
    async with opened() as store:
        await store.create("a", StreamConfig())
        yield store


def submit(store: SqliteStore, record: bytes = b"x") -> Answer:
    return store.submit([Append(stream="a", records=[record])])


def timed(store: SqliteStore, times: int = 1) -> tuple[float, list[Answer]]:
    started = time.monotonic()
    answers = [submit(store) for _ in range(times)]
    return time.monotonic() - started, answers


async def test_a_commit_that_is_quick_is_done_on_return(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PATIENCE", LONG)
    for turn in range(1, 101):
        answer = submit(store)
        assert answer.done()
        [appended] = answer.result()
        assert isinstance(appended, Appended)
        assert appended.last == turn


async def test_what_was_handed_in_before_is_answered_along_with_it(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", LONG)
    with busy(store, seconds=0.05):
        before = [asyncio.ensure_future(store.append([Append(stream="a", records=[b"y"])])) for _ in range(5)]
        await asyncio.sleep(0)  # each task runs up to its wait
        took, [answer] = timed(store)
        assert took < LONG / 2
        assert answer.done()
        async with asyncio.timeout(LONG):
            results = [*await asyncio.gather(*before), answer.result()]
    assert [result.last for [result] in results if isinstance(result, Appended)] == [1, 2, 3, 4, 5, 6]


async def test_a_writer_that_is_busy_holds_the_loop_for_its_patience(store: SqliteStore) -> None:
    with busy(store):
        took, answers = timed(store)
        assert writer.PATIENCE * 0.9 <= took < LONG / 2
        assert not answers[0].done()
    [appended] = await asyncio.wait_for(answers[0], LONG)
    assert isinstance(appended, Appended)


async def test_and_not_again_before_it_may_have_recovered(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(writer, "monotonic", lambda: now)
    monkeypatch.setattr(writer, "PATIENCE", 0.01)
    with busy(store):
        answers = [submit(store)]
        monkeypatch.setattr(writer, "PATIENCE", LONG)
        took, more = timed(store, 100)
        assert took < LONG / 2
        answers += more
    results = await asyncio.wait_for(asyncio.gather(*answers), LONG)
    assert [result.last for [result] in results if isinstance(result, Appended)] == [*range(1, 102)]
    now += writer.RECOVERY * 0.9
    answer = submit(store)
    assert not answer.done(), "it has waited again too early"
    await answer
    now += writer.RECOVERY * 0.2
    assert submit(store).done()


class Late:
    """A lock whose time is up just before it is released."""

    def __init__(self, lock: Any, released: Callable[[], bool]) -> None:
        self._lock = lock
        self._released = released
        self.missed = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if timeout < 0:
            return bool(self._lock.acquire(blocking))
        give_up = time.monotonic() + LONG
        while not self._released() and time.monotonic() < give_up:
            time.sleep(0.001)
        self.missed += 1
        return False

    def release(self) -> None:
        self._lock.release()


async def test_a_commit_that_lands_as_time_is_up_is_answered_once(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", LONG)
    monkeypatch.setattr(writer, "RECOVERY", 0)
    lock = store._writer._landed
    late = Late(lock, lambda: store._writer._lent_for is None and lock.locked() is False)
    monkeypatch.setattr(store._writer, "_landed", late)
    for turn in range(1, 4):
        answer = submit(store)
        [appended] = await asyncio.wait_for(answer, LONG)
        assert isinstance(appended, Appended)
        assert (appended.last, late.missed) == (turn, turn)
    monkeypatch.setattr(store._writer, "_landed", lock)
    with busy(store, seconds=0.05):
        assert submit(store).done(), "it has taken an earlier end for its own"
    assert len(await everything(store, "a")) == 4


async def test_commits_that_take_about_as_long_as_its_patience(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.001)
    monkeypatch.setattr(writer, "RECOVERY", 0)
    run, dice = store._engine.run, random.Random(1)

    def slowly(calls: Any) -> None:
        run(calls)
        time.sleep(dice.uniform(0, 0.0016))

    monkeypatch.setattr(store._engine, "run", slowly)
    answers: list[Answer] = []
    in_time = 0
    for turn in range(2000):
        answers.append(submit(store, b"%d" % turn))
        in_time += answers[-1].done()
        if turn % 7 == 0:
            await asyncio.sleep(0)
    async with asyncio.timeout(LONG):
        results = await asyncio.gather(*answers)
    assert [result.last for [result] in results if isinstance(result, Appended)] == [*range(1, 2001)]
    assert 0 < in_time < 2000
    assert await everything(store, "a") == [b"%d" % turn for turn in range(2000)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is what this test causes
@pytest.mark.parametrize("place", ["run", "upkeep"])
async def test_when_the_thread_dies_the_loop_does_not_wait_for_it(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def die(*_: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(writer, "PATIENCE", LONG)
    with busy(store, seconds=0.05):
        monkeypatch.setattr(store._engine, place, die)
        took, [answer] = timed(store)
        assert took < LONG / 2
        assert answer.done()
        with pytest.raises(StoreUnavailable):
            answer.result()
    with pytest.raises(StoreUnavailable):
        submit(store)


async def test_a_commit_that_waits_for_the_disk_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PATIENCE", LONG)
    async with SqliteStore(path, durability="full") as store:
        await store.create("a", StreamConfig())
        for turn in range(1, 11):
            answer = submit(store)
            assert not answer.done()
            [appended] = await answer
            assert isinstance(appended, Appended)
            assert appended.last == turn


async def test_it_is_refused_as_an_append_is(opened: Opened) -> None:
    async with opened(max_queued=10) as store:
        await store.create("a", StreamConfig())
        with busy(store):
            waiting = [submit(store) for _ in range(10)]
            with pytest.raises(StoreUnavailable, match="10 appends are waiting"):
                submit(store)
        await asyncio.wait_for(asyncio.gather(*waiting), LONG)
    with pytest.raises(StoreUnavailable, match="closed"):
        submit(store)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.append([Append(stream="a", records=[b"x"])])


async def test_an_answer_that_nobody_waits_for_any_more(store: SqliteStore) -> None:
    with busy(store):
        answers = [submit(store, b"%d" % turn) for turn in range(10)]
        for answer in answers:
            answer.cancel()
    assert await store.append([Append(stream="a", records=[b"last"])])
    assert await everything(store, "a") == [*[b"%d" % turn for turn in range(10)], b"last"]
