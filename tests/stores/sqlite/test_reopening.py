"""What the next process finds."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tokentape.core.errors import Fenced, SequenceConflict, StreamClosed, StreamNotFound
from tokentape.stores.base import Append, Fence, Producer, Retention, StreamConfig
from tokentape.stores.sqlite import SqliteStore
from tokentape.testing import ManualClock
from tokentape.testing.contract_log import everything, put, refused

Opened = Callable[..., SqliteStore]


async def test_everything_is_as_it_was_left(opened: Opened) -> None:
    config = StreamConfig(content_type="text/plain", attributes={"n": 1})
    async with opened() as store:
        await store.create("a", config)
        await put(store, "a", b"x", b"y", keys=["k", None], producer=Producer("p", 1, 0), sequence="s1")
        await put(store, "a", b"z", close=True)
        before = await store.info("a")
    async with opened() as store:
        assert await store.info("a") == before
        assert await everything(store, "a") == [b"x", b"y", b"z"]
        assert list((await put(store, "a", b"x", keys=["k"])).offsets) == [1]
        assert (await put(store, "a", b"x", producer=Producer("p", 1, 0))).duplicate
        assert isinstance(await refused(store, "a", b"no"), StreamClosed)
        assert isinstance(await refused(store, "a", close=True, sequence="s1"), SequenceConflict)
        assert await store.create("a", config) == (await store.info("a"), False)


async def test_a_clean_end_leaves_an_empty_journal_and_no_log(
    opened: Opened, look: Callable[[str], Any], path: Any
) -> None:
    async with opened() as store:
        await store.create("a", StreamConfig())
        await put(store, "a", *[b"x"] * 100)
    assert not path.with_name("tape.db-wal").exists()
    assert look("SELECT count(*) FROM journal") == 0
    assert look("SELECT first, last FROM segment") == (1, 100)


async def test_closing_finishes_what_was_handed_in(opened: Opened) -> None:
    async with opened() as store:
        await store.create("a", StreamConfig())
        calls = [
            asyncio.ensure_future(store.append([Append(stream="a", records=[b"%d" % turn])])) for turn in range(500)
        ]
        await asyncio.sleep(0)  # each task runs up to its wait
    assert all(call.done() for call in calls)
    async with opened() as store:
        assert await everything(store, "a") == [b"%d" % turn for turn in range(500)]


async def test_p7_leases_of_an_earlier_process_are_dead_and_still_listed(opened: Opened, clock: ManualClock) -> None:
    async with opened() as store:
        lease = await store.acquire("runs/r_1", "me", seconds=3600, value=b"the run")
        released = await store.acquire("runs/r_2", "me", seconds=3600)
        assert lease is not None
        assert released is not None
        await store.release("runs/r_2", released.token)
    async with opened() as store:
        await store.create("a", StreamConfig())
        [orphan] = await store.leases("runs/")
        assert orphan == lease._replace(live=False)
        taken = await store.acquire("runs/r_1", "cleaner", seconds=10)
        assert taken is not None
        assert taken.token > released.token
        assert not await store.renew("runs/r_1", lease.token, seconds=10)
        assert isinstance(await refused(store, "a", b"no", fence=Fence("runs/r_1", lease.token)), Fenced)
        await put(store, "a", b"x", fence=Fence("runs/r_1", taken.token))
        await store.release("runs/r_1", taken.token)
        assert await store.leases() == []


async def test_ages_count_on_while_the_store_is_closed(opened: Opened, clock: ManualClock) -> None:
    async with opened() as store:
        await store.create("idle", StreamConfig(retention=Retention(idle=60)))
        await store.create("closed", StreamConfig(retention=Retention(after_close=90)))
        await put(store, "closed", b"x", close=True)
        clock.advance(40)
        await store.read("idle", 0)
    clock.advance(40)
    async with opened() as store:
        assert [info.name for info in await store.list()] == ["closed", "idle"]
    clock.advance(21)
    async with opened() as store:
        for name in ("idle", "closed"):
            with pytest.raises(StreamNotFound):
                await store.info(name)
        assert await store.list() == []


async def test_a_trimmed_stream_stays_trimmed(opened: Opened) -> None:
    async with opened(journal_rows=5) as store:
        await store.create("a", StreamConfig(retention=Retention(max_bytes=1000)))
        for turn in range(100):
            await put(store, "a", b"%050d" % turn)
        before = await store.info("a")
        kept = await everything(store, "a")
    async with opened() as store:
        assert await store.info("a") == before
        assert await everything(store, "a") == kept == [b"%050d" % turn for turn in range(before.first - 1, 100)]
