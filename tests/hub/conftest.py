from collections.abc import AsyncIterator

import pytest

from tokentape.hub import Hub, HubLimits
from tokentape.stores.memory import MemoryStore
from tokentape.stores.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def hub(request, tmp_path) -> AsyncIterator[Hub]:
    """A hub whose ring is so small that tests reach its end."""
    async with MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "tape.db") as store:
        hub = Hub(store, HubLimits(ring_records=8, ring_bytes=4096, idle_tails=2))
        yield hub
        await hub.aclose()
