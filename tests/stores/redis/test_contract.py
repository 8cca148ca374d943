"""The Redis store passes the contract."""

from collections.abc import AsyncIterator

import pytest
from redis_server import RedisServer

from tokentape.stores.redis import RedisStore
from tokentape.testing import ManualClock
from tokentape.testing.store_contract import StoreContract


class TestRedisStore(StoreContract):
    @pytest.fixture
    async def store(self, redis: RedisServer, clock: ManualClock) -> AsyncIterator[RedisStore]:
        async with RedisStore(redis.url, now=clock.now, monotonic=clock.monotonic) as store:
            yield store
