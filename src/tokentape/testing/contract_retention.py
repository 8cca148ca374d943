"""The store contract: how long streams and records are kept. The clock is moved by hand."""

from __future__ import annotations

import pytest

from tokentape.core.errors import CursorGone, StreamNotFound
from tokentape.stores.base import Listing, Retention, Store, StreamConfig
from tokentape.testing.clock import ManualClock
from tokentape.testing.contract_log import everything, put, refused

HOUR = 3600.0


async def make(store: Store, name: str, retention: Retention) -> str:
    info, new = await store.create(name, StreamConfig(retention=retention))
    assert new
    return info.epoch


async def exists(store: Store, name: str) -> bool:
    try:
        await store.info(name)
    except StreamNotFound:
        return False
    return True


class RetentionContract:
    """A stream whose retention has run out is as if it had been deleted."""

    async def test_without_retention_streams_stay(self, store: Store, clock: ManualClock) -> None:
        await make(store, "a", Retention())
        await put(store, "a", b"x", close=True)
        clock.advance(1000 * HOUR)
        assert await everything(store, "a") == [b"x"]

    async def test_a_closed_stream_stays_for_its_time(self, store: Store, clock: ManualClock) -> None:
        await make(store, "a", Retention(after_close=60))
        await put(store, "a", b"x")
        clock.advance(HOUR)
        await put(store, "a", close=True)
        clock.advance(59)
        assert await everything(store, "a") == [b"x"]
        await put(store, "a", close=True)  # closing again does not begin its time anew
        clock.advance(2)
        with pytest.raises(StreamNotFound):
            await store.read("a", 0)

    async def test_reads_and_appends_renew_an_idle_time_and_info_does_not(
        self, store: Store, clock: ManualClock
    ) -> None:
        await make(store, "a", Retention(idle=60))
        for _ in range(3):
            clock.advance(40)
            await store.read("a", 0)
            clock.advance(40)
            await put(store, "a", b"x")
        clock.advance(40)
        assert (await store.info("a")).last == 3
        clock.advance(21)
        assert not await exists(store, "a")

    async def test_closing_ends_the_renewals(self, store: Store, clock: ManualClock) -> None:
        await make(store, "a", Retention(idle=60, after_close=100))
        await put(store, "a", b"x", close=True)
        clock.advance(50)
        await store.read("a", 0)
        clock.advance(49)
        await store.read("a", 0)
        clock.advance(2)
        assert not await exists(store, "a")

    async def test_a_stream_expires_at_its_moment(self, store: Store, clock: ManualClock) -> None:
        await make(store, "a", Retention(expires_at=int((clock.now() + 100) * 1000)))
        clock.advance(99)
        await put(store, "a", b"x")
        assert await exists(store, "a")
        clock.advance(2)
        assert not await exists(store, "a")

    async def test_p2_a_name_whose_stream_has_run_out_is_free_for_a_new_one(
        self, store: Store, clock: ManualClock
    ) -> None:
        epoch = await make(store, "a", Retention(idle=60))
        await put(store, "a", b"old", keys=["k"])
        clock.advance(61)
        assert isinstance(await refused(store, "a", b"x"), StreamNotFound)
        assert await make(store, "a", Retention(idle=90)) != epoch
        assert (await put(store, "a", b"new", keys=["k"])).first == 1
        assert await everything(store, "a") == [b"new"]

    async def test_a_stream_that_has_run_out_is_not_listed(self, store: Store, clock: ManualClock) -> None:
        if not isinstance(store, Listing):
            pytest.skip("this store does not list")
        for name in "abc":
            await make(store, name, Retention(idle=60 if name == "b" else 0))
        clock.advance(61)
        assert [info.name for info in await store.list(limit=2)] == ["a", "c"]

    @pytest.mark.parametrize("hours", [1, -1])
    async def test_row_44_no_jump_of_the_wall_clock_ends_or_prolongs_a_stream(
        self, store: Store, clock: ManualClock, hours: int
    ) -> None:
        await make(store, "idle", Retention(idle=60))
        await make(store, "closed", Retention(after_close=60))
        await put(store, "closed", b"x", close=True)
        clock.jump(hours * HOUR)
        clock.advance(30)
        assert await exists(store, "idle")
        assert await exists(store, "closed")
        clock.advance(31)
        assert not await exists(store, "idle")
        assert not await exists(store, "closed")

    @pytest.mark.parametrize("hours", [1, -1])
    async def test_row_44_no_jump_of_the_wall_clock_changes_the_order(
        self, store: Store, clock: ManualClock, hours: int
    ) -> None:
        await make(store, "a", Retention())
        await put(store, "a", b"1")
        clock.jump(hours * HOUR)
        assert (await put(store, "a", b"2")).first == 2
        assert await everything(store, "a") == [b"1", b"2"]

    async def test_the_oldest_records_are_trimmed_and_the_rest_is_exact(self, store: Store) -> None:
        await make(store, "a", Retention(max_bytes=1000))
        records = [b"%04d" % turn + b"." * (turn * 31 % 40) for turn in range(400)]
        previous = 1
        for turn, record in enumerate(records, 1):
            await put(store, "a", record)
            info = await store.info("a")
            kept = records[info.first - 1 : turn]
            assert info.bytes == sum(map(len, kept)) <= 1000
            assert info.first >= previous
            # Trimmed only when it was full, and then by a quarter at most, rounded up to a record.
            assert info.first == previous or info.bytes + len(records[info.first - 2]) > 750
            previous = info.first
        assert previous > 300
        assert await everything(store, "a") == records[previous - 1 :]

    async def test_row_16_what_was_trimmed_is_gone_and_says_so(self, store: Store) -> None:
        await make(store, "a", Retention(max_bytes=100))
        for turn in range(20):
            await put(store, "a", b"%010d" % turn)
        first = (await store.info("a")).first
        assert first > 1
        for after in (0, first - 2):
            with pytest.raises(CursorGone) as gone:
                await store.read("a", after)
            assert gone.value.details["reason"] == "trimmed"
        page = await store.read("a", first - 1)
        assert page.records[0] == (first, b"%010d" % (first - 1))

    async def test_the_newest_record_stays_however_large(self, store: Store) -> None:
        await make(store, "a", Retention(max_bytes=100))
        await put(store, "a", b"small")
        await put(store, "a", b"x" * 5000)
        info = await store.info("a")
        assert (info.first, info.last, info.bytes) == (2, 2, 5000)
        await put(store, "a", b"y" * 300, b"z" * 300)
        assert (await store.read("a", 3)).records == [(4, b"z" * 300)]

    async def test_a_key_counts_as_long_as_its_record_is_retained(self, store: Store) -> None:
        await make(store, "a", Retention(max_bytes=100))
        await put(store, "a", b"x" * 50, keys=["k"])
        await put(store, "a", b"y" * 90)
        assert list((await put(store, "a", b"z" * 50, keys=["k"])).offsets) == [3]
        assert list((await put(store, "a", b"z" * 50, keys=["k"])).offsets) == [3]
