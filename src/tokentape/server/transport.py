"""The connection under a request: what ASGI hides, and a server of streams has to know.

Our protocols for uvicorn (its public extension point, `Config(http=…, ws=…)`) put a `Link` into
`scope["extensions"]["tokentape.transport"]`, and bound what a connection may hold. Under any other
server `connection_of` makes do with what ASGI tells, and the routes behave the same.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from starlette.types import Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tokentape.server.config import Limits
from tokentape.server.websocket_guard import GuardedWebSocketProtocol

if sys.platform == "linux":
    import fcntl
    import termios

EXTENSION: Final = "tokentape.transport"
BUFFER: Final = 65_536
"""Bytes that one connection holds in the process before its writer waits, and about what it holds in the kernel."""
MAX_IGNORED: Final = 8_388_608
"""Bytes of a refused body that are read and thrown away, so that its sender gets to the answer."""

_quiet = logging.getLogger("tokentape.server.websocket")
# uvicorn logs every WebSocket at INFO with its query, which may hold a credential.
_quiet.setLevel(logging.WARNING)


class Connection(Protocol):
    """What an outlet needs of the connection that it writes to."""

    @property
    def lost(self) -> bool:
        """The client is gone."""
        ...

    @property
    def paused(self) -> bool:
        """The next `send` may have to wait."""
        ...

    def buffered(self) -> int:
        """Bytes that were written and have not reached the client, as far as can be known."""
        ...

    async def drained(self) -> None:
        """Waits until all that was written has left, or the client is gone."""
        ...

    def abort(self) -> None:
        """Cuts the connection at once; what is buffered is lost."""
        ...

    def close(self) -> None:
        """Cuts the connection as soon as what is buffered has left: the response stays without its end."""
        ...

    async def closed(self) -> None:
        """Waits until a connection that was cut is gone."""
        ...

    def when_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back once, at once when the client goes; returns what takes that back."""
        ...


class _Losable:
    """Whoever wants to know that the client is gone."""

    def __init__(self) -> None:
        self.lost = False
        self._callbacks: dict[Callable[[], None], None] = {}

    def when_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        if self.lost:
            callback()
        else:
            self._callbacks[callback] = None
        return lambda: self._callbacks.pop(callback, None)

    def _lose(self) -> None:
        self.lost = True
        callbacks, self._callbacks = self._callbacks, {}
        for callback in callbacks:
            callback()


class Link(_Losable):
    """A connection of our own protocols."""

    def __init__(self, transport: asyncio.Transport, *, crowded: bool) -> None:
        super().__init__()
        self.crowded = crowded
        """There were too many connections already when this one came."""
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()

    @property
    def paused(self) -> bool:
        return not self._writable.is_set()

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size() + _unacknowledged(self._transport)

    async def drained(self) -> None:
        if self.lost or not self._transport.get_write_buffer_size():
            return
        # With a high-water mark of nothing, the transport itself tells when it is empty.
        self._transport.set_write_buffer_limits(high=0)
        try:
            await self._writable.wait()
        finally:
            if not self._transport.is_closing():
                self._transport.set_write_buffer_limits(high=BUFFER)

    def abort(self) -> None:
        self._transport.abort()

    def close(self) -> None:
        self._transport.close()

    async def closed(self) -> None:
        await self._gone.wait()

    # For the protocols

    def pause(self) -> None:
        self._writable.clear()

    def resume(self) -> None:
        self._writable.set()

    def vanish(self) -> None:
        """The connection is gone."""
        self._gone.set()
        self._writable.set()
        self._lose()


def _unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes in the kernel that the peer has not acknowledged: by these even a trickle shows as progress."""
    sock = transport.get_extra_info("socket")
    if sys.platform != "linux" or sock is None or transport.is_closing():
        return 0
    try:
        # TIOCOUTQ is SIOCOUTQ of tcp(7), by its older name.
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)


class AsgiConnection(_Losable):
    """A connection of a server that is not ours, as far as ASGI shows it."""

    paused = True

    def __init__(self, receive: Receive) -> None:
        super().__init__()
        self._receive = receive
        self._listener: asyncio.Task[None] | None = None

    def buffered(self) -> int:
        return 0

    async def drained(self) -> None:
        """ASGI does not tell: what the server has taken counts as gone."""

    def abort(self) -> None:
        """A server cuts the connection by itself when a response returns without its end."""

    close = abort

    async def closed(self) -> None:
        """It happens once the response has returned."""

    def when_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        withdraw = super().when_lost(callback)
        listener = asyncio.get_running_loop().create_task(self._listen())

        def stop() -> None:
            withdraw()
            listener.cancel()

        return stop

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # the rest of a body that nobody asked for
        self._lose()


def link_of(scope: Scope) -> Link | None:
    """The connection under this request, when our own protocols serve it."""
    return cast("Link | None", scope.get("extensions", {}).get(EXTENSION))


def connection_of(scope: Scope, receive: Receive) -> Connection:
    """The connection under this request, whoever serves it. `receive` must not be used beside it."""
    return link_of(scope) or AsgiConnection(receive)


class _Bounds:
    """What both protocols are told by `protocols`."""

    max_connections: int
    stall: float
    """Seconds after which a peer that acknowledges or takes nothing is cut by the kernel."""

    def _link(self, transport: asyncio.Transport, connections: int) -> Link:
        transport.set_write_buffer_limits(high=BUFFER)
        sock = transport.get_extra_info("socket")
        if sys.platform == "linux" and sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            # A black hole shows only as bytes that nobody acknowledges: TCP alone would try for a quarter of
            # an hour. This also ends connections that we closed while their peer had stopped reading.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(self.stall * 1000)))
        return Link(transport, crowded=connections > self.max_connections)


class HttpProtocol(HttpToolsProtocol, _Bounds):
    """uvicorn's HTTP/1.1, with a link in each request's scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        self.link = self._link(transport, len(self.connections))
        self._ignored = 0

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.link.vanish()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._ignored = 0
        # uvicorn's type knows of no extension whose value is not a dict.
        self.scope["extensions"] = cast("dict[str, Any]", {EXTENSION: self.link})

    def on_body(self, body: bytes) -> None:
        if _is_answered(self.cycle):
            self._ignored += len(body)
            if self._ignored > MAX_IGNORED:
                self.transport.close()
        super().on_body(body)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.link.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.link.resume()


class WebSocketProtocol(GuardedWebSocketProtocol, _Bounds):
    """uvicorn's WebSocket, guarded, with a link in its scope, and without the query in its log."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _quiet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.link = self._link(cast("asyncio.Transport", transport), len(self.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.link.vanish()

    async def run_asgi(self) -> None:
        cast("dict[str, Any]", self.scope["extensions"])[EXTENSION] = self.link
        await super().run_asgi()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.link.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.link.resume()


def _is_answered(cycle: RequestResponseCycle | None) -> bool:
    # None, whatever uvicorn's type says, when a request to upgrade has a body.
    return cycle is not None and cycle.response_complete


def protocols(limits: Limits) -> tuple[type[HttpProtocol], type[WebSocketProtocol]]:
    """Both protocols with these limits, for `uvicorn.Config(http=…, ws=…)`."""
    bounds = {"max_connections": limits.connections, "stall": float(limits.write_deadline)}
    return type("HttpProtocol", (HttpProtocol,), bounds), type("WebSocketProtocol", (WebSocketProtocol,), bounds)
