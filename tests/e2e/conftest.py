from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser import Playground, Visit, visiting
from playwright.async_api import Browser
from served import Served

# One server for all of these tests: starting it is what takes time here.


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with Served(tmp_path_factory.mktemp("tape") / "tape.db") as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session")
async def own_server(tmp_path: Path) -> AsyncIterator[Served]:
    """For tests that kill it."""
    async with Served(tmp_path / "tape.db") as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, server: Served) -> AsyncIterator[Visit]:
    async with visiting(browser, server.url) as visit:
        yield visit
        assert visit.problems == []
        assert visit.foreign == []


@pytest.fixture
def playground(visit: Visit) -> Playground:
    return Playground(visit)
