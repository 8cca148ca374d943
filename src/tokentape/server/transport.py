"""The connection under a request: what ASGI hides, and a server of streams has to know.

Our protocols for uvicorn (`tokentape.server.protocols`) put a `Link` into
`scope["extensions"]["tokentape.transport"]`. Under any other server `connection_of` makes do with what
ASGI tells, and the routes behave the same.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from struct import pack
from typing import Final, NamedTuple, Protocol, cast, runtime_checkable

from starlette.types import Receive, Scope

if sys.platform == "linux":
    import fcntl
    import termios

EXTENSION: Final = "tokentape.transport"
BUFFER: Final = 65_536
"""Bytes that one connection holds in the process before its writer waits, and about what it holds in the kernel."""
_LINGER_NOT: Final = pack("ii", 1, 0)
"""struct linger of socket(7): on, for no time."""


SSE: Final = "sse"
WEBSOCKET: Final = "websocket"


class Peer(NamedTuple):
    """Who is at the other end of a watcher, and how it is reached; no address where none is known."""

    transport: str
    address: str | None


@runtime_checkable
class Reaching(Protocol):
    """Capability of an outlet: tells for whom it is."""

    @property
    def peer(self) -> Peer: ...


class Connections:
    """What is open in this process. Plain numbers: each is changed where a connection begins and ends."""

    __slots__ = ("open", "sse", "websocket")

    def __init__(self) -> None:
        self.open = 0
        """All of them; only our own protocols see that."""
        self.sse = 0
        """Responses that are event streams."""
        self.websocket = 0


class Connection(Protocol):
    """What an outlet needs of the connection that it writes to."""

    @property
    def client(self) -> str | None:
        """Who is at the other end, for people; None where that is not known."""
        ...

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


class Flow(Protocol):
    """Who writes to a connection directly, and so has to know when it takes nothing more."""

    def on_paused(self) -> None:
        """Part of what was written had to stay here: write nothing more."""
        ...

    def on_writable(self) -> None:
        """All that was written has left."""
        ...


class Way(NamedTuple):
    """How to write to a connection that was taken, as long as it is not paused."""

    write: Callable[[bytes], None]
    """Takes everything, and pauses the flow when the kernel has not."""
    socket: socket.socket | None
    """The connection itself, unless what is written is changed on its way (TLS).

    What it does not take at once is for `write`, before anything else.
    """


class Body(NamedTuple):
    """The body of a response that is written directly: in chunks of HTTP/1.1, or up to the end of the connection."""

    way: Way
    chunked: bool


class Link(_Losable):
    """A connection of our own protocols."""

    def __init__(self, transport: asyncio.Transport, *, crowded: bool) -> None:
        super().__init__()
        self.crowded = crowded
        """There were too many connections already when this one came."""
        self.paused = False
        self._transport = transport
        self._flow: Flow | None = None
        self._socket: socket.socket | None = None
        self._gone = False
        # Not asyncio.Event, which costs every silent connection 700 bytes.
        self._waiting: list[asyncio.Future[None]] = []

    # Writing directly

    def write_through(self) -> None:
        """From now on what is written goes to the kernel at once, and whatever it does not take pauses the writer."""
        self._transport.set_write_buffer_limits(high=0)

    def take(self, flow: Flow) -> Way:
        """Gives the sending side to `flow`, until `give_back`; returns the way to write.

        What is written goes to the kernel at once, in one system call. If that does not take all of it, `flow` is
        told to wait until all has left.
        """
        self._flow = flow
        self.write_through()
        return Way(self._transport.write, self._plain_socket())

    def _plain_socket(self) -> socket.socket | None:
        transport, sock = self._transport, self._transport.get_extra_info("socket")
        if sock is None or transport.is_closing() or transport.get_extra_info("sslcontext") is not None:
            return None
        # The transport's own descriptor, which it closes only after `vanish`.
        if isinstance(sock, socket.socket):
            return sock  # which uvloop was given; asyncio shows one that cannot send
        self._socket = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.fileno())
        return self._socket

    def give_back(self) -> None:
        """Ends what `take` or `write_through` began."""
        self._flow = None
        self._forget_socket()
        if not self._transport.is_closing():
            self._transport.set_write_buffer_limits(high=BUFFER)

    def reset(self) -> None:
        """Cuts the connection at once, in a way that nobody takes for a regular end (TCP RST)."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._transport.abort()

    # As a `Connection`

    @property
    def client(self) -> str | None:
        return address_of(self._transport.get_extra_info("peername"))

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size() + _unacknowledged(self._transport)

    async def drained(self) -> None:
        if self.lost or not self._transport.get_write_buffer_size():
            return
        # With a high-water mark of nothing, the transport itself tells when it is empty.
        self.write_through()
        try:
            while self.paused:
                await self._change()
        finally:
            if not self._transport.is_closing() and self._flow is None:
                self._transport.set_write_buffer_limits(high=BUFFER)

    def abort(self) -> None:
        self._transport.abort()

    def close(self) -> None:
        self._transport.close()

    async def closed(self) -> None:
        while not self._gone:
            await self._change()

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            self._waiting.remove(waiter)

    # For the protocols

    def pause(self) -> None:
        self.paused = True
        if self._flow is not None:
            self._flow.on_paused()

    def resume(self) -> None:
        self.paused = False
        self._wake()
        if self._flow is not None:
            self._flow.on_writable()

    def vanish(self) -> None:
        """The connection is gone."""
        self._gone = True
        self.paused = False
        self._flow = None
        self._forget_socket()
        self._wake()
        self._lose()

    def _forget_socket(self) -> None:
        if self._socket is not None:
            self._socket.detach()
            self._socket = None

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


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

    def __init__(self, receive: Receive, client: str | None = None) -> None:
        super().__init__()
        self.client = client
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


def address_of(peer: object) -> str | None:
    """An address as sockets and ASGI give it, as people write it."""
    if not isinstance(peer, tuple | list) or len(peer) < 2:
        return None
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def link_of(scope: Scope) -> Link | None:
    """The connection under this request, when our own protocols serve it."""
    return cast("Link | None", scope.get("extensions", {}).get(EXTENSION))


def connection_of(scope: Scope, receive: Receive) -> Connection:
    """The connection under this request, whoever serves it. `receive` must not be used beside it."""
    return link_of(scope) or AsgiConnection(receive, address_of(scope.get("client")))
