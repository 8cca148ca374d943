"""How much Redis is asked to do: one call for all that waits, within bounds."""

from __future__ import annotations

import asyncio
import re

import pytest
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ResponseError
from redis_server import RedisServer

from tokentape.core.errors import StoreUnavailable
from tokentape.stores.base import Append, Appended, Fence, Standing, StreamConfig
from tokentape.stores.redis import RedisStore
from tokentape.stores.redis.calls import MAX_BYTES, MAX_ENTRIES, Head, calls
from tokentape.stores.redis.entries import Entry
from tokentape.stores.redis.keys import Keys
from tokentape.stores.redis.scripts import Command
from tokentape.testing.contract_log import everything

NAMES = [f"runs/r_{number}" for number in range(100)]


def work(server: RedisServer) -> dict[str, int]:
    """How often each command was done, by clients and within scripts."""
    text = server.command("INFO", "commandstats").decode()
    return {name: int(count) for name, count in re.findall(r"cmdstat_(\S+?):calls=(\d+)", text)}


async def test_a_round_is_one_call_and_one_message_and_so_is_what_a_reader_asks(redis: RedisServer) -> None:
    async with RedisStore(redis.url) as one, RedisStore(redis.url) as two:
        await two._reader.connected.wait()
        told: set[str] = set()
        enough = asyncio.Event()

        def listen(standing: Standing) -> None:
            told.add(standing.stream)
            if len(told) == len(NAMES):
                enough.set()

        two.notify(listen)
        leases = {}
        for name in NAMES:
            await one.create(name, StreamConfig())
            lease = await one.acquire(name, "me", seconds=60)
            assert lease is not None
            leases[name] = Fence(name, lease.token)
        redis.command("CONFIG", "RESETSTAT")
        results = await one.append([Append(stream=name, records=[b"x"], fence=leases[name]) for name in NAMES])
        assert all(isinstance(result, Appended) for result in results)
        async with asyncio.timeout(10):
            await enough.wait()
        done = work(redis)
        assert (done["evalsha"], done["publish"]) == (1, 1)
        assert (done["xadd"], done["hget"], done["hset"], done["hmget"]) == (100, 100, 100, 1), "three for each stream"

        redis.command("CONFIG", "RESETSTAT")
        pages = await asyncio.gather(*(two.read(name, 0) for name in NAMES))
        assert [page.records for page in pages] == [[(1, b"x")]] * 100
        assert work(redis)["evalsha"] == 1


async def test_a_large_round_is_split_and_keeps_its_order(redis: RedisServer) -> None:
    async with RedisStore(redis.url) as store:
        for name in NAMES:
            await store.create(name, StreamConfig())
        redis.command("CONFIG", "RESETSTAT")
        batch = [Append(stream=name, records=[b"%d" % turn]) for turn in range(10) for name in NAMES]
        results = await store.append(batch)
        assert [result.last for result in results if isinstance(result, Appended)] == [
            turn + 1 for turn in range(10) for _ in NAMES
        ]
        assert work(redis)["evalsha"] == -(-1000 // MAX_ENTRIES)
        for name in NAMES:
            assert await everything(store, name) == [b"%d" % turn for turn in range(10)]


@pytest.mark.parametrize(
    ("sizes", "spread", "expected"),
    [
        ([10] * 300, False, [128, 128, 44]),
        ([MAX_BYTES // 2] * 5, False, [2, 2, 1]),
        ([3 * MAX_BYTES, 1, 3 * MAX_BYTES], False, [1, 1, 1]),
        ([10] * 6, True, [2, 2, 2]),
    ],
)
def test_calls_are_bounded(sizes: list[int], spread: bool, expected: list[int]) -> None:
    entries = [Entry(Append(stream=f"s{at % 3}", records=[bytes(size)])) for at, size in enumerate(sizes)]
    made = calls(entries, Head(("", ""), "me", 1, repeated=False), Keys("tape:", 0), spread=spread)
    assert [len(call.entries) for call in made] == expected
    for stream in {entry.append.stream for entry in entries}:
        mine = [entry for call in made for entry in call.entries if entry.append.stream == stream]
        assert mine == [entry for entry in entries if entry.append.stream == stream]


async def test_what_cannot_be_helped_does_not_give_up_the_rest(redis: RedisServer) -> None:
    """One call of a round is refused for good, the other loses its connection before Redis has got it."""
    async with RedisStore(redis.url) as store:
        names = [f"s{number}" for number in range(MAX_ENTRIES + 1)]
        for name in names:
            await store.create(name, StreamConfig())
        link = store._writing
        send = link.send

        async def fail_once(commands: list[Command]) -> list[object]:
            assert len(commands) == 2
            link.send = send
            return [ResponseError("no"), ConnectionLost()]

        link.send = fail_once
        results = await store.append([Append(stream=name, records=[b"x"]) for name in names])
        assert {type(result) for result in results[:-1]} == {StoreUnavailable}
        assert isinstance(results[-1], Appended)


async def test_names_of_any_length_are_told(redis: RedisServer) -> None:
    """MessagePack writes texts in four ways, by their length."""
    async with RedisStore(redis.url) as one, RedisStore(redis.url) as two:
        await two._reader.connected.wait()
        told: asyncio.Queue[Standing] = asyncio.Queue()
        two.notify(told.put_nowait)
        names = ["x" * length for length in (1, 31, 32, 255, 256, 70_000)]
        for name in names:
            made, _ = await one.create(name, StreamConfig())
            await one.append([Append(stream=name, records=[b"x"])])
            async with asyncio.timeout(10):
                assert await told.get() == Standing(name, made.epoch, 1, closed=False)


async def test_who_asked_and_went_away_keeps_nobody_from_an_answer(redis: RedisServer) -> None:
    async with RedisStore(redis.url) as store:
        await store.create("a", StreamConfig())
        reading = [asyncio.create_task(store.read("a", 0)) for _ in range(6)]
        await asyncio.sleep(0)
        for task in reading[::2]:
            task.cancel()
        pages = await asyncio.gather(*reading[1::2])
        assert [page.records for page in pages] == [[]] * 3
