"""Servers run on uvloop, as they do outside of tests."""

import asyncio

import pytest
import uvloop


@pytest.hookimpl
def pytest_asyncio_loop_factories(config, item):
    if "websocket" in str(item.path.relative_to(item.path.parents[1])):
        return {"asyncio": asyncio.new_event_loop}
    if item.path.name == "test_stall.py":
        # The clock of the other cannot be replaced.
        return {"asyncio": asyncio.new_event_loop}
    if item.path.name == "test_transport.py":
        # What a connection tells of itself differs between the two.
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["ours", "uvicorn"])
def ours_or_uvicorn(request) -> str:
    """Whose connections serve: our own, or uvicorn's own: HTTP must be the same."""
    return request.param


@pytest.fixture(params=["ours", "uvicorn", "hypercorn", "granian"])
def server(request) -> str:
    """Who serves the application: it must behave the same."""
    return request.param
