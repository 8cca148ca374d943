"""One HTTP/1.1 request and its response, on a connection that aiohttp has made and gets back.

While it lasts the transport talks to this protocol, not to aiohttp's, so that what is read is handed on in the very
callback that read it: no stream object, no future and no task for each token.

Laws (tests/providers/test_exchange.py):
- a receiver is told of the head, then of the body, then once of the end or the loss; after `abort`, of nothing;
- a connection goes back to the pool only when request and response are whole, and nothing came after them;
- what is held of a response is one read, or a head of at most `MAX_OVERHEAD`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import httptools
from aiohttp import ClientConnectionError

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

    from tokentape.providers.intake import Intake

MAX_OVERHEAD: Final = 65_536
"""Bytes of a head, or of what else may come before the next piece of a body: trailers, say."""


class Head(NamedTuple):
    """Status and headers, whose names are spelt like "Retry-After"."""

    status: int
    headers: Mapping[str, str]


class Surplus(Exception):
    """More came than one response, or more around it than there can be."""


_FRAMED: Final = {"Content-Length", "Transfer-Encoding"}
"""A body without these ends with the connection."""
NOT_HTTP: Final = (httptools.HttpParserError, httptools.HttpParserUpgrade, Surplus)
"""What `Receiver.lost` is told when it was not the connection that failed."""


class Receiver(Protocol):
    """Takes a response. It may abort the exchange in any of these."""

    def head_received(self, head: Head) -> None: ...

    def body_received(self, data: bytes) -> None: ...

    def end_received(self) -> None: ...

    def lost(self, error: Exception | None) -> None:
        """It ended before its time: None is a clean end of file, before the response was whole."""
        ...


class Exchange(asyncio.Protocol):
    """Sends a request, then hands the response to `receiver`; its body is read by the intake, where that can be."""

    __slots__ = (
        "_bodies",
        "_broken",
        "_closed",
        "_complete",
        "_connection",
        "_fault",
        "_fd",
        "_head",
        "_headers",
        "_intake",
        "_keeper",
        "_news",
        "_overhead",
        "_parser",
        "_paused",
        "_receiver",
        "_reusable",
        "_timer",
        "_told",
        "_transport",
        "on_body",
    )

    def __init__(self, connection: Connection, receiver: Receiver, intake: Intake | None = None) -> None:
        transport, keeper = connection.transport, connection.protocol
        if transport is None or keeper is None or transport.is_closing():
            connection.close()
            raise ClientConnectionError("The connection was lost before the request.")
        self._connection = connection
        self._transport: asyncio.Transport = transport
        self._keeper: ResponseHandler = keeper
        self._receiver = receiver
        self._intake = intake
        self._fd = -1
        """The socket, where the intake reads it: then the transport does not."""
        self._broken: Exception | None = None
        """What the intake met with, and the transport cannot know."""
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._headers: dict[str, str] = {}
        self._head: Head | None = None
        self._told = False
        self._paused = False
        self._bodies: list[bytes] = []
        self._complete = False
        self._reusable = False
        self._fault: Exception | None = None
        self._news = False
        """Whether there is more to tell than a piece of the body."""
        self._overhead = 0
        # Called by the parser: what a list can do itself needs no method here.
        self.on_body = self._bodies.append
        self._parser = httptools.HttpResponseParser(self)
        # As aiohttp reads responses: servers in the field are not strict.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        transport.set_protocol(self)

    def send(self, request: bytes) -> None:
        """Sends the whole request."""
        self._transport.write(request)

    def pause(self) -> None:
        """Reads no more, for now; what was read already still comes."""
        if not self._closed and not self._paused:
            self._paused = True
            if self._intake is None or self._fd < 0:
                self._transport.pause_reading()
            else:
                self._intake.remove(self._fd, self)

    def resume(self) -> None:
        """Reads on."""
        if not self._closed and self._paused:
            self._paused = False
            if self._intake is None or self._fd < 0:
                self._transport.resume_reading()
            else:
                self._intake.add(self._fd, self)

    def abort(self) -> None:
        """Cuts the connection at once, unless it went back to the pool."""
        if not self._closed:
            self._leave()
            self._transport.abort()
            self._connection.close()

    def drain(self, seconds: float) -> None:
        """Tells nobody of the rest of the response, but reads it if it comes soon, to use the connection again."""
        if not self._closed:
            self._receiver = _Nobody()
            self.resume()
            self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    # Reading: the transport calls these, or the intake

    def end_of_data(self, error: Exception | None) -> None:
        """The transport finds the end for itself, and tells; but it would take a socket's error for an end."""
        if self._closed:
            return
        self._fd = -1
        if error is not None:
            self._broken = error
            self._transport.abort()
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Parses and hands on."""
        try:
            self._parser.feed_data(data)
        except NOT_HTTP as error:
            self._fault = error
            self._news = True
        body = b"".join(self._bodies)
        self._bodies.clear()
        if body and not self._news:
            self._overhead = 0
            self._receiver.body_received(body)
        else:
            self._hand_on(body, len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """Passes it on to both sides."""
        exc = exc or self._broken
        self._leave()
        self._keeper.connection_lost(exc)
        self._connection.close()
        if exc is None and self._head is not None and not _FRAMED & self._head.headers.keys():
            self._receiver.end_received()
        else:
            self._receiver.lost(exc)

    def pause_writing(self) -> None:
        """The protocol that comes after this one may be told to resume."""
        self._keeper.pause_writing()

    def resume_writing(self) -> None:
        """See `pause_writing`."""
        self._keeper.resume_writing()

    # The parser's side: it only takes notes, so that nothing is raised through it and nothing ends under it

    def on_message_begin(self) -> None:
        if self._complete:
            raise Surplus("A second response.")

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").title(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            # A copy: what comes as trailers is no part of the head.
            self._head = Head(status, self._headers.copy())
            self._news = True

    def on_message_complete(self) -> None:
        if self._head is None:
            self._headers = {}  # 100 Continue, 103 Early Hints
        else:
            self._complete = self._news = True
            self._reusable = self._parser.should_keep_alive()

    # Handing on

    def _hand_on(self, body: bytes, size: int) -> None:
        if self._head is not None and not self._told:
            self._told = True
            self._join_intake()
            self._receiver.head_received(self._head)
        if body:
            self._overhead = 0
            if not self._closed:
                self._receiver.body_received(body)
        else:
            self._overhead += size
            if self._overhead > MAX_OVERHEAD and self._fault is None:
                self._fault = Surplus("Headers without end.")
        self._news = False
        if not self._closed:
            self._conclude()

    def _join_intake(self) -> None:
        # Under TLS it is for the transport to make sense of what is on the socket.
        if self._intake is not None and not self._paused and self._transport.get_extra_info("sslcontext") is None:
            self._transport.pause_reading()
            self._fd = self._transport.get_extra_info("socket").fileno()
            self._intake.add(self._fd, self)

    def _conclude(self) -> None:
        if self._complete:
            # A server may have answered before it had the whole request.
            if self._reusable and self._fault is None and not self._transport.get_write_buffer_size():
                reads = self._fd < 0 and not self._paused
                self._leave()
                if not reads:
                    self._transport.resume_reading()
                self._connection.release()
            else:
                self.abort()
            self._receiver.end_received()
        elif self._fault is not None:
            self.abort()
            self._receiver.lost(self._fault)

    def _leave(self) -> None:
        self._closed = True
        if self._intake is not None and self._fd >= 0:
            self._intake.remove(self._fd, self)
            self._fd = -1
        if self._timer is not None:
            self._timer.cancel()
        self._transport.set_protocol(self._keeper)
        # The parser holds this object's methods: without this, each exchange would be left to the collector.
        del self._parser, self.on_body


class _Nobody:
    """Takes what nobody waits for."""

    def head_received(self, head: Head) -> None: ...

    def body_received(self, data: bytes) -> None: ...

    def end_received(self) -> None: ...

    def lost(self, error: Exception | None) -> None: ...
