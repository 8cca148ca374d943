"""One server with the pages of the examples, for all of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from example_place import Place, placed


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def place() -> AsyncIterator[Place]:
    async with placed() as place:
        yield place
