"""The writer thread: bounded, never in the way of readers, and never a reason to wait for ever."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tokentape.core.errors import StoreUnavailable
from tokentape.stores.base import Append, StreamConfig
from tokentape.stores.sqlite import SqliteStore
from tokentape.testing.contract_log import everything, put

Opened = Callable[..., SqliteStore]


@contextmanager
def busy(store: SqliteStore) -> Iterator[None]:
    """Keeps the writer thread busy, as a slow disk would."""
    done = threading.Event()
    waits = store._writer.call(done.wait)
    try:
        yield
    finally:
        waits.cancel()
        done.set()


async def test_a_queue_that_is_full_refuses_and_what_is_in_it_is_done(opened: Opened) -> None:
    async with opened(max_queued=10) as store:
        await store.create("a", StreamConfig())
        with busy(store):
            waiting = [asyncio.ensure_future(store.append([Append(stream="a", records=[b"x"])] * 5)) for _ in range(2)]
            await asyncio.sleep(0)  # each task runs up to its wait
            with pytest.raises(StoreUnavailable, match="10 appends are waiting") as refused:
                await store.append([Append(stream="a", records=[b"no"])])
            assert refused.value.retryable
        await asyncio.gather(*waiting)
        await put(store, "a", b"y")
        assert await everything(store, "a") == [b"x"] * 10 + [b"y"]


async def test_a_batch_larger_than_the_queue_is_taken_when_nothing_waits(opened: Opened) -> None:
    async with opened(max_queued=10) as store:
        await store.create("a", StreamConfig())
        await store.append([Append(stream="a", records=[b"x"])] * 50)
        assert len(await everything(store, "a")) == 50


async def test_readers_do_not_wait_for_the_writer(opened: Opened) -> None:
    async with opened(journal_bytes=1) as store:
        await store.create("filed", StreamConfig())
        await put(store, "filed", b"x" * 100, b"y" * 100)
        while store._heads["filed"].tail.records:  # until it is flushed
            await store.info("filed")
        await store.create("recent", StreamConfig())
        with busy(store):
            page = await asyncio.wait_for(store.read("filed", 0), 30)
            assert [text for _, text in page.records] == [b"x" * 100, b"y" * 100]
            assert (await asyncio.wait_for(store.read("recent", 0), 30)).records == []


async def test_the_holder_of_a_lease_keeps_it_while_the_disk_is_slow(opened: Opened) -> None:
    async with opened() as store:
        lease = await store.acquire("run", "me", seconds=10)
        assert lease is not None
        with busy(store):
            assert await asyncio.wait_for(store.renew("run", lease.token, seconds=10), 30)


async def test_cancelled_callers_are_nothing_to_the_writer(opened: Opened) -> None:
    async with opened() as store:
        await store.create("a", StreamConfig())
        with busy(store):
            tasks = [
                asyncio.ensure_future(store.append([Append(stream="a", records=[b"%d" % turn])])) for turn in range(50)
            ]
            await asyncio.sleep(0)  # each task runs up to its wait
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await put(store, "a", b"last")
        assert await everything(store, "a") == [*[b"%d" % turn for turn in range(50)], b"last"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is what this test causes
async def test_when_the_thread_dies_nobody_waits_for_ever(opened: Opened) -> None:
    def die() -> Any:
        raise SystemExit

    async with opened() as store:
        await store.create("a", StreamConfig())
        with busy(store):
            last_words = asyncio.ensure_future(store._writer.call(die))
            after = asyncio.ensure_future(store.append([Append(stream="a", records=[b"never"])]))
            await asyncio.sleep(0)
        for call in (last_words, after):
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(call, 30)
        with pytest.raises(StoreUnavailable):
            await store.create("b", StreamConfig())
    async with opened() as store:
        assert (await store.info("a")).last == 0


def test_a_loop_that_ends_first_does_not_hold_the_writer_up(opened: Opened) -> None:
    with asyncio.Runner() as runner:
        store = runner.run(opened().__aenter__())
        runner.run(store.create("a", StreamConfig()))
        with busy(store):
            pending = runner.run(handed_in(store))
            runner.close()
    assert not pending.done()
    store._writer.finish()
    store._close()
    with asyncio.Runner() as runner:
        assert runner.run(reread(opened())) == [b"x"]


async def handed_in(store: SqliteStore) -> asyncio.Future[Any]:
    return store._writer.append([Append(stream="a", records=[b"x"])])


async def reread(store: SqliteStore) -> list[bytes]:
    async with store:
        return await everything(store, "a")
