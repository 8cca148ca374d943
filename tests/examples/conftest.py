"""One browser, and one server with the pages of the examples, for all of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from browser import chromium, find_chromium
from example_place import Place, placed
from playwright.async_api import Browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if find_chromium() is None:
        pytest.fail("there is no Chromium: set $CHROMIUM, or put `chromium` on the path; `make test` does")
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def place() -> AsyncIterator[Place]:
    async with placed() as place:
        yield place
