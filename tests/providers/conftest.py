"""Who reads a socket differs between the event loops: what is about that runs on both. uvloop is what serves."""

import asyncio
import select

import pytest
import uvloop

from tokentape.providers.intake import Intake

ON_BOTH = {"test_exchange.py", "test_exchange_reading.py", "test_intake.py"}


@pytest.hookimpl
def pytest_asyncio_loop_factories(config, item):
    if item.path.name in ON_BOTH:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture(params=["transport", "intake"])
def by_intake(request, monkeypatch) -> bool:
    """Whether an intake reads, or the transport, as where there is no epoll."""
    if request.param == "transport":
        monkeypatch.setattr(Intake, "create", lambda: None)
    elif not hasattr(select, "epoll"):
        pytest.skip("there is no epoll here")
    return request.param == "intake"
