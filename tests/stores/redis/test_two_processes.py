"""Two stores on one server, as in two processes: what one does, the other learns, and leases hold across them."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable

import pytest
from redis_server import RedisServer

from tokentape.core.errors import Fenced, StreamExists, StreamNotFound
from tokentape.stores.base import Append, Appended, Fence, Member, Retention, Standing, StreamConfig
from tokentape.stores.redis import RedisStore
from tokentape.stores.redis.store import Tuning
from tokentape.testing.contract_log import everything, put, refused


@pytest.fixture
async def pair(redis: RedisServer) -> AsyncIterator[tuple[RedisStore, RedisStore]]:
    async with RedisStore(redis.url) as one, RedisStore(redis.url) as two:
        await asyncio.gather(one._reader.connected.wait(), two._reader.connected.wait())
        yield one, two


async def until(holds: Callable[[], bool]) -> None:
    """The state of a server, which nobody announces."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def listening(server: RedisServer) -> list[bytes]:
    """The ids of the connections on which somebody listens for wake-ups."""
    return re.findall(rb"\bid=(\d+)", server.command("CLIENT", "LIST", "TYPE", "pubsub"))


async def next_of(told: asyncio.Queue[Standing], stream: str) -> Standing:
    async with asyncio.timeout(10):
        while (standing := await told.get()).stream != stream:
            pass
    return standing


async def test_appends_of_one_are_told_to_the_other_once(pair: tuple[RedisStore, RedisStore]) -> None:
    one, two = pair
    told_one: asyncio.Queue[Standing] = asyncio.Queue()
    told_two: asyncio.Queue[Standing] = asyncio.Queue()
    one.notify(told_one.put_nowait)
    two.notify(told_two.put_nowait)
    made, _ = await one.create("päth/with space", StreamConfig())
    await put(one, "päth/with space", b"1", b"2")
    await put(one, "päth/with space", close=True)
    assert await next_of(told_two, "päth/with space") == Standing("päth/with space", made.epoch, 2, closed=False)
    assert await next_of(told_two, "päth/with space") == Standing("päth/with space", made.epoch, 2, closed=True)
    # The writer itself was told at once, and not by Redis a second time.
    await put(two, "päth/with space", close=True)
    assert told_one.qsize() == 2
    assert told_two.empty()


async def test_a_listener_that_fails_does_not_keep_others_from_being_told(pair: tuple[RedisStore, RedisStore]) -> None:
    one, two = pair
    told: asyncio.Queue[Standing] = asyncio.Queue()

    def fails(_: Standing) -> None:
        raise RuntimeError("no")

    two.notify(fails)
    two.notify(told.put_nowait)
    await one.create("a", StreamConfig())
    for turn in range(1, 3):
        await put(one, "a", b"x")
        assert (await next_of(told, "a")).last == turn


async def test_many_writers_of_one_stream_leave_no_gap(pair: tuple[RedisStore, RedisStore]) -> None:
    one, two = pair
    await one.create("a", StreamConfig())
    batches = [
        store.append([Append(stream="a", records=[b"%d-%d" % (who, turn)]) for turn in range(20)])
        for who, store in enumerate([one, two] * 5)
    ]
    results = [result for batch in await asyncio.gather(*batches) for result in batch]
    assert sorted(result.last for result in results if isinstance(result, Appended)) == [*range(1, 201)]
    assert len(await everything(two, "a")) == 200


async def test_a_lost_wake_up_is_made_up_for(redis: RedisServer) -> None:
    """The reader's connection is cut, and an append comes before it is back; then one whose message is lost."""
    async with (
        RedisStore(redis.url) as one,
        RedisStore(redis.url, tuning=Tuning(check_seconds=0.05)) as two,
    ):
        told: asyncio.Queue[Standing] = asyncio.Queue()
        await one.create("a", StreamConfig())
        await two._reader.connected.wait()
        await two.read("a", 0)
        two.notify(told.put_nowait)
        redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        await put(one, "a", b"1")
        assert (await next_of(told, "a")).last == 1
        await two._reader.connected.wait()
        two._reader._take = lambda _payload: None
        await put(one, "a", b"2")
        assert (await next_of(told, "a")).last == 2


async def test_a_silent_connection_is_asked_and_given_up(own_redis: RedisServer) -> None:
    async with RedisStore(own_redis.url) as store:
        reader = store._reader
        await reader.connected.wait()
        reader._beat_seconds = 0.05
        before = listening(own_redis)
        own_redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: listening(own_redis) not in ([], before))
        await reader.connected.wait()
        again = listening(own_redis)
        await asyncio.sleep(0.2)  # four beats: each PING is answered, so the connection stays
        assert listening(own_redis) == again
        own_redis.signal(signal.SIGSTOP)
        await until(lambda: not reader.connected.is_set())
        own_redis.signal(signal.SIGCONT)
        async with asyncio.timeout(10):
            await reader.connected.wait()


async def test_foreign_messages_do_no_harm(pair: tuple[RedisStore, RedisStore], redis: RedisServer) -> None:
    one, two = pair
    told: asyncio.Queue[Standing] = asyncio.Queue()
    two.notify(told.put_nowait)
    for payload in ("", "x", "a b c d e", "a b 1", "\u2028"):
        redis.command("PUBLISH", two._keys.channel, payload)
    await one.create("a", StreamConfig())
    await put(one, "a", b"1")
    assert (await next_of(told, "a")).last == 1


async def test_p7_leases_hold_across_processes(pair: tuple[RedisStore, RedisStore]) -> None:
    one, two = pair
    await one.create("a", StreamConfig())
    mine = await one.acquire("run", "one", seconds=30, value=b"x")
    assert mine is not None
    assert await two.acquire("run", "two", seconds=30) is None
    assert await two.leases("ru") == [mine]
    assert await two.renew("run", mine.token, seconds=30)
    await two.release("run", mine.token)
    yours = await two.acquire("run", "two", seconds=30)
    assert yours is not None
    assert isinstance(await refused(one, "a", b"late", fence=Fence("run", mine.token)), Fenced)
    await put(two, "a", b"mine", fence=Fence("run", yours.token))


async def test_leases_are_found_by_any_prefix_and_in_any_number(pair: tuple[RedisStore, RedisStore]) -> None:
    one, two = pair
    names = sorted([f"run/{turn:04}" for turn in range(700)] + ["r*n", "r[u]n", "r?n", "r\\n", "^r"])
    await asyncio.gather(*(one.acquire(name, "me", seconds=30) for name in names))
    assert [lease.name for lease in await two.leases()] == names
    for prefix in ("r*", "r[", "r?", "r\\", "^", "run/000"):
        assert [lease.name for lease in await two.leases(prefix)] == [name for name in names if name.startswith(prefix)]


async def test_who_is_present_is_seen_by_all(pair: tuple[RedisStore, RedisStore]) -> None:
    one, two = pair
    for turn, store in enumerate([one, two] * 3):
        await store.track("room", Member(f"m{5 - turn}", {"n": turn}), seconds=30)
    assert [member.id for member in await one.members("room")] == ["m5", "m4", "m3", "m2", "m1", "m0"]
    assert await one.members("room") == await two.members("room")


async def test_creating_at_the_same_time_makes_one_stream(pair: tuple[RedisStore, RedisStore]) -> None:
    results = await asyncio.gather(*(store.create("a", StreamConfig()) for store in [*pair] * 10))
    assert sum(new for _, new in results) == 1
    assert len({info.epoch for info, _ in results}) == 1
    with pytest.raises(StreamExists):
        await pair[1].create("a", StreamConfig(content_type="text/plain"))


async def test_names_of_streams_that_went_by_themselves_are_cleared(
    pair: tuple[RedisStore, RedisStore], redis: RedisServer
) -> None:
    one, two = pair
    for turn in range(20):
        await one.create(f"s{turn:02}", StreamConfig(retention=Retention(idle=0.05 if turn % 2 else 60)))
    await until(lambda: redis.command("EXISTS", one._keys.state("s19")) == b":0")
    assert redis.command("ZCARD", one._keys.index) == b":20"
    assert await two._index.sweep() == 0.5
    assert redis.command("ZCARD", one._keys.index) == b":10"
    assert [info.name for info in await two.list(limit=3)] == ["s00", "s02", "s04"]
    # Listing clears what it comes across too.
    await one.create("s01", StreamConfig(retention=Retention(idle=0.05)))
    await until(lambda: redis.command("EXISTS", one._keys.state("s01")) == b":0")
    assert len(await one.list()) == 10
    assert redis.command("ZCARD", one._keys.index) == b":10"


async def test_prefixes_keep_deployments_apart(redis: RedisServer) -> None:
    async with RedisStore(f"{redis.url}?prefix=one:") as one, RedisStore(f"{redis.url}?prefix=two:") as two:
        told: list[Standing] = []
        two.notify(told.append)
        await one.create("a", StreamConfig())
        await put(one, "a", b"1")
        await one.acquire("run", "me", seconds=30)
        with pytest.raises(StreamNotFound):
            await two.info("a")
        assert await two.list() == []
        assert await two.leases() == []
        assert await two.acquire("run", "you", seconds=30) is not None
        assert told == []


async def test_any_name_has_a_place_of_its_own(pair: tuple[RedisStore, RedisStore]) -> None:
    one, two = pair
    names = ["", "}", "%", "a}b", "a%7Db", "{x}", "a b", "é"]
    for name in names:
        await one.create(name, StreamConfig(attributes={"of": name}))
        await put(one, name, name.encode())
    for name in names:
        assert await everything(two, name) == [name.encode()]
        assert (await two.info(name)).config.attributes == {"of": name}
