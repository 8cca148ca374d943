from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from client_examples import QUICK
from node import CLIENTS, Calls, calling
from sdks import anthropic
from served import composed

from tokentape.tape import Tape

# One process of Node.js and one server for all of these tests: starting them is what takes time here.


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node() -> AsyncIterator[Calls]:
    async with calling(CLIENTS / "anthropic" / "client.mjs") as calls:
        yield calls


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def messages_server() -> AsyncIterator[tuple[Tape, str]]:
    async with composed(toml=QUICK) as served:
        yield served


@pytest.fixture(scope="session")
def tape(messages_server: tuple[Tape, str]) -> Tape:
    return messages_server[0]


@pytest.fixture(scope="session")
def url(messages_server: tuple[Tape, str]) -> str:
    return messages_server[1].rstrip("/")


@pytest_asyncio.fixture(loop_scope="session")
async def python(url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(api_key="key", base_url=url, max_retries=0) as client:
        yield client
