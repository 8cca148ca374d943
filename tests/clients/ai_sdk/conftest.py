from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from ai_sdk_chats import KINDS, Chats, chatting
from client_examples import QUICK
from served import composed

from tokentape.tape import Tape

# One process of Node.js and one server for all of these tests: starting them is what takes time here.


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chats() -> AsyncIterator[Chats]:
    async with chatting() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[tuple[Tape, str]]:
    async with composed(toml=QUICK) as served:
        yield served


@pytest.fixture(scope="session")
def tape(server: tuple[Tape, str]) -> Tape:
    return server[0]


@pytest.fixture(scope="session")
def url(server: tuple[Tape, str]) -> str:
    return server[1]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param
