"""Serving an application with uvicorn: bind first, tell when ready, and end in order.

On SIGTERM or Ctrl-C: not ready any more; a pause, if one is set, in which load balancers notice and all goes on; then
no new runs, running generations get their grace, watchers are sent elsewhere, and only then the process ends. A second
signal ends it at once.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Final

import msgspec
import uvicorn
from starlette.applications import Starlette

from tokentape.core.errors import SetupError
from tokentape.core.messages import MAX_MESSAGE
from tokentape.server.accept import Acceptor, connections_within
from tokentape.server.admin import Admin
from tokentape.server.config import ServerConfig
from tokentape.server.protocols import protocols
from tokentape.server.routes.system import Readiness
from tokentape.server.services import Services
from tokentape.server.transport import BUFFER

_log = logging.getLogger(__name__)

BACKLOG: Final = 2048
"""Connections that wait to be accepted; the kernel may have a lower limit (net.core.somaxconn)."""
CLOSE_SECONDS: Final = 5
"""What open responses get to leave, once every watcher has been told to go."""
TICK_SECONDS: Final = 1.0
GC_THRESHOLDS: Final = (20_000, 5, 200)
"""Allocations before the youngest objects are looked at, and how often that is before the older ones are: all of these
in one go, so that while thousands connect a rare look is a long one."""
SWITCH_SECONDS: Final = 0.001
"""For which a thread may hold the interpreter when another one wants it."""
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def tune_interpreter() -> None:
    """Sets the whole process to what a server of streams needs; for programs that are nothing else.

    The garbage collector would by default look again and again at everything that lives, and every stream stands still
    meanwhile; what lives here is much, lives long, and is in no cycle. And a store's thread would wait five
    milliseconds for its turn while the event loop is busy.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)


async def serve(
    app: Starlette,
    config: ServerConfig,
    *,
    drain: Callable[[], Awaitable[None]],
    on_ready: Callable[[str], None],
    stop: asyncio.Event | None = None,
    listener: socket.socket | None = None,
    second_ends: bool = True,
) -> None:
    """Serves until a signal, or until `stop` is set; returns when everything has ended.

    `on_ready` gets the server's address when it accepts connections. `drain` is awaited once the server is
    to end; it ends runs and watchers. A `listener` is bound already. Unless `second_ends`, a second signal changes
    nothing: whoever sends it can also kill the process. Raises `SetupError` when the address cannot be had, or would
    be open to everybody without a key.
    """
    stop = stop or asyncio.Event()
    with listener or bind(config) as bound, signals(stop, second_ends=second_ends):
        server = _Server(_uvicorn_config(app, config))
        # An application around ours has an address of its own, which says nothing of who may come in.
        admin: Admin | None = getattr(app.state, "admin", None)
        if admin is not None:
            admin.open(loopback=is_private(bound))
        serving = asyncio.create_task(server.serve(sockets=[bound]), name="tokentape-http")
        try:
            await _first(serving, server.ready)
            if not serving.done():
                on_ready(url_of(bound))
                await _first(serving, stop)
            _log.info("ending; running generations get up to %g s", config.shutdown_grace)
            readiness: Readiness = app.state.readiness
            readiness.draining = True
            if config.shutdown_delay:
                await asyncio.sleep(config.shutdown_delay)
            await drain()
        finally:
            if admin is not None:
                await admin.close()
            server.leave()
            await serving


async def _first(serving: asyncio.Task[None], event: asyncio.Event) -> None:
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def bind(config: ServerConfig) -> socket.socket:
    """The listening socket; raises `SetupError` with the way out."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        listener = socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such name"
        raise SetupError(
            f"Cannot listen on {config.host}:{config.port}: {reason}. Choose another `host`, or another `port`."
        ) from None
    try:
        _prepare(listener)
        _check_exposure(listener, config)
    except SetupError:
        listener.close()
        raise
    return listener


def bind_group(config: ServerConfig) -> list[socket.socket]:
    """A listening socket for each of `config.workers` processes, all on one address; raises `SetupError` as `bind`.

    On Linux each process has a queue of its own, and the kernel deals connections out by their addresses: evenly,
    however busy a process is. The queue outlives a process that dies, as long as somebody holds the socket. Other
    systems do not deal; there the processes share one queue.
    """
    first = bind(config)
    if sys.platform != "linux":
        return [first, *(first.dup() for _ in range(config.workers - 1))]
    # Bound alone first: processes that share an address would not notice that it is somebody else's.
    address, family = first.getsockname()[:2], first.family
    first.close()
    group: list[socket.socket] = []
    try:
        for _ in range(config.workers):
            group.append(socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=True))
            _prepare(group[-1])
    except OSError as error:
        for listener in group:
            listener.close()
        raise SetupError(f"Cannot listen on {config.host}:{address[1]} {config.workers} times: {error}.") from None
    return group


def _prepare(listener: socket.socket) -> None:
    # Inherited by each connection: what a watcher has not read yet waits where it can still be merged.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    listener.setblocking(False)


def _check_exposure(listener: socket.socket, config: ServerConfig) -> None:
    if config.auth.api_keys or config.auth.delegated:
        return
    if not is_private(listener):
        raise SetupError(
            f"{listener.getsockname()[0]} can be reached by others, and there are no API keys. Set `auth.api_keys` "
            "(TOKENTAPE_AUTH_API_KEYS), listen on 127.0.0.1, or set `auth.delegated` when a proxy in front lets in "
            "only those who may."
        )
    _log.info("no API keys: open to everybody on this machine")


def is_private(listener: socket.socket) -> bool:
    """Whether only this machine reaches a listening socket."""
    return ip_address(listener.getsockname()[0]).is_loopback


def url_of(listener: socket.socket) -> str:
    """The address under which a listening socket is reached from this machine."""
    host, port = listener.getsockname()[:2]
    if ip_address(host).is_unspecified:
        host = "::1" if listener.family == socket.AF_INET6 else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _uvicorn_config(app: Starlette, config: ServerConfig) -> uvicorn.Config:
    limits = msgspec.structs.replace(config.limits, connections=connections_within(config.limits.connections))
    services: Services | None = getattr(app.state, "services", None)
    http, websocket = protocols(limits, services.connections if services is not None else None)
    return uvicorn.Config(
        app,
        http=http,
        ws=websocket,
        ws_max_size=MAX_MESSAGE,
        # Compression costs each connection memory and time, and a small message can unpack to a large one.
        ws_per_message_deflate=False,
        # As over SSE: a peer that is gone is noticed within heartbeat and write deadline.
        ws_ping_interval=float(config.limits.heartbeat),
        ws_ping_timeout=float(config.limits.write_deadline),
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        # Without a list of trusted proxies, X-Forwarded-For is anybody's word.
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which tells when it is ready, and leaves the signals to us."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._leaving = asyncio.Event()
        self._acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])  # without its own way of accepting
        self._acceptors = [Acceptor(listener, self._make_protocol) for listener in sockets or ()]
        self.ready.set()

    def _make_protocol(self) -> asyncio.Protocol:
        # As uvicorn's own `startup` does it.
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        await super().shutdown(sockets)

    async def main_loop(self) -> None:
        # Once a second for the Date header; uvicorn itself looks ten times a second whether it should exit.
        while not await self.on_tick(0):
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._leaving.wait()
            except TimeoutError:
                pass

    def leave(self) -> None:
        """Closes what is open, and ends."""
        self.should_exit = True
        self._leaving.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextmanager
def signals(stop: asyncio.Event, *, second_ends: bool = True) -> Iterator[None]:
    """Sets `stop` at the first SIGTERM or SIGINT; the second one ends the process at once, if it is to."""
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if second_ends and stop.is_set():
            # As if nobody had ever caught it. What was accepted is recorded, and the next start cleans up.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    caught = []
    for number in SIGNALS:
        try:
            loop.add_signal_handler(number, on_signal, number)
            caught.append(number)
        except (NotImplementedError, RuntimeError, ValueError):
            pass  # not in the main thread, or not on this system: whoever runs us sets `stop`
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
