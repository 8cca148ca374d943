from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.async_api import Browser

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("tokentape", deadline=None)
settings.load_profile("tokentape")

Collected = pytest.Item | pytest.Collector | list[pytest.Item | pytest.Collector] | None

LONG_FIRST: Final = ("durable_streams", "examples", "e2e", "deploy", "faults", "clients")
"""Folders whose tests last seconds each; begun last, one of them would go on alone when all the others are through.

Together they also share more: one worker starts the browser, while the others are busy with the short ones.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After pytest-randomly has shuffled them; within a folder its order stays."""
    place = {folder: number for number, folder in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(place)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Collector, name: str, obj: object
) -> Generator[None, Collected, Collected]:
    """A long test that nobody asked for is not built, either: with Schemathesis that takes seconds of every worker."""
    made = yield
    left_out = collector.config.getoption("markexpr") == "not soak" and name.startswith("test_")
    return [] if left_out and any(mark.name == "soak" for mark in getattr(obj, "pytestmark", ())) else made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One for all tests of a worker: starting it is what takes time."""
    # Imported here: most workers' tests do without, and it takes half a second.
    from browser import chromium, find_chromium  # noqa: PLC0415

    if find_chromium() is None:
        pytest.fail("there is no Chromium: set $CHROMIUM, or put `chromium` on the path; `make test` does")
    async with chromium() as running:
        yield running
