"""One connection of a watcher: asks, reads, and tells its watcher what came."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import Callable
from typing import Final, Protocol, cast
from urllib.parse import quote

import msgspec

from tokentape.core.errors import ProtocolError
from tokentape.server.crowd.orders import Order
from tokentape.server.crowd.pieces import Piece, Pieces, Reading, SseReading, WebSocketReading

MAX_HEAD: Final = 65_536
_MASK: Final = bytes(4)
"""What a client sends has to be masked (RFC 6455 §5.3); where nobody has to be protected from it, any mask will do."""
_GOOD: Final = frozenset({b"200", b"101"})


_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *([0-9]{1,9})")


class _Problem(msgspec.Struct):
    code: str
    detail: str


_problems: Final = msgspec.json.Decoder(_Problem)


class Watching(Protocol):
    """Whose connection it is."""

    def take(self, piece: Piece) -> None:
        """A piece came."""
        ...

    def refused(self, why: str, *, over: bool) -> None:
        """The server has answered something else; `over` says that there is nothing more to be had."""
        ...

    def lost(self) -> None:
        """The connection is gone."""
        ...


class Connection(asyncio.Protocol):
    """A request, and the answer to it as far as it goes."""

    __slots__ = ("_head", "_next", "_reading", "_request", "_transport", "_watching")

    def __init__(self, watching: Watching, request: bytes, reading: Reading, *, then: bytes = b"") -> None:
        """`then` is sent once the server has agreed to the request."""
        self._watching = watching
        self._next = then
        self._request = request
        self._reading = reading
        self._head: bytes | None = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it went
        self._watching.lost()

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._read_head(data)
            return
        try:
            piece = self._reading.feed(data)
        except ProtocolError as error:
            self._watching.refused(error.message, over=False)
            self.cut()
            return
        for ping in piece.pings:
            self._write(client_frame(0x8A, ping))
        self._watching.take(piece)
        if piece.closed:
            self.cut()

    def _read_head(self, data: bytes) -> None:
        self._head = (self._head or b"") + data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end and len(head) <= MAX_HEAD:
            return
        status = head[9:12]
        if status not in _GOOD:
            length = _LENGTH.search(head)
            if length is None or len(rest) >= min(int(length[1]), MAX_HEAD):
                self._watching.refused(_refusal(head, rest), over=status == b"204")
                self.cut()
            return
        self._head = None
        self._write(self._next)
        if rest:
            self.data_received(rest)

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def cut(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.abort()


def _refusal(head: bytes, body: bytes) -> str:
    """What the server said instead: the code and the words of its problem document, if it is one."""
    try:
        told = _problems.decode(body)
    except msgspec.MsgspecError:
        return head.partition(b"\r\n")[0].decode(errors="replace")
    return f"{told.code}: {told.detail}"


def client_frame(first: int, payload: bytes) -> bytes:
    """A frame as a client sends it; the payload has less than 64 KiB."""
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size)) + _MASK + payload
    return bytes((first, 0x80 | 126)) + size.to_bytes(2, "big") + _MASK + payload


def connecting(order: Order, known: Pieces) -> Callable[[Watching, str], Connection]:
    """How to connect a watcher at a cursor."""

    def sse(watching: Watching, cursor: str) -> Connection:
        path = f"{order.root}/v1/{_place(order.stream)}/events?merge=false&from={cursor}"
        return Connection(watching, _request(order, path, {"Accept": "text/event-stream"}), SseReading(known))

    def websocket(watching: Watching, cursor: str) -> Connection:
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Protocol": "tokentape.v1",
        }
        subscribe = msgspec.json.encode(
            {"op": "subscribe", "id": 1, "stream": order.stream, "from": cursor, "merge": False}
        )
        request = _request(order, f"{order.root}/v1/ws", upgrade)
        return Connection(watching, request, WebSocketReading(known), then=client_frame(0x81, subscribe))

    return sse if order.transport == "sse" else websocket


def _place(stream: str) -> str:
    return stream if stream.startswith("runs/") else f"channels/{quote(stream)}"


def _request(order: Order, path: str, headers: dict[str, str]) -> bytes:
    host = f"[{order.host}]" if ":" in order.host else order.host
    lines = [f"GET {path} HTTP/1.1"]
    told = {"Host": f"{host}:{order.port}", **headers, **order.headers}
    lines += [f"{name}: {value}" for name, value in told.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
