"""The upgrade to a WebSocket (RFC 6455 §4.2), from what the HTTP parser has read already.

uvicorn writes the request down again, for the WebSocket library to parse it once more: a third of what a connection
costs. Here that is left out for requests that are as they should be. What is wrong, or only unusual, goes the long
way: the library knows how to refuse.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha1
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import Protocol
from websockets.server import ServerProtocol

MAX_HEADERS: Final = 100
MAX_BYTES: Final = 8192
"""Of the names and values together; for the library that would be the bound of each."""
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
"""Sixteen bytes in base64: the last character has only its two highest bits."""
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ASKED: Final = (b"connection", b"upgrade", b"sec-websocket-key", b"sec-websocket-version")


def read_upgrade(method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Request | None:
    """The request, if it asks for a WebSocket in the usual way; None for the long way. Names are in lower case."""
    if method != "GET" or len(headers) > MAX_HEADERS or sum([len(n) + len(v) for n, v in headers]) > MAX_BYTES:
        return None
    asked = [(name, value) for name, value in headers if name in _ASKED]
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
    read = Headers([(name.decode("ascii"), value.decode("latin-1")) for name, value in headers])
    return Request(target.decode("ascii"), read)


class Admitted(ServerProtocol):
    """The library's connection, once `read_upgrade` has found the request to be valid; without extensions."""

    @classmethod
    def admit(cls, connection: ServerProtocol) -> None:
        """Has it read frames, as it would after the request."""
        connection.__class__ = cls
        connection.parser = Protocol.parse(connection)
        next(connection.parser)

    def accept(self, request: Request) -> Response:
        """The answer to a request that is valid. uvicorn replaces its date."""
        self.accept_called = True
        digest = sha1(request.headers["Sec-WebSocket-Key"].encode() + _GUID, usedforsecurity=False).digest()
        answer = {"Date": "", "Upgrade": "websocket", "Connection": "Upgrade"}
        return Response(
            101, "Switching Protocols", Headers(answer, **{"Sec-WebSocket-Accept": b64encode(digest).decode()})
        )
