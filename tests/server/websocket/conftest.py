"""What a connection tells of itself differs between the two event loops, and between the two ways to it."""

import asyncio

import pytest
import uvloop
from ws_rig import serving

BOTH_LOOPS = ("test_connection.py", "test_direct.py")


@pytest.hookimpl
def pytest_asyncio_loop_factories(config, item):
    factories = {"uvloop": uvloop.new_event_loop}
    if item.path.name in BOTH_LOOPS:
        factories["asyncio"] = asyncio.new_event_loop
    return factories


@pytest.fixture(params=["ours", "plain"])
def plain(request) -> bool:
    """Whether uvicorn's own protocol serves, instead of ours: the native WebSocket is the same on both."""
    return request.param == "plain"


@pytest.fixture
async def rig(plain):
    """A server; who wants only one of the two ways has a `rig` of its own."""
    async with serving(plain=plain) as rig:
        yield rig


@pytest.fixture
async def peer(rig):
    async with rig.peer() as peer:
        yield peer
