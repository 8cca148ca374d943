"""Runs an ASGI application under uvicorn as it is deployed: one worker, its fast parts, no access log."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import uvicorn
from control import Play, arguments, obey, ready


class _Server(uvicorn.Server):
    """uvicorn's server, which tells when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()


def serve(app: Any, play: Play | None = None) -> None:
    """Serves on `--port` until stdin says `quit` or ends; with `play`, makes events when it says `start`."""
    # What `uvicorn app:app --loop uvloop --http httptools --no-access-log` does. A WebSocket is served by uvicorn's
    # default (websockets, sans-I/O). It would compress messages for a client that asks for it; ours does not.
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="auto", workers=1, access_log=False, log_level="warning"
    )
    listener = socket.create_server(("127.0.0.1", arguments().port), backlog=config.backlog)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(_Server(config), listener, play))


async def _serve(server: _Server, listener: socket.socket, play: Play | None) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    accepting = asyncio.create_task(server.accepting.wait())
    await asyncio.wait([serving, accepting], return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        ready(listener.getsockname()[1])
        await obey(play if play is not None else _nothing)
        # The harness is done with us; there is nothing to end in order.
        os._exit(0)
    await serving


async def _nothing(_events: object) -> None:
    """A proxy makes no events."""
