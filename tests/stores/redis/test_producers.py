"""However many names of producers are made up, a stream's state on Redis stays bounded."""

from redis_server import RedisServer

from tokentape.core.errors import SequenceConflict
from tokentape.core.producer import MAX_PRODUCERS
from tokentape.stores.base import Append, Producer, StreamConfig
from tokentape.stores.redis import RedisStore
from tokentape.testing.contract_log import put, refused


def state_key(redis: RedisServer) -> str:
    [key] = [
        key for key in redis.command("KEYS", "*").decode().split() if redis.command("TYPE", key).strip() == b"+hash"
    ]
    return key


async def test_redis_keeps_twice_as_many_at_most(redis: RedisServer) -> None:
    async with RedisStore(redis.url) as store:
        await store.create("a", StreamConfig())
        for start in range(0, 5 * MAX_PRODUCERS, 500):
            await store.append([Append(stream="a", producer=Producer(f"p{start + n}", 0, 0)) for n in range(500)])
        names = redis.command("HKEYS", state_key(redis)).count(b"p:p")
        assert MAX_PRODUCERS <= names <= 2 * MAX_PRODUCERS
        gone = await refused(store, "a", b"x", producer=Producer("p0", 0, 1))
        assert isinstance(gone, SequenceConflict)


async def test_what_an_earlier_version_wrote_is_known(redis: RedisServer) -> None:
    async with RedisStore(redis.url) as store:
        await store.create("a", StreamConfig())
        await put(store, "a", b"0", producer=Producer("p", 3, 0))
        redis.command("HSET", state_key(redis), "p:p", "3:7")
        assert (await put(store, "a", b"7", producer=Producer("p", 3, 7))).duplicate
        assert not (await put(store, "a", b"8", producer=Producer("p", 3, 8))).duplicate
