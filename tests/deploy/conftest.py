"""Two real instances on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis_server import RedisServer

from tokentape.cli.child import ServerProcess


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def instances(shared_redis: RedisServer, tmp_path: Path) -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    """`tokentape serve`, twice."""
    shared_redis.command("FLUSHALL")
    async with AsyncExitStack() as stack:
        one, two = (
            ServerProcess(shared_redis.url, tmp_path / "one.log"),
            ServerProcess(shared_redis.url, tmp_path / "two.log"),
        )
        await asyncio.gather(*(stack.enter_async_context(each) for each in (one, two)))
        yield one, two
