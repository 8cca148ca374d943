"""A cluster, in which streams live on different nodes, and Sentinel, which names a new master when one has died."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis_groups import Sentinel, cluster, wait_for
from redis_server import RedisServer

from tokentape.core.errors import Fenced, SetupError, StoreUnavailable
from tokentape.stores.base import Append, Appended, Fence, Member, Standing, StreamConfig
from tokentape.stores.redis import RedisStore
from tokentape.testing import ManualClock
from tokentape.testing.contract_log import everything, put, refused
from tokentape.testing.store_contract import StoreContract


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture
def url(nodes: list[RedisServer]) -> str:
    for node in nodes:
        node.command("FLUSHALL")
        node.command("SCRIPT", "FLUSH")
    return f"redis+cluster://127.0.0.1:{nodes[0].port}"


class TestRedisCluster(StoreContract):
    @pytest.fixture
    async def store(self, url: str, clock: ManualClock) -> AsyncIterator[RedisStore]:
        async with RedisStore(url, now=clock.now, monotonic=clock.monotonic) as store:
            yield store


async def test_streams_are_spread_and_a_batch_reaches_all_of_them(url: str, nodes: list[RedisServer]) -> None:
    async with RedisStore(url) as one, RedisStore(url) as two:
        await two._reader.connected.wait()
        told: asyncio.Queue[Standing] = asyncio.Queue()
        two.notify(told.put_nowait)
        names = [f"runs/r_{turn}" for turn in range(20)]
        for name in names:
            await one.create(name, StreamConfig())
        batch = [Append(stream=name, records=[b"%d" % turn]) for turn in range(5) for name in names]
        assert all(isinstance(result, Appended) for result in await one.append(batch))
        for name in names:
            assert await everything(two, name) == [b"0", b"1", b"2", b"3", b"4"]
        assert [info.name for info in await two.list("runs/")] == sorted(names)
        assert all(int(node.command("DBSIZE")[1:]) > 10 for node in nodes), "all streams are on one node"
        heard: set[str] = set()
        async with asyncio.timeout(10):
            while heard != set(names):
                heard.add((await told.get()).stream)


async def test_broadcasts_reach_listeners_at_any_node(url: str, nodes: list[RedisServer]) -> None:
    elsewhere = f"redis+cluster://127.0.0.1:{nodes[1].port}"
    async with RedisStore(url) as one, RedisStore(elsewhere) as two:
        await asyncio.gather(one._reader.connected.wait(), two._reader.connected.wait())
        heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        two.listen(lambda stream, record: heard.put_nowait((stream, record)))
        async with asyncio.timeout(10):
            for turn in range(20):
                one.broadcast(f"room/{turn}", b"%d" % turn)
            assert [await heard.get() for _ in range(20)] == [(f"room/{turn}", b"%d" % turn) for turn in range(20)]


async def test_p7_leases_on_one_node_guard_streams_on_all(url: str) -> None:
    async with RedisStore(url) as store:
        lease = await store.acquire("run", "me", seconds=30)
        assert lease is not None
        for turn in range(8):
            await store.create(f"s{turn}", StreamConfig())
            await put(store, f"s{turn}", b"x", fence=Fence("run", lease.token))
            assert isinstance(await refused(store, f"s{turn}", b"x", fence=Fence("run", lease.token - 1)), Fenced)
        await store.release("run", lease.token)
        assert isinstance(await refused(store, "s1", b"x", fence=Fence("run", lease.token)), Fenced)
        assert await store.track("s1", Member("me", None), seconds=10)


async def test_a_slot_that_moves_is_followed(url: str, nodes: list[RedisServer]) -> None:
    async with RedisStore(url) as store:
        await store.create("moves", StreamConfig())
        await put(store, "moves", b"1")
        key = store._keys.state("moves")
        slot = nodes[0].command("CLUSTER", "KEYSLOT", key)[1:].decode()
        source, target = nodes if int(slot) < 8192 else nodes[::-1]
        ids = {node: node.command("CLUSTER", "MYID").split(b"\r\n")[1].decode() for node in nodes}
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        state, log = store._keys.stream("moves")
        move = ("MIGRATE", "127.0.0.1", str(target.port), "", "0", "5000", "KEYS")
        # In between the old node says TRYAGAIN while one key of two is there, then ASK; afterwards MOVED.
        source.command(*move, state)
        waiting = asyncio.create_task(put(store, "moves", b"2"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        source.command(*move, log)
        assert (await waiting).last == 2
        assert (await store.info("moves")).last == 2
        for node in (target, source):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        assert (await put(store, "moves", b"3")).last == 3
        assert await everything(store, "moves") == [b"1", b"2", b"3"]
        await store.delete("moves")
        for node in (source, target):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[source])


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[Sentinel]:
    sentinel = Sentinel(tmp_path)
    try:
        sentinel.start()
        yield sentinel
    finally:
        sentinel.stop()


async def test_a_new_master_takes_over(sentinel: Sentinel) -> None:
    async with RedisStore(sentinel.url) as one, RedisStore(sentinel.url) as two:
        await asyncio.gather(one._reader.connected.wait(), two._reader.connected.wait())
        told: asyncio.Queue[Standing] = asyncio.Queue()
        await one.create("a", StreamConfig())
        await put(one, "a", b"1", b"2")
        await two.read("a", 0)
        # WAIT would wait for what its own connection has written, which is nothing.
        written = ("EXISTS", *one._keys.stream("a"))
        await asyncio.to_thread(wait_for, sentinel.replica, written, b":2")
        two.notify(told.put_nowait)
        await asyncio.to_thread(sentinel.master.stop, signal.SIGKILL)
        result = await insist(one, b"3")
        assert list(result.offsets) == [3]
        async with asyncio.timeout(10):
            while (await told.get()).last != 3:
                pass
        assert await everything(two, "a") == [b"1", b"2", b"3"]


async def test_a_sentinel_that_asks_for_a_password(tmp_path: Path) -> None:
    sentinel = Sentinel(tmp_path, login=("asker", "p+w d"))
    try:
        await asyncio.to_thread(sentinel.start)
        async with RedisStore(f"{sentinel.url}?sentinel_user=asker&sentinel_password=p%2Bw%20d") as store:
            await store.create("a", StreamConfig())
            await put(store, "a", b"x")
            assert await everything(store, "a") == [b"x"]
        for wrong in ("", "?sentinel_user=asker&sentinel_password=hunter2"):
            with pytest.raises(SetupError, match="look at the name of the service, and at sentinel_user") as refused:
                async with RedisStore(sentinel.url + wrong):
                    pass
            assert "hunter2" not in refused.value.message
    finally:
        sentinel.stop()


async def insist(store: RedisStore, record: bytes) -> Appended:
    """Appends with a key until the store can."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await put(store, "a", record, keys=[record.decode()])
            except StoreUnavailable:
                await asyncio.sleep(0.1)
