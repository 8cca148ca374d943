"""The memory store passes the contract."""

from collections.abc import AsyncIterator

import pytest

from tokentape.stores.memory import MemoryStore
from tokentape.testing import ManualClock
from tokentape.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    async def store(self, clock: ManualClock) -> AsyncIterator[MemoryStore]:
        async with MemoryStore(now=clock.now, monotonic=clock.monotonic) as store:
            yield store
