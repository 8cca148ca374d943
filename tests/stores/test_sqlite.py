"""The SQLite store passes the contract, with its default sizes and with tiny ones."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tokentape.stores.sqlite import SqliteStore, Tuning
from tokentape.testing import ManualClock
from tokentape.testing.store_contract import StoreContract

# So small that every few appends flush, checkpoint and evict, and everything has to come from the file.
TINY = Tuning(journal_bytes=500, journal_rows=3, checkpoint_bytes=200_000, max_heads=1, sweep_seconds=0.001)


@pytest.mark.parametrize("tuning", [Tuning(), TINY], ids=["default", "tiny"])
class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, clock: ManualClock, tmp_path: Path, tuning: Tuning) -> AsyncIterator[SqliteStore]:
        path = tmp_path / "tape.db"
        async with SqliteStore(path, now=clock.now, monotonic=clock.monotonic, tuning=tuning) as store:
            yield store
