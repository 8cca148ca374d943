"""The store contract: submitting, listing, leases and presence, for the stores that have them."""

from __future__ import annotations

import asyncio

import pytest

from tokentape.core.errors import Fenced, StreamNotFound, TokentapeError, TooLarge
from tokentape.stores.base import (
    MAX_BROADCAST,
    Append,
    Appended,
    Broadcasting,
    Fence,
    Leasing,
    Listing,
    Member,
    Notifying,
    Presence,
    Queueing,
    Standing,
    Store,
    StreamConfig,
    Submitting,
)
from tokentape.testing.clock import ManualClock
from tokentape.testing.contract_log import everything, put, refused


def submitting(store: Store) -> Submitting:
    return store if isinstance(store, Submitting) else pytest.skip("this store takes no batches without a task")


def listing(store: Store) -> Listing:
    return store if isinstance(store, Listing) else pytest.skip("this store does not list")


def notifying(store: Store) -> Notifying:
    return store if isinstance(store, Notifying) else pytest.skip("this store does not tell")


def broadcasting(store: Store) -> Broadcasting:
    return store if isinstance(store, Broadcasting) else pytest.skip("this store does not broadcast")


def leasing(store: Store) -> Leasing:
    return store if isinstance(store, Leasing) else pytest.skip("this store has no leases")


def presence(store: Store) -> Presence:
    return store if isinstance(store, Presence) else pytest.skip("this store has no presence")


def queueing(store: Store) -> Queueing:
    return store if isinstance(store, Queueing) else pytest.skip("this store has no queues")


class CapabilityContract:
    """Each capability by itself."""

    async def test_p1_what_is_submitted_and_appended_is_applied_in_the_order_of_the_calls(self, store: Store) -> None:
        submitter = submitting(store)
        await store.create("a", StreamConfig())
        answers: list[asyncio.Future[list[Appended | TokentapeError]]] = []
        for turn in range(200):
            batch = [Append(stream="a", records=[b"%d" % turn])]
            if turn % 3:
                answers.append(submitter.submit(batch))
            else:
                answers.append(asyncio.ensure_future(store.append(batch)))
                await asyncio.sleep(0)  # the task runs up to its first wait, if it has any
        results = await asyncio.gather(*answers)
        assert [result.last for [result] in results if isinstance(result, Appended)] == [*range(1, 201)]
        assert await everything(store, "a") == [b"%d" % turn for turn in range(200)]

    async def test_what_is_submitted_is_answered_as_what_is_appended(self, store: Store) -> None:
        submitter = submitting(store)

        def batches(stream: str) -> list[list[Append]]:
            return [
                [
                    Append(stream=stream, records=[b"1", b"2"], keys=["k", None]),
                    Append(stream="nobody", records=[b"x"]),
                ],
                [],
                [Append(stream=stream, records=[b"1", b"3"], keys=["k", "l"])],
                [Append(stream=stream, records=[b"4"], epoch="zzzzzzzz"), Append(stream=stream, close=True)],
                [Append(stream=stream, records=[b"5"])],
            ]

        def plain(answer: Appended | TokentapeError) -> object:
            if isinstance(answer, Appended):
                return answer.first, answer.last, [*answer.offsets], answer.closed, answer.duplicate
            return type(answer)

        for name in ("appended", "submitted"):
            await store.create(name, StreamConfig())
        for appended, submitted in zip(batches("appended"), batches("submitted"), strict=True):
            expected = [plain(answer) for answer in await store.append(appended)]
            assert [plain(answer) for answer in await submitter.submit(submitted)] == expected
        assert await everything(store, "submitted") == await everything(store, "appended") == [b"1", b"2", b"3"]

    async def test_what_was_submitted_can_be_read_as_soon_as_it_is_answered(self, store: Store) -> None:
        submitter = submitting(store)
        await store.create("a", StreamConfig())
        for turn in range(1, 51):
            await submitter.submit([Append(stream="a", records=[b"%d" % turn])])
            assert (await store.read("a", turn - 1)).records == [(turn, b"%d" % turn)]

    async def test_cancelling_the_answer_does_not_cancel_what_was_submitted(self, store: Store) -> None:
        submitter = submitting(store)
        await store.create("a", StreamConfig())
        for turn in range(20):
            submitter.submit([Append(stream="a", records=[b"%d" % turn])]).cancel()
        await put(store, "a", b"last")
        assert await everything(store, "a") == [*[b"%d" % turn for turn in range(20)], b"last"]

    async def test_appends_are_told_after_they_are_answered(self, store: Store) -> None:
        told: asyncio.Queue[Standing] = asyncio.Queue()
        forget = notifying(store).notify(told.put_nowait)
        await store.create("s", StreamConfig())
        (appended,) = await store.append([Append(stream="s", records=[b"1", b"2"], close=True)])
        assert isinstance(appended, Appended)
        assert told.empty(), "a caller is told its own answer first"
        async with asyncio.timeout(5):
            assert await told.get() == Standing("s", appended.epoch, 2, closed=True)
        forget()
        await store.create("t", StreamConfig())
        await store.append([Append(stream="t", records=[b"1"])])
        await asyncio.sleep(0)
        assert told.empty()

    async def test_streams_are_listed_by_name_in_pages(self, store: Store) -> None:
        lister = listing(store)
        names = ["a", "a%", "a_b", "ab", "b/1", "b/2", "b0", "é"]
        for name in reversed(names):
            await store.create(name, StreamConfig(attributes={"of": name}))
        assert [info.name for info in await lister.list()] == names
        assert [info.name for info in await lister.list("b/")] == ["b/1", "b/2"]
        assert [info.name for info in await lister.list("a%")] == ["a%"]
        assert [info.name for info in await lister.list("a_")] == ["a_b"]
        found: list[str] = []
        while page := await lister.list(after=found[-1] if found else "", limit=3):
            found += [info.name for info in page]
        assert found == names
        assert [info.name for info in await lister.list("b", after="b/1")] == ["b/2", "b0"]
        assert await lister.list("nothing") == []

    async def test_what_is_listed_is_as_fresh_as_info(self, store: Store) -> None:
        lister = listing(store)
        await store.create("a", StreamConfig())
        await put(store, "a", b"x", close=True)
        await store.create("b", StreamConfig())
        assert await lister.list() == [await store.info("a"), await store.info("b")]
        await store.delete("a")
        assert [info.name for info in await lister.list()] == ["b"]

    async def test_p7_a_lease_has_one_holder(self, store: Store, clock: ManualClock) -> None:
        leases = leasing(store)
        mine = await leases.acquire("run", "me", seconds=10, value=b"what for")
        assert mine is not None
        assert (mine.name, mine.holder, mine.value, mine.live) == ("run", "me", b"what for", True)
        assert await leases.acquire("run", "you", seconds=10) is None
        clock.advance(11)
        yours = await leases.acquire("run", "you", seconds=10)
        assert yours is not None
        assert yours.token > mine.token

    async def test_p7_a_lease_lives_while_it_is_renewed(self, store: Store, clock: ManualClock) -> None:
        leases = leasing(store)
        mine = await leases.acquire("run", "me", seconds=10)
        assert mine is not None
        for _ in range(3):
            clock.advance(9)
            assert await leases.renew("run", mine.token, seconds=10)
        assert await leases.acquire("run", "you", seconds=10) is None
        assert not await leases.renew("nothing", 1, seconds=10)

    async def test_p7_a_holder_that_lost_its_lease_is_fenced_off(self, store: Store, clock: ManualClock) -> None:
        leases = leasing(store)
        await store.create("a", StreamConfig())
        mine = await leases.acquire("run", "me", seconds=10)
        assert mine is not None
        clock.advance(11)
        yours = await leases.acquire("run", "you", seconds=10)
        assert yours is not None
        assert isinstance(await refused(store, "a", b"late", fence=Fence("run", mine.token)), Fenced)
        assert not await leases.renew("run", mine.token, seconds=10)
        await leases.release("run", mine.token)  # without effect
        await put(store, "a", b"x", fence=Fence("run", yours.token))

    async def test_p7_a_holder_is_late_without_harm_until_somebody_takes_its_lease(
        self, store: Store, clock: ManualClock
    ) -> None:
        leases = leasing(store)
        await store.create("a", StreamConfig())
        mine = await leases.acquire("run", "me", seconds=10)
        assert mine is not None
        clock.advance(11)
        await put(store, "a", b"late", fence=Fence("run", mine.token))
        assert await leases.renew("run", mine.token, seconds=10)
        assert await leases.acquire("run", "you", seconds=10) is None
        clock.advance(11)
        await leases.release("run", mine.token)
        assert await leases.leases() == []
        assert isinstance(await refused(store, "a", b"x", fence=Fence("run", mine.token)), Fenced)

    async def test_tokens_grow_also_across_a_release(self, store: Store) -> None:
        leases = leasing(store)
        tokens = []
        for _ in range(3):
            lease = await leases.acquire("run", "me", seconds=10)
            assert lease is not None
            tokens.append(lease.token)
            await leases.release("run", lease.token)
        assert tokens == sorted(set(tokens))

    async def test_a_holder_may_take_its_own_lease_anew(self, store: Store) -> None:
        leases = leasing(store)
        first = await leases.acquire("run", "me", seconds=10)
        second = await leases.acquire("run", "me", seconds=10)
        assert first is not None
        assert second is not None
        assert second.token > first.token
        assert not await leases.renew("run", first.token, seconds=10)

    async def test_dead_leases_stay_listed_until_they_are_cleaned_up(self, store: Store, clock: ManualClock) -> None:
        leases = leasing(store)
        for name, seconds in (("run/1", 10), ("run/2", 100), ("other", 100)):
            await leases.acquire(name, "me", seconds=seconds)
        clock.advance(11)
        listed = await leases.leases("run/")
        assert sorted((lease.name, lease.live) for lease in listed) == [("run/1", False), ("run/2", True)]
        mine = await leases.acquire("run/1", "cleaner", seconds=10)
        assert mine is not None
        await leases.release("run/1", mine.token)
        assert [lease.name for lease in await leases.leases("run/")] == ["run/2"]

    async def test_many_leases_are_renewed_at_once(self, store: Store, clock: ManualClock) -> None:
        leases = leasing(store)
        held = []
        for number in range(1200):
            lease = await leases.acquire(f"run/{number}", "me", seconds=5 if number % 100 == 0 else 10)
            assert lease is not None
            held.append(Fence(lease.name, lease.token))
        clock.advance(6)
        for number in range(0, 1200, 100):
            assert await leases.acquire(f"run/{number}", "you", seconds=5) is not None
        assert await leases.renew_all(held, seconds=10) == [number % 100 != 0 for number in range(1200)]
        assert await leases.renew_all([], seconds=10) == []
        clock.advance(6)
        assert len(await leases.leases("run/", dead=True)) == 12

    async def test_dead_leases_are_listed_by_themselves(self, store: Store, clock: ManualClock) -> None:
        leases = leasing(store)
        for name, seconds in (("run/1", 10), ("run/2", 100), ("other", 10)):
            await leases.acquire(name, "me", seconds=seconds)
        assert await leases.leases("run/", dead=True) == []
        clock.advance(11)
        assert [(lease.name, lease.live) for lease in await leases.leases("run/", dead=True)] == [("run/1", False)]

    @pytest.mark.parametrize("hours", [1, -1])
    async def test_row_44_no_jump_of_the_wall_clock_moves_a_lease(
        self, store: Store, clock: ManualClock, hours: int
    ) -> None:
        leases = leasing(store)
        mine = await leases.acquire("run", "me", seconds=10)
        assert mine is not None
        clock.jump(hours * 3600)
        clock.advance(9)
        assert await leases.acquire("run", "you", seconds=10) is None
        clock.advance(2)
        assert await leases.acquire("run", "you", seconds=10) is not None

    async def test_a_broadcast_is_heard_at_once_and_once_by_everybody_here(self, store: Store) -> None:
        teller = broadcasting(store)
        heard: list[tuple[str, bytes]] = []
        others: list[tuple[str, bytes]] = []
        forget = teller.listen(lambda stream, record: heard.append((stream, record)))
        teller.listen(lambda stream, record: others.append((stream, record)))
        told = [("room", b"%d" % number) for number in range(50)] + [("a name/with } and \n in it", b"\xff \x00")]
        for stream, record in told:
            teller.broadcast(stream, record)
        assert heard == others == told
        forget()
        teller.broadcast("room", b"more")
        await asyncio.sleep(0.1)  # a second copy would come by now
        assert heard == told
        assert others == [*told, ("room", b"more")]

    async def test_a_broadcast_is_kept_nowhere_and_may_not_be_too_large(self, store: Store) -> None:
        teller = broadcasting(store)
        heard: list[bytes] = []
        teller.broadcast("room", b"before")
        teller.listen(lambda _stream, record: heard.append(record))
        teller.broadcast("room", b"x" * MAX_BROADCAST)
        with pytest.raises(TooLarge):
            teller.broadcast("room", b"x" * (MAX_BROADCAST + 1))
        assert [len(record) for record in heard] == [MAX_BROADCAST]
        with pytest.raises(StreamNotFound):
            await store.info("room")

    async def test_a_hearer_that_fails_does_not_keep_others_from_hearing(self, store: Store) -> None:
        teller = broadcasting(store)
        heard: list[bytes] = []

        def fails(_stream: str, _record: bytes) -> None:
            raise RuntimeError("no")

        teller.listen(fails)
        teller.listen(lambda _stream, record: heard.append(record))
        teller.broadcast("room", b"1")
        assert heard == [b"1"]

    async def test_members_come_and_go(self, store: Store) -> None:
        here = presence(store)
        assert await here.track("room", Member("ann", {"name": "Ann"}), seconds=30)
        assert await here.track("room", Member("bob", None), seconds=30)
        assert not await here.track("room", Member("ann", {"name": "Anna"}), seconds=30)
        assert await here.members("room") == [Member("ann", {"name": "Anna"}), Member("bob", None)]
        assert await here.members("elsewhere") == []
        assert await here.untrack("room", "ann")
        assert not await here.untrack("room", "ann")
        assert await here.members("room") == [Member("bob", None)]

    async def test_members_who_are_not_kept_go_by_themselves(self, store: Store, clock: ManualClock) -> None:
        here = presence(store)
        await here.track("room", Member("ann", 1), seconds=30)
        await here.track("room", Member("bob", 1), seconds=30)
        clock.advance(20)
        await here.track("room", Member("bob", 2), seconds=30)
        clock.advance(20)
        assert await here.members("room") == [Member("bob", 2)]
        clock.jump(-3600)
        clock.advance(11)
        assert await here.members("room") == []
        assert await here.track("room", Member("ann", 1), seconds=30)

    async def test_jobs_are_taken_once_each_in_their_order(self, store: Store) -> None:
        queue = queueing(store)
        assert await queue.take_job("q", seconds=0.01, again=60) is None
        for name in ("a", "b", "c"):
            await queue.put_job("q", name)
        assert await queue.count_jobs("q") == 3
        assert await queue.take_job("other", seconds=0.01, again=60) is None
        jobs = []
        while (job := await queue.take_job("q", seconds=0.01, again=60)) is not None:
            jobs.append(job)
        assert [job.name for job in jobs] == ["a", "b", "c"]
        assert await queue.count_jobs("q") == 3
        for job in jobs * 2:  # the second time without effect
            await queue.finish_job("q", job)
        assert await queue.count_jobs("q") == 0
        assert await queue.take_job("q", seconds=0.01, again=60) is None

    async def test_whoever_waits_for_a_job_gets_it_when_it_comes(self, store: Store) -> None:
        queue = queueing(store)
        taking = asyncio.create_task(queue.take_job("q", seconds=20, again=60))
        await asyncio.sleep(0.05)
        await queue.put_job("q", "late")
        async with asyncio.timeout(10):
            job = await taking
        assert job is not None
        assert job.name == "late"

    async def test_a_job_that_is_not_finished_comes_again(self, store: Store, clock: ManualClock) -> None:
        queue = queueing(store)
        for name in ("a", "b"):
            await queue.put_job("q", name)
        first = await queue.take_job("q", seconds=0.01, again=0.2)
        assert first is not None
        assert not first.again
        # A store may measure this by the clock of its server.
        clock.advance(0.3)
        await asyncio.sleep(0.3)
        taken = [await queue.take_job("q", seconds=0.01, again=0.2) for _ in range(2)]
        assert sorted((job.name, job.again) for job in taken if job is not None) == [("a", True), ("b", False)]
        for job in taken:
            assert job is not None
            await queue.finish_job("q", job)
        clock.advance(0.3)
        await asyncio.sleep(0.3)
        assert await queue.take_job("q", seconds=0.01, again=0.2) is None

    async def test_a_cancelled_wait_loses_no_job(self, store: Store, clock: ManualClock) -> None:
        queue = queueing(store)
        for _ in range(3):
            taking = asyncio.create_task(queue.take_job("q", seconds=20, again=0.2))
            await asyncio.sleep(0.02)
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
        await queue.put_job("q", "a")
        job = None
        async with asyncio.timeout(20):
            while job is None:
                clock.advance(0.3)
                job = await queue.take_job("q", seconds=0.3, again=0.2)
        assert job.name == "a"
