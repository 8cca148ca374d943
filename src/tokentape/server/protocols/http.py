"""uvicorn's HTTP/1.1 with the connection within reach, and with deadlines."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final, cast

from uvicorn._types import ASGISendEvent, HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tokentape.server.protocols.bounds import Bounds
from tokentape.server.protocols.upgrade import Upgrade, read_upgrade
from tokentape.server.protocols.websocket import WebSocketProtocol
from tokentape.server.transport import EXTENSION, Body, Flow, Link

MAX_IGNORED: Final = 8_388_608
"""Bytes of a refused body that are read and thrown away, so that its sender gets to the answer."""

_LAST_CHUNK: Final = b"0\r\n\r\n"
_TOO_SLOW: Final = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 37\r\nconnection: close\r\n\r\nThe headers of the request took long.\n"
)


class HttpProtocol(HttpToolsProtocol, Bounds):
    """uvicorn's HTTP/1.1, with a link in each request's scope.

    uvicorn's `cycle` is the request that came last; `answering` is the one whose turn it is, with the others behind it.
    Whatever uvicorn's types say, there is no `cycle` before the first request that is no upgrade, and no `scope`.
    """

    answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        self.link = HttpLink(self, transport, crowded=self.admit(transport, len(self.connections)))
        self.link.when_lost(self.leave)
        self._ignored = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.answering is not None and self.answering is not self.cycle:
            # uvicorn tells the request that came last, which is still waiting for its turn.
            self.answering.disconnected = True
            self.answering.message_event.set()
        self._have_headers()
        self.link.vanish()

    def eof_received(self) -> None:
        # A closed socket looks no different from one that is closed halfway.
        if _is_open(self.answering):
            self.link.abort()

    def handle_websocket_upgrade(self) -> None:
        # The other protocol makes a link of its own, and is counted in its turn.
        self.link.vanish()
        upgrade, kind = self._read_upgrade(), self.ws_protocol_class
        if upgrade is not None and isinstance(kind, type) and issubclass(kind, WebSocketProtocol):
            self.connections.discard(self)
            protocol = kind(self.config, self.server_state, self.app_state)
            protocol.connection_made(self.transport)
            protocol.upgraded(upgrade)
            self.transport.set_protocol(protocol)
        else:
            super().handle_websocket_upgrade()
        # Nobody calls this one again. In its cycles it would wait for the collector, 2 KB for every WebSocket.
        self.parser = cast("Any", None)
        self.link.let_go()

    def _read_upgrade(self) -> Upgrade | None:
        if self.config.ws_per_message_deflate:
            return None  # that is for the library to agree on
        return read_upgrade(self.scope["method"], self.url, list(self.scope["headers"]))

    # Requests

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not _is_open(self.answering) and self.timeout_keep_alive_task is None and not self.link.lost:
            # Empty lines, or more of a body that was refused: without a deadline they would keep it open for ever.
            self._expect_headers()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._ignored = 0
        self._expect_headers()
        # uvicorn's type knows of no extension whose value is not a dict.
        self.scope["extensions"] = cast("dict[str, Any]", {EXTENSION: self.link})

    def on_headers_complete(self) -> None:
        self._have_headers()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is before:
            return
        if not _is_open(before):
            self.answering = self.cycle
        if self.scope["http_version"] < "1.1":
            self.cycle.__class__ = _CloseDelimited
        if self.link.crowded:
            # A connection is judged as it comes: whoever tries again is to come anew.
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        if self.pipeline:
            self.answering = self.pipeline[-1][0]
        super().on_response_complete()

    def on_body(self, body: bytes) -> None:
        if _is_answered(self.cycle):
            self._ignored += len(body)
            if self._ignored > MAX_IGNORED:
                self.transport.close()
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        if self.answering is not None and self.answering.response_started and not self.answering.response_complete:
            # What is sent now would be a part of the response that has begun.
            self.link.abort()
        else:
            super().send_400_response(msg)

    def _expect_headers(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.header_deadline, self._refuse_slow)

    def _have_headers(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse_slow(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if _is_open(self.answering):
            self._expect_headers()  # of the request after one that is being answered, which goes first
            return
        if self._is_reading_headers():
            self.transport.write(_TOO_SLOW)
        self.transport.close()

    def _is_reading_headers(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        scope: HTTPScope | None = self.scope
        return scope is not None and (cycle is None or scope is not cycle.scope)

    # Writing

    def pause_writing(self) -> None:
        super().pause_writing()
        self.link.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.link.resume()


class HttpLink(Link):
    """A link that can write the body of a response around the application's `send`."""

    def __init__(self, protocol: HttpProtocol, transport: asyncio.Transport, *, crowded: bool) -> None:
        super().__init__(transport, crowded=crowded)
        self._protocol = protocol

    def let_go(self) -> None:
        """The connection goes on under another protocol: nothing is asked of this link any more."""
        self._protocol = cast("Any", None)

    def take_body(self, flow: Flow) -> Body | None:
        """Gives the rest of the response to `flow`; its head must have been sent, and nothing more is sent by ASGI.

        None when that cannot be: somebody between held the head back, or has changed what kind of body it is.
        Afterwards the application may return; what it still sends is ignored.
        """
        cycle = self._protocol.answering
        if cycle is None or not cycle.response_started or cycle.response_complete or cycle.disconnected or self.lost:
            return None
        delimited = isinstance(cycle, _CloseDelimited)
        if cycle.scope["method"] == "HEAD" or not (cycle.chunked_encoding or delimited):
            return None
        # To uvicorn and the application it is as if the client had gone: whatever they do is without effect.
        cycle.disconnected = True
        cycle.message_event.set()
        # A silent watcher should not hold what its request was.
        if self._protocol.scope is cycle.scope:  # and not of a request behind it, of which a part has come
            self._protocol.scope = self._protocol.headers = cast("Any", None)
        cycle.scope = cast("Any", {"method": "GET"})
        return Body(self.take(flow), chunked=not delimited)

    def end_body(self) -> None:
        """The response is whole: the connection goes on to the next request, if HTTP says so."""
        cycle = self._protocol.answering
        if cycle is None or self.lost:
            return
        self.give_back()
        chunked = not isinstance(cycle, _CloseDelimited)
        if chunked:
            self._transport.write(_LAST_CHUNK)
        cycle.response_complete = True
        if cycle.keep_alive and chunked:
            self._protocol.on_response_complete()
        else:
            self._transport.close()

    # To HTTP/1.0 a regular end of the connection is the end of the response: one that is not whole is reset (P4).

    def close(self) -> None:
        if self._ends_with_connection():
            self.reset()
        else:
            super().close()

    def abort(self) -> None:
        if self._ends_with_connection():
            self.reset()
        else:
            super().abort()

    def _ends_with_connection(self) -> bool:
        cycle = self._protocol.answering
        return isinstance(cycle, _CloseDelimited) and not cycle.response_complete


class _CloseDelimited(RequestResponseCycle):
    """A response to HTTP/1.0, which has no chunks: without a length, its end is the end of the connection.

    uvicorn 0.54 would send chunks.
    """

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            if not any(name.lower() == b"content-length" for name, _ in message.get("headers", ())):
                self.chunked_encoding = False
                self.expected_content_length = sys.maxsize
        elif (
            message["type"] == "http.response.body"
            and not message.get("more_body", False)
            and self.expected_content_length > sys.maxsize // 2
        ):
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


def _is_open(cycle: RequestResponseCycle | None) -> bool:
    return cycle is not None and not cycle.response_complete


def _is_answered(cycle: RequestResponseCycle | None) -> bool:
    return cycle is not None and cycle.response_complete
