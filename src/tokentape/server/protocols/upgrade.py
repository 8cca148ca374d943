"""The upgrade to a WebSocket (RFC 6455 §4.2), from what the HTTP parser has read already.

uvicorn writes the request down again, for the WebSocket library to parse it once more and to put its answer together:
half of what a connection costs. Here that is left out for requests that are as they should be. What is wrong, or only
unusual, goes the long way: the library knows how to refuse.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Final, NamedTuple

from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol

MAX_HEADERS: Final = 100
MAX_BYTES: Final = 8192
"""Of the names and values together; for the library that would be the bound of each."""
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
"""Sixteen bytes in base64: the last character has only its two highest bits."""
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ASKED: Final = (b"connection", b"upgrade", b"sec-websocket-key", b"sec-websocket-version")
_SUBPROTOCOL: Final = b"sec-websocket-protocol"

HeaderList = Sequence[tuple[bytes, bytes]]


class Upgrade(NamedTuple):
    """A request for a WebSocket, found to be valid."""

    target: str
    """Path and query, as they were sent."""
    headers: HeaderList
    subprotocols: list[str]
    accept: bytes
    """The value of Sec-WebSocket-Accept."""

    def answer(self, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The head of the response that accepts it, with more headers."""
        lines = [
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
            self.accept,
        ]
        lines += [b"\r\n%b: %b" % header for header in headers]
        if subprotocol:
            lines.append(b"\r\nSec-WebSocket-Protocol: " + subprotocol.encode("ascii"))
        return b"".join([*lines, b"\r\n\r\n"])

    def response(self) -> Response:
        """The same for the library. uvicorn takes its date away, and adds headers."""
        answer = {"Date": "", "Upgrade": "websocket", "Connection": "Upgrade"}
        return Response(
            101, "Switching Protocols", Headers({**answer, "Sec-WebSocket-Accept": self.accept.decode("ascii")})
        )


def read_upgrade(method: str, target: bytes, headers: HeaderList) -> Upgrade | None:
    """The request, if it asks for a WebSocket in the usual way; None for the long way. Names are in lower case."""
    if method != "GET" or len(headers) > MAX_HEADERS or sum([len(n) + len(v) for n, v in headers]) > MAX_BYTES:
        return None
    asked = [header for header in headers if header[0] in _ASKED]
    values = dict(asked)
    usual = (
        len(asked) == len(values) == len(_ASKED)
        and values[b"upgrade"].lower() == b"websocket"
        and values[b"sec-websocket-version"] == b"13"
        and _KEY.fullmatch(values[b"sec-websocket-key"]) is not None
        and b"upgrade" in [option.strip() for option in values[b"connection"].lower().split(b",")]
    )
    if not (usual and target.isascii()):
        return None
    offered = [value.decode("latin-1").split(",") for name, value in headers if name == _SUBPROTOCOL]
    digest = sha1(values[b"sec-websocket-key"] + _GUID, usedforsecurity=False).digest()
    return Upgrade(
        target.decode("ascii"), headers, [name.strip() for some in offered for name in some], b64encode(digest)
    )


def read_frames(connection: ServerProtocol) -> None:
    """Has the library's connection read frames, as it would after the request; it is not open yet."""
    connection.parser = Protocol.parse(connection)
    next(connection.parser)


def opened(connection: ServerProtocol) -> None:
    """Tells the library's connection that the answer has been sent."""
    connection.state = State.OPEN
