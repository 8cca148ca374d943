"""Any history of calls leaves the Redis store as it leaves the model."""

import tempfile
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from redis_server import RedisServer

from tokentape.stores.redis import RedisStore
from tokentape.testing.store_machine import StoreMachine


class RedisMachine(StoreMachine):
    server: ClassVar[RedisServer]

    async def open(self) -> RedisStore:
        self.server.command("FLUSHALL")
        return await RedisStore(self.server.url).__aenter__()


class TestRedisStore(RedisMachine.TestCase):
    settings = settings(
        max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        RedisMachine.server = RedisServer(Path(cls.folder.name)).start()

    @classmethod
    def tearDownClass(cls) -> None:
        RedisMachine.server.stop()
        cls.folder.cleanup()
