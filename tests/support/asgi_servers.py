"""Servers of ASGI applications that are not ours, in this process: what an application may find itself under.

Each serves until `leave` is set, then ends in its own way, and says on which port once it listens.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import hypercorn
import hypercorn.asyncio
import uvicorn
from granian.constants import Interfaces
from granian.server.embed import Server as Granian
from starlette.applications import Starlette

GRACE: Final = 5
"""Seconds that a server which has been told to end waits for its connections."""

Serve = Callable[[Starlette, Callable[[int], None], asyncio.Event], Awaitable[None]]


async def _uvicorn(app: Starlette, on_port: Callable[[int], None], leave: asyncio.Event) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http="httptools", lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=GRACE
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    on_port(listener.getsockname()[1])
    await leave.wait()
    await server.shutdown(sockets=[listener])


async def _hypercorn(app: Starlette, on_port: Callable[[int], None], leave: asyncio.Event) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = hypercorn.Config()
    config.graceful_timeout = GRACE
    config.errorlog = None
    config.bind = [f"fd://{listener.detach()}"]
    on_port(port)
    await hypercorn.asyncio.serve(app, config, shutdown_trigger=leave.wait)


async def _granian(app: Starlette, on_port: Callable[[int], None], leave: asyncio.Event) -> None:
    with socket.socket() as reserved:
        # It binds a port by its number, as one of many that may have it; this one never listens.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        server = Granian(app, port=port, interface=Interfaces.ASGINL, log_enabled=False)
        serving = asyncio.create_task(server.serve())
        await _listens(port)
        on_port(port)
        await leave.wait()
        server.stop()
        await serving


async def _listens(port: int) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        while True:
            with socket.socket() as probe:
                probe.setblocking(False)
                try:
                    await loop.sock_connect(probe, ("127.0.0.1", port))
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
                else:
                    return


SERVERS: Final[Mapping[str, Serve]] = {"uvicorn": _uvicorn, "hypercorn": _hypercorn, "granian": _granian}
