"""A real uvicorn on a free loopback port with the native WebSocket, and clients that behave or do not."""

import asyncio
import base64
import itertools
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import uvicorn
from scripted import ScriptedModels, ScriptedProvider
from starlette.applications import Starlette
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect

from tokentape.core.messages import SUBPROTOCOL
from tokentape.hub import Hub, HubLimits
from tokentape.hub.channels import Channels
from tokentape.runs import Runs
from tokentape.server.config import Limits, ServerConfig
from tokentape.server.instances import Instances
from tokentape.server.protocols import WebSocketProtocol, protocols
from tokentape.server.services import Services
from tokentape.server.transport import EXTENSION
from tokentape.server.websocket.routes import websocket_routes
from tokentape.stores.base import Retention, Store
from tokentape.stores.memory import MemoryStore

PATIENCE = 10
"""Seconds that a test waits for what must come."""


def limits(**changes) -> ServerConfig:
    return ServerConfig(limits=msgspec.structs.replace(Limits(), **changes))


@dataclass
class Rig:
    services: Services
    provider: ScriptedProvider
    server: uvicorn.Server
    port: int
    sock: socket.socket
    raws: list["RawPeer"] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/ws"

    @asynccontextmanager
    async def peer(self, **options) -> AsyncIterator["Peer"]:
        """A client that behaves."""
        options.setdefault("subprotocols", [SUBPROTOCOL])
        async with connect(self.url, ping_interval=None, max_size=None, **options) as ws:
            yield Peer(ws)

    async def raw(self, **options) -> "RawPeer":
        """A client that writes what it likes, and reads when it likes."""
        self.raws.append(await RawPeer.connect(self.port, **options))
        return self.raws[-1]

    def served(self) -> "Served":
        return Served(self)

    async def idle(self) -> None:
        """Waits until the server is through with all connections."""
        await Served(self, all_of_them=True).ended()

    async def force(self) -> None:
        """Ends the server as uvicorn does when the time is up."""
        state = self.server.server_state
        for connection in tuple(state.connections):
            connection.shutdown()
        await asyncio.sleep(0)
        while state.tasks:
            tasks = tuple(state.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Ends the server without the pauses that uvicorn makes."""
        state = self.server.server_state
        for server in self.server.servers:
            server.close()
        for connection in tuple(state.connections):
            connection.shutdown()
        while state.tasks:
            await asyncio.gather(*state.tasks)

    async def shut_down(self) -> None:
        """Ends the server as uvicorn does."""
        self.server.should_exit = True
        await self.server.shutdown([self.sock])


class Served:
    """The server's side of the connections that are made from now on."""

    def __init__(self, rig: Rig, *, all_of_them: bool = False) -> None:
        self._state = rig.server.server_state
        self._before = set() if all_of_them else {*self._state.connections, *self._state.tasks}

    @property
    def connections(self) -> list:
        return [c for c in self._state.connections if c not in self._before]

    async def ended(self) -> None:
        """Waits until the server is through with them, and with what they asked for."""
        async with asyncio.timeout(PATIENCE):
            while {*self._state.connections, *self._state.tasks} - self._before:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.002)


@asynccontextmanager
async def serving(
    config: ServerConfig | None = None,
    *,
    store: Store | None = None,
    retention: Retention = Retention(),  # noqa: B008 - frozen
    ring: int = 1024,
    plain: bool = False,
    hidden: bool = False,
    middleware: Callable[[ASGIApp], ASGIApp] | None = None,
    **options,
) -> AsyncIterator[Rig]:
    """With `plain` it is uvicorn's own protocol; with `hidden` it is ours, and the application does not see it."""
    if hidden:
        middleware = _hide
    config = config or ServerConfig()
    async with store or MemoryStore() as opened:
        hub = Hub(opened, HubLimits(ring_records=ring))
        channels = Channels(hub, retention=retention)
        provider = ScriptedProvider()
        models = ScriptedModels(provider)
        runs = Runs(hub, channels, models)
        services = Services(opened, hub, runs, channels, models, config, "0", Instances(channels.roster, config, "0"))
        await runs.open()
        rig = await _listen(services, provider, plain=plain, middleware=middleware, **options)
        try:
            yield rig
        finally:
            for raw in rig.raws:
                raw.drop()
            if not rig.server.should_exit:
                await rig.close()
            await runs.drain(0)
            await channels.aclose()
            await hub.aclose()


async def _listen(
    services: Services,
    provider: ScriptedProvider,
    *,
    plain: bool,
    middleware: Callable[[ASGIApp], ASGIApp] | None,
    sndbuf: int = 65_536,
    **options,
) -> Rig:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Small, so that a client that does not read is felt soon.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
    sock.bind(("127.0.0.1", 0))
    settings = {
        "ws_ping_interval": 60,
        "ws_ping_timeout": 60,
        "ws_max_size": 1_048_576,
        "ws_per_message_deflate": False,
    }
    if plain:
        settings |= {"ws": "websockets-sansio"}
    else:
        http, ws = protocols(services.config.limits)
        settings |= {"http": http, "ws": _ours(ws)}
    app: ASGIApp = Starlette(routes=websocket_routes(services))
    if middleware is not None:
        app = middleware(app)
    config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=5, **settings | options)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[sock])
    return Rig(services, provider, server, sock.getsockname()[1], sock)


def _hide(app: ASGIApp) -> ASGIApp:
    async def hidden(scope, receive, send):
        extensions = {name: value for name, value in scope["extensions"].items() if name != EXTENSION}
        await app({**scope, "extensions": extensions}, receive, send)

    return hidden


def _ours(ws: type[WebSocketProtocol]) -> type[WebSocketProtocol]:
    # The kernel's own time-out for peers that take nothing would hide whether ours works.
    return type("Ours", (ws,), {"stall": 3600.0})


class Peer:
    """A client that behaves: every request has an id, and what comes in between is kept in order."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.seen: list[dict] = []
        self._ids = itertools.count(1)

    async def tell(self, op: str, **members) -> int:
        number = next(self._ids)
        await self.ws.send(json.dumps(_request(op, number, members)))
        return number

    async def ask(self, op: str, **members) -> dict:
        """The data of the `ack`; an `error` is the test's."""
        answer = await self.answer(await self.tell(op, **members))
        assert answer["op"] == "ack", answer
        return answer["data"]

    async def refused(self, op: str, **members) -> dict:
        answer = await self.answer(await self.tell(op, **members))
        assert answer["op"] == "error", answer
        return answer["error"]

    async def answer(self, number: int | None) -> dict:
        kept = []
        while True:
            message = await self.receive()
            if message["op"] in ("ack", "error") and message["id"] == number:
                self.seen = kept + self.seen
                return message
            kept.append(message)

    async def receive(self) -> dict:
        """The next message, whatever it is."""
        if self.seen:
            return self.seen.pop(0)
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self.ws.recv())

    async def event(self) -> dict:
        message = await self.receive()
        assert message["op"] == "event", message
        return message

    async def until_end(self, stream: str) -> list[dict]:
        """Everything of a stream up to its `end`, with it."""
        mine = []
        while not mine or mine[-1]["op"] != "end":
            message = await self.receive()
            if message.get("stream") == stream:
                mine.append(message)
        return mine

    async def closed(self) -> tuple[int | None, str]:
        """How the server ended the connection; what comes before is kept."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    self.seen.append(json.loads(await self.ws.recv()))
                except Exception:  # noqa: BLE001 - any end of the connection
                    return self.ws.close_code, self.ws.close_reason


def text_of(messages: list[dict]) -> str:
    return "".join(m["event"]["data"] for m in messages if m["op"] == "event" and m["event"]["type"] == "token")


TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False, size: int | None = None) -> bytes:
    """A frame as a client sends it; `size` is what the header claims."""
    size = len(payload) if size is None else size
    first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload  # a mask of zeros leaves the payload as it is


class RawPeer:
    """A socket with the handshake done. It reads only when it is told to, and answers no ping by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.messages: list[dict] = []
        self.pings = 0
        self.pongs = 0

    @classmethod
    async def connect(cls, port: int, *, headers: str = "", window: int = 16_384) -> "RawPeer":
        """`window` is how many bytes it takes without being told to read, roughly."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        reader, writer = await asyncio.open_connection(sock=sock, limit=window // 16)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{headers}\r\n".encode()
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer.partition(b"\r\n")[0], answer
        return cls(reader, writer)

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    def request(self, op: str, **members) -> None:
        self.send(frame(TEXT, json.dumps(_request(op, 1, members)).encode()))

    async def receive(self) -> dict:
        """The next message."""
        async with asyncio.timeout(PATIENCE):
            while True:
                opcode, payload = await self._frame()
                if opcode == TEXT:
                    return json.loads(payload)
                self.pings += opcode == PING
                self.pongs += opcode == PONG
                assert opcode != CLOSE, payload

    async def pinged(self) -> bytes:
        """The next ping, unanswered: its payload."""
        async with asyncio.timeout(PATIENCE):
            while True:
                opcode, payload = await self._frame()
                assert opcode != CLOSE, payload
                if opcode == PING:
                    return payload

    async def closed(self) -> int | None:
        """Reads to the end; the close code, None when the connection was cut without one."""
        async with asyncio.timeout(PATIENCE):
            try:
                while True:
                    opcode, payload = await self._frame()
                    if opcode == CLOSE:
                        return struct.unpack("!H", payload[:2])[0]
                    if opcode == TEXT:
                        self.messages.append(json.loads(payload))
                    self.pings += opcode == PING
                    self.pongs += opcode == PONG
            except (asyncio.IncompleteReadError, ConnectionError):
                return None

    async def _frame(self) -> tuple[int, bytes]:
        first, size = await self.reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(size)

    def drop(self) -> None:
        """As a crash does it: a reset, without a word."""
        transport = self.writer.transport
        if not transport.is_closing():
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def _request(op: str, number: int, members: dict) -> dict:
    # Most tests publish first: a channel that is subscribed from now would show them nothing.
    begin = {"from": "start"} if op == "subscribe" else {}
    return {"op": op, "id": number, **begin, **members}
