"""uvicorn's WebSocket with the connection within reach, and without ASGI once an application takes it over.

Laws of a connection that was taken over:
- messages go from the parser to the sink, and what ends the connection is told to it at once;
- the application may return: the connection outlives it, and holds nothing of the request that it began with;
- the bounds of `tokentape.server.websocket_guard` hold as before;
- a silent connection costs little: it has slots instead of a dict, and shares the timer of its pings with all others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, Protocol, cast
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.protocol import State

from tokentape.core.frames import CloseCode, fit_reason
from tokentape.server.protocols.bounds import Bounds
from tokentape.server.protocols.rounds import Rounds
from tokentape.server.protocols.upgrade import Upgrade, opened, read_frames
from tokentape.server.transport import EXTENSION, Link, address_of
from tokentape.server.websocket_guard import GuardedWebSocketProtocol

_quiet = logging.getLogger("tokentape.server.websocket")
# uvicorn logs every WebSocket at INFO with its query, which may hold a credential.
_quiet.setLevel(logging.WARNING)

_WRITABLE: Final = asyncio.Event()
"""For connections whose writer does not ask uvicorn: one of their own would cost each of them 900 bytes."""
_WRITABLE.set()

_OF_UVICORN: Final = (
    "app",
    "app_state",
    "asgi_version",
    "client",
    "close_sent",
    "close_timeout",
    "close_timer",
    "config",
    "conn",
    "connections",
    "curr_msg_data_type",
    "default_headers",
    "disconnected",
    "frames",
    "handshake_complete",
    "handshake_initiated",
    "initial_response",
    "last_ping_rtt",
    "logger",
    "loop",
    "pending_ping_payload",
    "ping_interval",
    "ping_sent_at",
    "ping_timeout",
    "ping_timer",
    "pong_timer",
    "queue",
    "read_paused",
    "request",
    "response",
    "root_path",
    "scheme",
    "scope",
    "server",
    "tasks",
    "transport",
    "writable",
)
_OF_GUARD: Final = ("_controls", "_refused", "_unparsed", "_window_ends")


class Sink(Protocol):
    """Who takes the messages of a connection directly."""

    def received(self, message: str | bytes) -> None:
        """A whole message came, text or binary."""
        ...

    def lost(self) -> None:
        """The connection is gone, or is being closed by the client or the server; may be told more than once."""
        ...


class WebSocketProtocol(GuardedWebSocketProtocol, Bounds):
    """uvicorn's WebSocket, guarded, with a link in its scope, and without the query in its log."""

    # What the base classes set is here, too: a dict of so many costs each connection 1.6 KB. It is there all the same,
    # for an attribute that a next version of uvicorn may add.
    __slots__ = (*_OF_UVICORN, *_OF_GUARD, "_pings", "_upgrade", "link", "sink")

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._pings = _pings_of(server_state, self)
        self.logger = _quiet
        self.sink: Sink | None = None
        self._upgrade: Upgrade | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        stream = cast("asyncio.Transport", transport)
        self.link = WebSocketLink(self, stream, crowded=self.admit(stream, len(self.connections)))

    def upgraded(self, upgrade: Upgrade) -> None:
        """Begins with a request that was read, and found valid; instead of its bytes."""
        self._upgrade = upgrade
        read_frames(self.conn)
        self.handshake_initiated = True
        path, _, query = upgrade.target.partition("?")
        # As uvicorn's `handle_connect` makes it.
        self.scope = {
            "type": "websocket",
            "asgi": {"version": self.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": self.root_path,
            "path": self.root_path + unquote(path),
            "raw_path": (self.root_path + path).encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": upgrade.headers,
            "subprotocols": upgrade.subprotocols,
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}},
        }
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.leave()
        self.link.vanish()

    async def run_asgi(self) -> None:
        # As uvicorn's, but for a connection that was taken over, which goes on.
        cast("dict[str, Any]", self.scope["extensions"])[EXTENSION] = self.link
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:
            self.logger.exception("Exception in ASGI application\n")
            self.send_500_response()
        else:
            if self.sink is not None:
                self._forget_request()
                return
            # uvicorn 0.54 would also say this of an application that has refused with a response of its own.
            if not (self.handshake_complete or self.close_sent):
                self.logger.error("ASGI callable returned without completing handshake.")
                self.send_500_response()
        if self.close_timer is None:
            self.transport.close()

    def _forget_request(self) -> None:
        # A silent connection should not hold what its request was; the parser keeps the rest of it.
        if self._upgrade is None:
            self.request.headers.clear()
            self.response.headers.clear()
        self.scope = self._upgrade = self.request = self.response = cast("Any", None)
        self.server = None

    # Instead of ASGI

    def take_over(self, sink: Sink) -> None:
        """Gives the connection to a sink. What came before, and waits for the application, goes to it too."""
        waiting, self.queue = self.queue, cast("asyncio.Queue[ASGIReceiveEvent]", _Told(sink))
        self.writable = _WRITABLE
        self.sink = sink
        while not waiting.empty():
            self.queue.put_nowait(waiting.get_nowait())
        self.release()

    def deliver(self, message: str | bytes) -> None:
        if self.sink is None:
            super().deliver(message)
        else:
            self.sink.received(message)

    async def send(self, message: ASGISendEvent) -> None:
        if self.sink is not None:
            raise ClientDisconnected
        if self._upgrade is None or message["type"] != "websocket.accept":
            await super().send(message)
        elif any(message.get("headers", ())) or self.disconnected or self.transport.is_closing():
            self.response = self._upgrade.response()
            await super().send(message)
        else:
            self.transport.write(self._upgrade.answer(message.get("subprotocol"), self.default_headers))
            self.handshake_complete = True
            opened(self.conn)
            self.start_keepalive()

    # Pings

    def schedule_ping(self) -> None:
        self._pings.add(self)

    def stop_keepalive(self) -> None:
        self._pings.discard(self)
        super().stop_keepalive()

    # Writing

    def pause_writing(self) -> None:
        if self.sink is None:
            super().pause_writing()
        self.link.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.link.resume()


_PINGS: Final[WeakKeyDictionary[ServerState, Rounds[WebSocketProtocol]]] = WeakKeyDictionary()


def _pings_of(server: ServerState, connection: WebSocketProtocol) -> Rounds[WebSocketProtocol]:
    """When the connections of a server are to be pinged."""
    rounds = _PINGS.get(server)
    if rounds is None:
        interval = connection.ping_interval or 0.0  # without one, nobody is ever added
        rounds = _PINGS[server] = Rounds(connection.loop, interval, WebSocketProtocol.send_keepalive_ping)
    return rounds


class _Told:
    """In the place of uvicorn's queue to the application: what it says there goes to the sink."""

    __slots__ = ("_sink",)

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def put_nowait(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.disconnect":
            self._sink.lost()
        elif message["type"] == "websocket.receive":
            text = message.get("text")
            self._sink.received(text if text is not None else message["bytes"])

    def empty(self) -> bool:
        return True


class WebSocketLink(Link):
    """A link that can take the connection over from ASGI."""

    def __init__(self, protocol: WebSocketProtocol, transport: asyncio.Transport, *, crowded: bool) -> None:
        super().__init__(transport, crowded=crowded)
        self._protocol = protocol

    @property
    def client(self) -> str:
        """Who is at the other end, for people."""
        return address_of(self._protocol.client) or "unknown"

    @property
    def accepted(self) -> bool:
        """Whether the upgrade is done, and nobody has begun to end the connection since."""
        return self._protocol.handshake_complete and self._is_open()

    def _is_open(self) -> bool:
        protocol = self._protocol
        return protocol.conn.state is State.OPEN and not protocol.close_sent and not self._transport.is_closing()

    def adopt(self, sink: Sink) -> None:
        """Gives what is received to `sink`, for good: the application may return, and sends nothing more by ASGI."""
        self._protocol.take_over(sink)

    def hold(self) -> None:
        """Reads no further, until `release`; what has been read already may still come."""
        self._protocol.hold()

    def release(self) -> None:
        """Reads on."""
        self._protocol.release()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs work that the server waits for when it ends, as it does for applications."""
        tasks = self._protocol.tasks
        task = self._protocol.loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    def end(self, code: CloseCode, reason: str) -> None:
        """Closes with a code and as much of the reason as fits; without effect when it is being closed already."""
        if self._is_open():
            self._protocol.end(code, fit_reason(reason))
