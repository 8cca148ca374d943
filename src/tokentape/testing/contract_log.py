"""The store contract: creating, appending, reading and deleting, where all goes well."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from tokentape.core.errors import CursorGone, StreamExists, StreamNotFound
from tokentape.stores.base import Append, Appended, Page, Producer, Store, StreamConfig


async def put(store: Store, stream: str, *records: bytes, **more: Any) -> Appended:
    """One append that is accepted."""
    [result] = await store.append([Append(stream=stream, records=records, **more)])
    assert isinstance(result, Appended), result
    return result


async def refused(store: Store, stream: str, *records: bytes, **more: Any) -> Exception:
    """One append that is not."""
    [result] = await store.append([Append(stream=stream, records=records, **more)])
    assert isinstance(result, Exception), f"accepted: {result}"
    return result


async def everything(store: Store, stream: str, **bounds: int) -> list[bytes]:
    """A stream's records read page by page, checking that they are in order and without gaps (P1)."""
    found: list[bytes] = []
    after = (await store.info(stream)).first - 1
    while True:
        page = await store.read(stream, after, **bounds)
        assert [offset for offset, _ in page.records] == [*range(after + 1, after + 1 + len(page.records))]
        found += [record for _, record in page.records]
        after += len(page.records)
        if after == page.last:
            return found
        assert page.records, "a page before the end is empty"


class LogContract:
    """What is appended is what is read."""

    async def test_a_new_stream_is_empty_and_open(self, store: Store) -> None:
        config = StreamConfig(content_type="text/plain", attributes={"owner": "me", "tags": ["a", 1, None]})
        made, new = await store.create("runs/r_1", config)
        assert new
        assert (made.name, made.config, made.first, made.last, made.bytes, made.closed) == (
            "runs/r_1", config, 1, 0, 0, False,
        )  # fmt: skip
        assert (made.sequence, made.appended_at, made.closed_at) == (None, 0, 0)
        assert made.created_at > 0
        assert await store.info("runs/r_1") == made

    async def test_creating_again_returns_the_stream_unchanged(self, store: Store) -> None:
        made, _ = await store.create("a", StreamConfig(attributes={"n": 1}))
        await put(store, "a", b"x")
        again, new = await store.create("a", StreamConfig(attributes={"n": 1}))
        assert not new
        assert (again.epoch, again.last) == (made.epoch, 1)

    async def test_creating_with_another_configuration_is_refused(self, store: Store) -> None:
        made, _ = await store.create("a", StreamConfig())
        with pytest.raises(StreamExists):
            await store.create("a", StreamConfig(content_type="text/plain"))
        assert await store.info("a") == made

    async def test_a_configuration_is_not_shared_with_the_caller(self, store: Store) -> None:
        attributes = {"n": 1}
        await store.create("a", StreamConfig(attributes=attributes))
        attributes["n"] = 2
        assert (await store.info("a")).config.attributes == {"n": 1}

    async def test_p1_offsets_count_from_one_without_gaps(self, store: Store) -> None:
        made, _ = await store.create("a", StreamConfig())
        await put(store, "a", b"one")
        first = await put(store, "a", b"two", b"three")
        assert (first.epoch, first.first, first.last, list(first.offsets)) == (made.epoch, 2, 3, [2, 3])
        assert (first.closed, first.duplicate) == (False, False)
        page = await store.read("a", 0)
        assert page == Page(made.epoch, [(1, b"one"), (2, b"two"), (3, b"three")], 3, False)

    async def test_records_are_any_bytes(self, store: Store) -> None:
        await store.create("a", StreamConfig(content_type="application/octet-stream"))
        records = [b"", b"\x00", bytes(range(256)), b"\xff" * 70_000, "à\u2028😀".encode()]
        await put(store, "a", *records)
        assert await everything(store, "a") == records

    async def test_a_batch_reaches_many_streams_and_keeps_the_order_in_each(self, store: Store) -> None:
        for name in ("a", "b"):
            await store.create(name, StreamConfig())
        batch = [Append(stream="ab"[turn % 2], records=[b"%d" % turn]) for turn in range(100)]
        results = [result for result in await store.append(batch) if isinstance(result, Appended)]
        assert [result.first for result in results] == [turn // 2 + 1 for turn in range(100)]
        assert await everything(store, "a") == [b"%d" % turn for turn in range(0, 100, 2)]
        assert await everything(store, "b") == [b"%d" % turn for turn in range(1, 100, 2)]

    async def test_p1_batches_are_applied_in_the_order_of_the_calls(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        calls = [store.append([Append(stream="a", records=[b"%d" % turn])]) for turn in range(200)]
        results = await asyncio.gather(*calls)
        assert [result.last for [result] in results if isinstance(result, Appended)] == [*range(1, 201)]
        assert await everything(store, "a") == [b"%d" % turn for turn in range(200)]

    async def test_cancelling_the_caller_does_not_cancel_the_append(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        task = asyncio.create_task(store.append([Append(stream="a", records=[b"kept"])]))
        await asyncio.sleep(0)  # the task runs up to its first wait, if it has any
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await put(store, "a", b"next")
        assert await everything(store, "a") == [b"kept", b"next"]

    async def test_what_was_accepted_can_be_read_at_once(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        for turn in range(50):
            last = (await put(store, "a", b"%d" % turn)).last
            page = await store.read("a", last - 1)
            assert page.records == [(last, b"%d" % turn)]

    async def test_pages_are_bounded_by_bytes_and_by_records(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        await put(store, "a", *[b"x" * 100] * 50)
        assert len((await store.read("a", 0, max_bytes=1000)).records) == 10
        assert len((await store.read("a", 0, max_records=7)).records) == 7
        assert [offset for offset, _ in (await store.read("a", 45, max_records=7)).records] == [*range(46, 51)]

    async def test_a_page_has_at_least_one_record(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        await put(store, "a", b"x" * 5000, b"y")
        assert (await store.read("a", 0, max_bytes=10)).records == [(1, b"x" * 5000)]

    async def test_a_long_stream_is_read_whole_in_pages_of_any_size(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        records = [bytes([turn % 251]) * (turn * 7919 % 300) for turn in range(3000)]
        for start in range(0, 3000, 150):
            await put(store, "a", *records[start : start + 150])
        assert await everything(store, "a") == records
        assert await everything(store, "a", max_bytes=4_000) == records
        assert await everything(store, "a", max_records=333) == records

    async def test_reading_at_the_end_gives_an_empty_page(self, store: Store) -> None:
        made, _ = await store.create("a", StreamConfig())
        assert await store.read("a", 0) == Page(made.epoch, [], 0, False)
        await put(store, "a", b"x")
        assert await store.read("a", 1) == Page(made.epoch, [], 1, False)

    async def test_p2_a_position_in_the_future_is_refused(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        await put(store, "a", b"x")
        for after in (2, 2**53 - 1):
            with pytest.raises(CursorGone) as gone:
                await store.read("a", after)
            assert gone.value.details["reason"] == "future"

    async def test_closing_is_atomic_with_the_last_records(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        result = await put(store, "a", b"x", b"end", close=True)
        assert (result.last, result.closed) == (2, True)
        assert (await store.read("a", 2)).closed
        info = await store.info("a")
        assert info.closed
        assert info.closed_at > 0

    async def test_closing_is_possible_without_records_and_again(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        await put(store, "a", b"x")
        for _ in range(2):
            result = await put(store, "a", close=True)
            assert (result.first, result.last, list(result.offsets), result.closed) == (2, 1, [], True)

    async def test_info_counts_what_is_there(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        await put(store, "a", b"12345", b"")
        await put(store, "a", b"123", sequence="s1")
        info = await store.info("a")
        assert (info.first, info.last, info.bytes, info.sequence) == (1, 3, 8, "s1")
        assert info.appended_at >= info.created_at

    async def test_a_deleted_stream_is_gone_and_others_are_not(self, store: Store) -> None:
        for name in ("a", "a/b"):
            await store.create(name, StreamConfig())
            await put(store, name, b"x")
        await store.delete("a")
        for call in (store.read("a", 0), store.info("a"), store.delete("a")):
            with pytest.raises(StreamNotFound):
                await call
        assert await everything(store, "a/b") == [b"x"]

    async def test_p2_a_stream_made_anew_has_another_epoch_and_nothing_of_the_old_one(self, store: Store) -> None:
        epochs = []
        for turn in range(3):
            made, new = await store.create("a", StreamConfig(attributes={"turn": turn}))
            assert new
            epochs.append(made.epoch)
            result = await put(store, "a", b"%d" % turn, keys=["k"], producer=Producer("p", 0, 0), sequence="1")
            assert (result.first, result.duplicate) == (1, False)
            assert await everything(store, "a") == [b"%d" % turn]
            await store.delete("a")
        assert all(left != right for left, right in pairwise(epochs))

    async def test_an_append_of_nothing_changes_nothing(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        before = await store.info("a")
        result = await put(store, "a")
        assert (result.first, result.last, list(result.offsets)) == (1, 0, [])
        assert await store.info("a") == before
        assert await store.append([]) == []
