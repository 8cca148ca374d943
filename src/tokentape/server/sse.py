"""Server-Sent Events: views on streams as a response."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from socket import socket
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tokentape.core.cursor import Cursor
from tokentape.core.errors import ShuttingDown, TokentapeError
from tokentape.core.resume import Ready
from tokentape.dialects import native
from tokentape.dialects.base import SseDialect
from tokentape.dialects.native import Block
from tokentape.hub import Outlet, Payload, View, Watcher
from tokentape.hub.channels import RUN_STREAMS
from tokentape.server.direct import DirectStream
from tokentape.server.limits import check_audience
from tokentape.server.problems import problem
from tokentape.server.protocols.http import HttpLink
from tokentape.server.pump import PumpedStream
from tokentape.server.query import read_query
from tokentape.server.services import Services
from tokentape.server.stream import Stream, Unsent, pause_ms
from tokentape.server.transport import SSE, Peer, connection_of, link_of
from tokentape.server.watching import ViewQuery, Watch, dialect_of, is_over, position_of, resumed, watch_of

HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
"""Of every stream (wire-formats §1); without the last one nginx would collect the events."""


class SseOutlet:
    """One view on one response."""

    __slots__ = ("_opening", "socket", "stream")

    def __init__(self, stream: Stream, opening: bytes = b"") -> None:
        """`opening` is said to this client alone, before the view begins."""
        self.stream = stream
        self._opening = opening
        self.socket: socket | None = None
        """Set by a stream that writes directly, while it can."""

    @property
    def peer(self) -> Peer:
        return Peer(SSE, self.stream.client)

    @property
    def writable(self) -> bool:
        return self.stream.writable

    def ready(self, watcher: Watcher, ready: Ready) -> None:
        opening, self._opening = self._opening, b""
        announcement = opening + watcher.view.dialect.ready(watcher.view.label, ready)
        if announcement:
            self.stream.put(announcement)

    def write(self, watcher: Watcher, payload: Payload) -> None:  # noqa: ARG002 - there is only one
        self.stream.write(payload.content)

    def ended(self, watcher: Watcher) -> None:
        self.stream.flush(watcher)

    def finish(self, watcher: Watcher) -> None:  # noqa: ARG002 - as above
        self.stream.finish()

    def abort(self, watcher: Watcher, error: TokentapeError | None) -> None:
        _cut(self.stream, watcher, error)


class MultiOutlet:
    """Several views on one response. The id of a block is where the client then is on all of them.

    So a native `EventSource`, which knows one id only, resumes each stream exactly.
    """

    socket = None

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._positions: dict[Watcher, Cursor] = {}
        self._open = 0

    def add(self, watcher: Watcher) -> None:
        """Adds the next view; all come before the first one starts."""
        self._positions[watcher] = watcher.ready.cursor
        self._open += 1

    @property
    def peer(self) -> Peer:
        return Peer(SSE, self.stream.client)

    @property
    def writable(self) -> bool:
        return self.stream.writable

    def ready(self, watcher: Watcher, ready: Ready) -> None:
        self._put(watcher, watcher.view.dialect.ready(watcher.view.label, ready))

    def write(self, watcher: Watcher, payload: Payload) -> None:
        self._put(watcher, payload.content)

    def _put(self, watcher: Watcher, blocks: tuple[Block, ...]) -> None:
        epoch = watcher.ready.cursor.epoch
        lines: list[bytes] = []
        for block in blocks:
            if block.offset is not None:
                self._positions[watcher] = Cursor(epoch, block.offset)
                lines.append(b"id: %b\n" % ",".join(map(str, self._positions.values())).encode())
            lines.append(b"data: %b\n\n" % block.data)
        self.stream.put(b"".join(lines))

    def ended(self, watcher: Watcher) -> None:
        self.stream.flush(watcher)

    def finish(self, watcher: Watcher) -> None:  # noqa: ARG002 - the last one ends the response, whichever it is
        self._open -= 1
        if self._open == 0:
            self.stream.finish()

    def abort(self, watcher: Watcher, error: TokentapeError | None) -> None:
        _cut(self.stream, watcher, error)  # one id resumes all of them


def _cut(stream: Stream, watcher: Watcher, error: TokentapeError | None) -> None:
    dialect: SseDialect[Any] = watcher.view.dialect  # type: ignore[assignment]  # there is no other on a response
    stream.cut(error, dialect.farewell(pause_ms()) if isinstance(error, ShuttingDown) else b"")


class SseResponse(Response):
    """Streams of events as a response; what is wrong before its first byte becomes a problem document.

    It is 204 when all views have ended and the client has all of them, which stops a native `EventSource`.
    """

    def __init__(
        self,
        services: Services,
        watches: Sequence[Watch],
        dialect: SseDialect[Any],
        *,
        merge: bool = True,
        opening: bytes = b"",
        headers: Mapping[str, str] | None = None,
        refuse: Callable[[TokentapeError], Response] = problem,
    ) -> None:
        """`refuse` says what is wrong, before the first byte, in the way that the client expects.

        `opening` is said to this client alone, before its one view begins.
        """
        self._services = services
        self._watches = watches
        self._dialect = dialect
        self._merge = merge
        self._opening = opening
        self._refuse = refuse
        self.status_code = 200
        self.background = None
        self.init_headers({**HEADERS, **dialect.headers, **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b""})
            return
        watchers: list[Watcher] = []
        unsent = Unsent(watchers)
        outlet = self._outlet(unsent)
        handed_over = False
        try:
            refusal = await self._attach(outlet, watchers)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
            link = link_of(scope)
            limits, connections = self._services.config.limits, self._services.connections
            direct = DirectStream(link, watchers, limits, connections) if isinstance(link, HttpLink) else None
            if direct is not None:
                direct.prepare()
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if direct is not None and direct.take(outlet if isinstance(outlet, SseOutlet) else None):
                handed_over = True
                outlet.stream = direct
                unsent.become(direct)
            else:
                pumped = PumpedStream(connection_of(scope, receive), watchers, send, limits)
                outlet.stream = pumped
                unsent.become(pumped)
                connections.sse += 1
                try:
                    await pumped.play()
                finally:
                    connections.sse -= 1
        except OSError:
            pass  # how servers say that the client is gone (ASGI, HTTP version 2.4)
        finally:
            if not handed_over:
                for watcher in watchers:
                    watcher.lost()

    def _outlet(self, stream: Stream) -> SseOutlet | MultiOutlet:
        return MultiOutlet(stream) if self._dialect is native.multi else SseOutlet(stream, self._opening)

    async def _attach(self, outlet: SseOutlet | MultiOutlet, watchers: list[Watcher]) -> Response | None:
        """Puts the views on the outlet; returns what to answer instead, if there is nothing to stream."""
        over = True
        try:
            for watch in self._watches:
                watcher = await self._watch(watch, outlet)
                watchers.append(watcher)
                if isinstance(outlet, MultiOutlet):
                    outlet.add(watcher)
                over = over and is_over(watch, watcher.ready, closed=watcher.tail.closed)
        except TokentapeError as error:
            return self._refuse(error)
        return Response(status_code=204) if over else None

    async def _watch(self, watch: Watch, outlet: Outlet) -> Watcher:
        place = watch.place
        check_audience(self._services.hub, place.stream, self._services.config.limits)
        view = View(self._dialect, watch.label, run=place.run, merge=self._merge)
        begin = place.begin.offset if place.begin is not None else 0
        return await self._services.hub.attach(place.stream, watch.start, view, outlet, begin=begin)


def run_response(services: Services, run_id: str, request: Request) -> Response:
    """One run as a response, in any application's own route; honours `Last-Event-ID` and the query of `ViewQuery`."""
    try:
        query = read_query(request.query_params, ViewQuery)
        label = RUN_STREAMS + run_id
        dialect, position = resumed(dialect_of(query), position_of(request.headers, query))
        watch = watch_of(label, services.runs.locate(label), position)
        return SseResponse(services, [watch], dialect, merge=query.merge)
    except TokentapeError as error:
        return problem(error)
