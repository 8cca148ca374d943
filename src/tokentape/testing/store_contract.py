"""The suite that every store passes: `tokentape.stores.base` as tests."""

from __future__ import annotations

import pytest

from tokentape.stores.base import Store
from tokentape.testing.clock import ManualClock
from tokentape.testing.contract_capabilities import CapabilityContract
from tokentape.testing.contract_log import LogContract
from tokentape.testing.contract_refusals import RefusalContract
from tokentape.testing.contract_retention import RetentionContract


class StoreContract(LogContract, RefusalContract, RetentionContract, CapabilityContract):
    """Subclass it as `Test…` and override the fixture `store`; pytest (with pytest-asyncio) runs the rest.

        class TestMyStore(StoreContract):
            @pytest_asyncio.fixture
            async def store(self, clock):
                async with MyStore(now=clock.now, monotonic=clock.monotonic) as store:
                    yield store

    A store that cannot be given its clocks overrides the fixture `clock` as well, with an object whose
    `advance(seconds)` really waits and whose `jump` skips the test. Tests of a capability that a store does not
    have are skipped.
    """

    pytestmark = pytest.mark.asyncio

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock that `store` reads."""
        return ManualClock()

    @pytest.fixture
    def store(self, clock: ManualClock) -> Store:
        """An entered store, empty at the start of each test."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'store'")
