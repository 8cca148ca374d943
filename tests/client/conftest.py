import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from tokentape.client import Client
from tokentape.core.backoff import Backoff
from tokentape.server.config import load_config
from tokentape.server.serve import serve
from tokentape.tape import Tape

Serving = Callable[..., AbstractAsyncContextManager[str]]


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[str]:
    """A real server on a free port, in this event loop; yields its address."""
    given = {"port": 0, "store": "memory://", "shutdown_grace": 0, **settings}
    config = load_config(None, {}, given)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    async with Tape(config=config) as tape:
        drain = partial(tape.drain, 0)
        task = asyncio.create_task(serve(tape.app, config, drain=drain, on_ready=ready.set_result, stop=stop))
        try:
            yield await ready
        finally:
            stop.set()
            await task


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with serving() as address:
        yield address


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with Client(url, backoff=Backoff(base=0.01, cap=0.05)) as made:
        yield made


@pytest.fixture
def server() -> Serving:
    return serving


@pytest.fixture
def listening() -> Serving:
    """A server of raw bytes: `listening(handle)` yields its address, and closes what `handle` leaves open."""

    @asynccontextmanager
    async def listen(handle: Callable[..., Awaitable[None]]) -> AsyncIterator[str]:
        tasks: set[asyncio.Task[None]] = set()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await handle(reader, writer)
            except (ConnectionError, asyncio.CancelledError):
                pass  # the client has left, or the test is over
            finally:
                tasks.discard(task)
                writer.close()

        web = await asyncio.start_server(answer, "127.0.0.1", 0)
        host, port = web.sockets[0].getsockname()
        async with web:
            yield f"http://{host}:{port}"
        leaving = tuple(tasks)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)

    return listen
