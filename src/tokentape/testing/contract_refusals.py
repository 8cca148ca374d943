"""The store contract: what an append is refused for, in which order, and what makes it idempotent."""

from __future__ import annotations

import pytest

from tokentape.core.errors import (
    BadRequest,
    CursorGone,
    Fenced,
    SequenceConflict,
    StaleProducer,
    StreamClosed,
    StreamNotFound,
    TokentapeError,
)
from tokentape.core.producer import MAX_PRODUCERS
from tokentape.stores.base import Append, Appended, Fence, Leasing, Producer, Store, StreamConfig
from tokentape.testing.contract_log import everything, put, refused

LOST = Fence("nobody's", 1)

# Each of these is wrong in two ways; the earlier check of `Store.append` answers.
PRECEDENCE = {
    "epoch before fence": (Append(stream="closed", records=[b"x"], epoch="zzzz", fence=LOST), CursorGone),
    "fence before producer": (
        Append(stream="closed", records=[b"x"], fence=LOST, producer=Producer("p", 5, 9)),
        Fenced,
    ),
    "producer before closed": (Append(stream="closed", records=[b"x"], producer=Producer("p", 5, 9)), SequenceConflict),
    "closed before sequence": (Append(stream="closed", records=[b"x"], sequence="0"), StreamClosed),
}


class RefusalContract:
    """One refused entry changes nothing, also not for its neighbours."""

    async def test_an_append_to_no_stream_is_refused(self, store: Store) -> None:
        assert isinstance(await refused(store, "nobody", b"x"), StreamNotFound)

    async def test_a_refused_entry_does_not_affect_its_neighbours(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        results = await store.append([
            Append(stream="a", records=[b"1"]),
            Append(stream="nobody", records=[b"2"]),
            Append(stream="a", records=[b"3"], epoch="wrong"),
            Append(stream="a", records=[b"4"]),
        ])  # fmt: skip
        assert [isinstance(result, Appended) for result in results] == [True, False, False, True]
        assert await everything(store, "a") == [b"1", b"4"]

    async def test_p2_an_append_for_another_epoch_is_refused(self, store: Store) -> None:
        made, _ = await store.create("a", StreamConfig())
        error = await refused(store, "a", b"x", epoch="zzzzzzzz")
        assert isinstance(error, CursorGone)
        assert error.details["reason"] == "epoch"
        assert (await put(store, "a", b"x", epoch=made.epoch)).last == 1

    @pytest.mark.parametrize("case", PRECEDENCE)
    async def test_checks_come_in_the_order_of_the_contract(self, store: Store, case: str) -> None:
        if not isinstance(store, Leasing) and "fence" in case:
            pytest.skip("this store has no leases")
        await store.create("closed", StreamConfig())
        await put(store, "closed", b"x", sequence="5", producer=Producer("p", 5, 0), close=True)
        append, expected = PRECEDENCE[case]
        [result] = await store.append([append])
        assert type(result) is expected

    async def test_a_closed_stream_takes_no_more_records(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        results = await store.append([
            Append(stream="a", records=[b"x"], close=True), Append(stream="a", records=[b"y"]),
        ])  # fmt: skip
        assert isinstance(results[1], StreamClosed)
        assert isinstance(error := await refused(store, "a", b"y", close=True), StreamClosed)
        assert error.details["last"] == 1
        assert isinstance(await refused(store, "a"), StreamClosed)
        assert await everything(store, "a") == [b"x"]

    async def test_sequences_must_grow_as_text(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        await put(store, "a", b"1", sequence="10")
        await put(store, "a", b"2", sequence="9")
        await put(store, "a", b"3")
        for sequence in ("9", "10", ""):
            assert isinstance(await refused(store, "a", b"no", sequence=sequence), SequenceConflict)
        assert (await store.info("a")).sequence == "9"
        assert await everything(store, "a") == [b"1", b"2", b"3"]

    async def test_the_empty_sequence_can_be_given_once_and_first(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        await put(store, "a", b"1", sequence="")
        assert (await store.info("a")).sequence == ""
        assert isinstance(await refused(store, "a", b"no", sequence=""), SequenceConflict)
        await put(store, "a", b"2", sequence="0")
        assert await everything(store, "a") == [b"1", b"2"]

    async def test_a_producer_may_repeat_itself(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        await put(store, "a", b"0", producer=Producer("p", 0, 0))
        await put(store, "a", b"1", b"2", producer=Producer("p", 0, 1))
        again = await put(store, "a", b"1", b"2", producer=Producer("p", 0, 1))
        assert (again.duplicate, list(again.offsets), again.first, again.last) == (True, [0, 0], 4, 3)
        older = await put(store, "a", b"0", producer=Producer("p", 0, 0))
        assert (older.duplicate, older.seq) == (True, 1)
        assert await everything(store, "a") == [b"0", b"1", b"2"]

    async def test_a_thousand_producers_that_wrote_last_are_remembered(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        names = [f"p{number}" for number in range(5 * MAX_PRODUCERS)]
        for turn, start in enumerate(range(0, len(names), MAX_PRODUCERS // 2)):
            # One that writes now and then is never forgotten, however many others come and go.
            await put(store, "a", b"steady", producer=Producer("steady", 0, turn))
            some = names[start : start + MAX_PRODUCERS // 2]
            answers = await store.append([Append(stream="a", producer=Producer(name, 0, 0)) for name in some])
            assert not [answer for answer in answers if not isinstance(answer, Appended)]
        last = names[1 - MAX_PRODUCERS :]
        answers = await store.append([Append(stream="a", producer=Producer(name, 0, 0)) for name in last])
        assert all(isinstance(answer, Appended) and answer.duplicate for answer in answers)

    async def test_a_producer_may_repeat_its_last_words_to_a_closed_stream(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        for _ in range(2):
            result = await put(store, "a", b"end", producer=Producer("p", 0, 0), close=True)
            assert (result.last, result.closed) == (1, True)

    async def test_p7_producers_are_ordered_and_fenced_by_their_epochs(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        await put(store, "a", b"0", producer=Producer("p", 3, 0))
        gap = await refused(store, "a", b"no", producer=Producer("p", 3, 2))
        assert isinstance(gap, SequenceConflict)
        assert gap.details == {"expected": 1, "received": 2}
        stale = await refused(store, "a", b"no", producer=Producer("p", 2, 0))
        assert isinstance(stale, StaleProducer)
        assert stale.details["epoch"] == 3
        late = await refused(store, "a", b"no", producer=Producer("p", 4, 1))
        assert isinstance(late, SequenceConflict)
        assert late.details == {"expected": 0, "received": 1, "epoch": 3}
        unknown = await refused(store, "a", b"no", producer=Producer("new", 0, 1))
        assert isinstance(unknown, SequenceConflict)
        assert unknown.details == {"expected": 0, "received": 1}
        await put(store, "a", b"1", producer=Producer("p", 4, 0))
        assert isinstance(await refused(store, "a", b"no", producer=Producer("p", 3, 1)), StaleProducer)
        await put(store, "a", b"2", producer=Producer("other", 0, 0))
        assert await everything(store, "a") == [b"0", b"1", b"2"]

    async def test_a_refused_append_does_not_move_its_producer(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        await put(store, "a", b"0", producer=Producer("p", 0, 0), sequence="5")
        assert isinstance(await refused(store, "a", b"1", producer=Producer("p", 0, 1), sequence="4"), SequenceConflict)
        assert not (await put(store, "a", b"1", producer=Producer("p", 0, 1), sequence="6")).duplicate

    async def test_a_record_with_a_known_key_is_not_appended_again(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        await put(store, "a", b"1", b"2", keys=["k1", None])
        result = await put(store, "a", b"again", b"3", b"more", b"3 again", keys=["k1", "k3", None, "k3"])
        assert (list(result.offsets), result.first, result.last, result.duplicate) == ([1, 3, 4, 3], 3, 4, False)
        known = await put(store, "a", b"again", keys=["k3"])
        assert (list(known.offsets), known.first, known.last) == ([3], 5, 4)
        assert await everything(store, "a") == [b"1", b"2", b"3", b"more"]

    async def test_keys_belong_to_one_stream(self, store: Store) -> None:
        for name in ("a", "b"):
            await store.create(name, StreamConfig())
            assert (await put(store, name, b"x", keys=["k"])).last == 1

    async def test_p4_an_ending_with_a_key_is_one_ending_however_often_it_is_written(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        done = Append(stream="a", records=[b"done"], keys=["done"], close=True)
        results = await store.append([done, done]) + await store.append([done])
        assert [(list(r.offsets), r.closed) for r in results if isinstance(r, Appended)] == [([1], True)] * 3
        assert isinstance(await refused(store, "a", b"done", b"more", keys=["done", "other"]), StreamClosed)
        assert await everything(store, "a") == [b"done"]

    async def test_keys_that_do_not_match_the_records_are_refused(self, store: Store) -> None:
        await store.create("a", StreamConfig())
        assert isinstance(await refused(store, "a", b"x", b"y", keys=["k"]), BadRequest)
        assert (await store.info("a")).last == 0

    async def test_p7_an_append_needs_the_lease_that_it_names(self, store: Store) -> None:
        if not isinstance(store, Leasing):
            pytest.skip("this store has no leases")
        await store.create("a", StreamConfig())
        lease = await store.acquire("run", "me", seconds=10)
        assert lease is not None
        await put(store, "a", b"1", fence=Fence("run", lease.token))
        for fence in (Fence("run", lease.token + 1), Fence("run", lease.token - 1), LOST):
            assert isinstance(await refused(store, "a", b"no", fence=fence), Fenced)
        await store.release("run", lease.token)
        error = await refused(store, "a", b"no", fence=Fence("run", lease.token))
        assert isinstance(error, Fenced)
        assert isinstance(error, TokentapeError)
        assert await everything(store, "a") == [b"1"]
