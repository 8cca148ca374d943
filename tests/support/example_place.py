"""A server with the pages of the examples beside it, as an application would serve them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from example_builds import EXAMPLES, built
from ports import free_port
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tokentape.cli.relay import Relay
from tokentape.server.config import load_config
from tokentape.server.serve import serve
from tokentape.tape import Tape

CONFIG: Final = """
[cors]
origins = {origins}
[models]
default = "steady"
[models.steady]
provider = "simulated"
simulated = {{ rate = 25, tokens = 125 }}
"""
"""An answer takes five seconds: long enough to do something in the middle of it, on a busy machine too."""


@dataclass
class Place:
    """A tape under `/tape`, the built pages beside it, and a way there that can be cut."""

    tape: Tape
    relay: Relay
    url: str
    """Of the server itself."""
    next_port: int
    """Whose pages may use the tape, too."""

    @property
    def relayed(self) -> str:
        return f"http://127.0.0.1:{self.relay.port}"


@asynccontextmanager
async def placed() -> AsyncIterator[Place]:
    """Builds what has to be built, and serves it."""
    room = await asyncio.to_thread(built, "room")
    port, next_port = free_port(), free_port()
    origins = [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{next_port}"]
    config = load_config(CONFIG.format(origins=origins).encode(), {}, {"port": port})
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    async with Tape("memory://", config=config) as tape:
        app = Starlette(
            routes=[
                Mount("/tape", tape.app),
                Mount("/room", StaticFiles(directory=room / "dist", html=True)),
                Mount("/event-source", StaticFiles(directory=EXAMPLES / "event-source", html=True)),
            ]
        )
        app.state = tape.app.state
        serving = asyncio.create_task(
            serve(app, config, drain=lambda: tape.drain(0), on_ready=ready.set_result, stop=stop)
        )
        try:
            url = await ready
            async with Relay("127.0.0.1", port) as relay:
                yield Place(tape, relay, url, next_port)
        finally:
            stop.set()
            await serving
