"""Broadcasts between two stores on one server, as in two processes."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator

import pytest
from redis_server import RedisServer

from tokentape.stores.redis import RedisStore
from tokentape.stores.redis.broadcast import MAX_QUEUED, MAX_QUEUED_BYTES

SECONDS = 20


class Ear:
    """What one store hears."""

    def __init__(self, store: RedisStore) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._changed = asyncio.Event()
        store.listen(self._hear)

    def _hear(self, stream: str, record: bytes) -> None:
        self.heard.append((stream, record))
        self._changed.set()

    async def until(self, count: int) -> list[tuple[str, bytes]]:
        async with asyncio.timeout(SECONDS):
            while len(self.heard) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.heard


@pytest.fixture
async def pair(own_redis: RedisServer) -> AsyncIterator[tuple[RedisStore, RedisStore]]:
    async with RedisStore(own_redis.url) as one, RedisStore(own_redis.url) as two:
        await asyncio.gather(one._reader.connected.wait(), two._reader.connected.wait())
        yield one, two


async def test_others_hear_it_once_and_in_order(pair: tuple[RedisStore, RedisStore]) -> None:
    one, two = pair
    here, there = Ear(one), Ear(two)
    told = [("räume/a b", b"%d \xff" % number) for number in range(1200)]
    for stream, record in told:
        one.broadcast(stream, record)
    assert here.heard == told
    assert await there.until(len(told)) == told
    two.broadcast("x", b"back")
    assert await here.until(len(told) + 1) == [*told, ("x", b"back")]
    assert there.heard == [*told, ("x", b"back")]


async def test_what_waits_is_told_before_the_store_closes(own_redis: RedisServer) -> None:
    async with RedisStore(own_redis.url) as two:
        await two._reader.connected.wait()
        there = Ear(two)
        async with RedisStore(own_redis.url) as one:
            one.broadcast("room", b"last words")
        assert await there.until(1) == [("room", b"last words")]


async def test_a_broken_connection_loses_some_and_repeats_none(
    own_redis: RedisServer, pair: tuple[RedisStore, RedisStore]
) -> None:
    one, two = pair
    there = Ear(two)
    for number in range(300):
        if number % 100 == 50:
            own_redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            own_redis.command("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(0.3)
        one.broadcast("room", b"%d" % number)
        await asyncio.sleep(0)
    async with asyncio.timeout(SECONDS):
        while b"end" not in [record for _, record in there.heard]:
            one.broadcast("room", b"end")
            await asyncio.sleep(0.1)
    numbers = [int(record) for _, record in there.heard if record != b"end"]
    assert numbers == sorted(set(numbers))


async def test_nobody_waits_for_a_server_that_stalls_and_little_is_kept(
    own_redis: RedisServer, pair: tuple[RedisStore, RedisStore], caplog: pytest.LogCaptureFixture
) -> None:
    one, two = pair
    here, there = Ear(one), Ear(two)
    own_redis.signal(signal.SIGSTOP)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for number in range(MAX_QUEUED + 500):
            one.broadcast("room", b"%d" % number)
        one.broadcast("room", b"x" * 100_000)
        await asyncio.sleep(0)
    assert time.monotonic() - began < 5
    assert len(here.heard) == MAX_QUEUED + 501
    assert len(one._broadcaster._queue) <= MAX_QUEUED
    assert one._broadcaster._bytes <= MAX_QUEUED_BYTES
    assert [r.getMessage() for r in caplog.records if "broadcasts" in r.getMessage()] != []
    own_redis.signal(signal.SIGCONT)
    async with asyncio.timeout(SECONDS):
        while not any(record == b"again" for _, record in there.heard):
            one.broadcast("room", b"again")
            await asyncio.sleep(0.1)
