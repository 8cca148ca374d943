"""GET with `live`: long-poll and SSE, through the hub, so that all who wait at one place share what is encoded."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.responses import Response

from tokentape.core.cursor import Cursor
from tokentape.core.errors import CursorGone, StreamNotFound, TokentapeError
from tokentape.core.events import Event
from tokentape.core.merge import Entry, entries, raw_entries
from tokentape.core.resume import Ready
from tokentape.dialects import native
from tokentape.dialects.durable import Form, Position, body, control_event, cursor, data_event
from tokentape.hub import Outlet, Payload, View, Watcher
from tokentape.server.durable_streams.headers import CURSOR, ENCODING
from tokentape.server.durable_streams.reading import NO_STORE, Query, end_headers, read_page
from tokentape.server.durable_streams.source import Source
from tokentape.server.limits import check_audience
from tokentape.server.services import Services
from tokentape.server.sse import MultiOutlet, SseOutlet, SseResponse
from tokentape.server.stream import Stream
from tokentape.server.transport import Peer

SPREAD: Final = 20
"""Percent by which the end of an event stream is drawn earlier or later, so that not all come back at once."""
NOTHING: Final = Payload(b"", 0, 0, ended=False)


@dataclass(frozen=True, slots=True)
class RecordView(View):
    """A stream as records; all who look at one place with the same cursor share the bytes. It needs no dialect."""

    form: Form = "json"
    base: int = 0
    own: bool = False
    """Whether the records are no events."""
    cursor: str = ""

    @property
    def format(self) -> str:
        return "durable-streams"

    def entries(self, records: Iterable[tuple[int, bytes]]) -> Sequence[Entry]:
        return raw_entries(records) if self.own else entries(records)

    def ephemeral(self, event: Event) -> Payload:  # noqa: ARG002 - it has no offset, so here it cannot be told
        return NOTHING

    def _shown(self, entries: Sequence[Entry]) -> list[bytes]:
        return [entry.record for entry in entries if self.run is None or entry.event.run == self.run]

    def _ended(self, entries: Sequence[Entry], *, closed: bool) -> bool:
        if closed or self.run is None:
            return closed
        return any(entry.event.run == self.run and entry.event.type == "done" for entry in entries)


@dataclass(frozen=True, slots=True)
class EventView(RecordView):
    """As SSE: data, and the control event that goes with it."""

    def encode(
        self,
        epoch: str,
        entries: Sequence[Entry],
        state: Any,  # noqa: ARG002 - records tell themselves
        *,
        last: int,
        merged: bool,  # noqa: ARG002 - records are never merged
        closed: bool,
        current: bool = False,
    ) -> Payload:
        shown, ended = self._shown(entries), self._ended(entries, closed=closed)
        if not (shown or ended):
            return Payload(b"", 0, last, ended)
        position = Position(last + self.base, epoch)
        content = (data_event(self.form, shown) if shown else b"") + control_event(
            position, self.cursor, current=current, closed=ended
        )
        if self.framing is not None:
            content = self.framing(content)
        return Payload(content, len(content), last, ended, count=len(shown))


class Part(msgspec.Struct, frozen=True, gc=False):
    """The body of a long-poll's answer, and whether it reaches the end."""

    body: bytes
    current: bool


@dataclass(frozen=True, slots=True)
class PollView(RecordView):
    """As the answer to a long-poll."""

    def encode(
        self,
        epoch: str,  # noqa: ARG002 - the answer's headers have it
        entries: Sequence[Entry],
        state: Any,  # noqa: ARG002 - as above
        *,
        last: int,
        merged: bool,  # noqa: ARG002 - records are never merged
        closed: bool,
        current: bool = False,
    ) -> Payload:
        shown, ended = self._shown(entries), self._ended(entries, closed=closed)
        if not shown:
            return Payload(None, 0, last, ended)
        part = Part(body(self.form, shown), current)
        return Payload(part, len(part.body), last, ended, count=len(shown))


async def _begin(services: Services, source: Source, query: Query) -> int:
    """Where to begin; counts as a use of a stream that goes when nobody uses it."""
    after = source.locate(query.offset)
    if source.info.config.retention.idle:
        await read_page(services, source, source.info.last)
    check_audience(services.hub, source.stream, services.config.limits)
    return after


async def _attach(services: Services, source: Source, after: int, view: View, outlet: Outlet) -> Watcher:
    """Raises `CursorGone` for what has gone since the stream was looked at."""
    watcher = await services.hub.attach(source.stream, Cursor(source.info.epoch, after), view, outlet)
    if watcher.ready.outcome == "gone":
        watcher.leave()
        raise CursorGone(f"Stream {source.name!r} was made anew or trimmed in this moment.", reason="epoch")
    return watcher


# Long-poll


class _PollOutlet:
    """Takes the first that comes."""

    socket = None
    peer = Peer("long-poll", None)

    def __init__(self) -> None:
        self.part: Part | None = None
        self.ended_at_end = False
        self.error: TokentapeError | None = None
        self.something = asyncio.Event()

    @property
    def writable(self) -> bool:
        return self.part is None

    def ready(self, watcher: Watcher, ready: Ready) -> None:
        if ready.outcome == "gone":
            self.abort(watcher, CursorGone("What follows this offset is no longer kept.", reason=ready.reason))

    def write(self, watcher: Watcher, payload: Payload) -> None:  # noqa: ARG002 - there is only one
        if self.part is None and payload.size:
            self.part = payload.content
            self.something.set()

    def ended(self, watcher: Watcher) -> None:
        watcher.flushed()

    def finish(self, watcher: Watcher) -> None:  # noqa: ARG002 - as above
        self.ended_at_end = True
        self.something.set()

    def abort(self, watcher: Watcher, error: TokentapeError | None) -> None:  # noqa: ARG002 - as above
        self.error = error
        self.something.set()


async def long_poll(services: Services, source: Source, query: Query) -> Response:
    """What follows the offset, at once or when it comes; 204 when nothing does, or ever will."""
    after = await _begin(services, source, query)
    view = PollView(native.items, source.name, run=source.place.run, form=source.form, base=source.base, own=source.own)
    outlet = _PollOutlet()
    last, over = after, source.end is not None and after >= source.end
    if not over:
        watcher = await _attach(services, source, after, view, outlet)
        try:
            watcher.start()
            try:
                async with asyncio.timeout(services.config.durable_streams.long_poll):
                    await outlet.something.wait()
            except TimeoutError:
                pass
            last, over = watcher.cursor, outlet.ended_at_end
        finally:
            watcher.leave()
    if outlet.error is not None:
        raise _as_answer(source, outlet.error)
    part = outlet.part
    headers = end_headers(source, last, current=part is None or part.current or over, ended=over)
    headers["Cache-Control"] = NO_STORE
    if not over:
        headers[CURSOR] = cursor(time.time(), query.cursor)
    if part is None:
        return Response(status_code=204, headers=headers)
    headers["Content-Type"] = source.info.config.content_type
    return Response(part.body, headers=headers)


def _as_answer(source: Source, error: TokentapeError) -> TokentapeError:
    if isinstance(error, CursorGone) and error.details.get("reason") == "deleted":
        return StreamNotFound(f"Stream {source.name!r} was deleted.")
    return error


# SSE


class _EventOutlet(SseOutlet):
    """One view on one response, which ends after a while: the client comes back with its offset.

    It always ends cleanly, where the connection allows it, and after a whole event: to this protocol the end of a
    response is not that of the stream, which `streamClosed` says. Its clients come back after a clean end, and take any
    other one for a failure.
    """

    def __init__(self, stream: Stream, seconds: float) -> None:
        super().__init__(stream)
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def ready(self, watcher: Watcher, ready: Ready) -> None:
        if ready.outcome == "gone":
            # What it has is void, or a part is missing: it is told so when it comes back with its offset.
            self._expire(watcher)
            return
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire, watcher)
        view = watcher.view
        if ready.outcome == "live" and not watcher.tail.closed and isinstance(view, RecordView):
            position = Position(ready.cursor.offset + view.base, ready.cursor.epoch)
            self.stream.put(control_event(position, view.cursor, current=True, closed=False))

    def write(self, watcher: Watcher, payload: Payload) -> None:
        if payload.size:
            super().write(watcher, payload)

    def finish(self, watcher: Watcher) -> None:
        self._stop()
        super().finish(watcher)

    def abort(self, watcher: Watcher, error: TokentapeError | None) -> None:
        self._stop()
        if error is not None and self.stream.writable:
            self.stream.finish()
        else:
            super().abort(watcher, error)

    def _expire(self, watcher: Watcher) -> None:
        watcher.shut_down(CursorGone("It is time to come back, with the offset that came last."))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class EventResponse(SseResponse):
    """A stream as server-sent events of the protocol."""

    def __init__(
        self, services: Services, source: Source, query: Query, *, after: int, headers: dict[str, str]
    ) -> None:
        super().__init__(services, (), native.sse, headers=headers)
        self._source = source
        self._after = after
        self._view = EventView(
            native.sse,
            source.name,
            run=source.place.run,
            form=source.form,
            base=source.base,
            own=source.own,
            cursor=cursor(time.time(), query.cursor),
        )

    def _outlet(self, stream: Stream) -> SseOutlet:
        seconds = float(self._services.config.durable_streams.sse)
        return _EventOutlet(stream, seconds * (100 - SPREAD + secrets.randbelow(2 * SPREAD + 1)) / 100)

    async def _attach(self, outlet: SseOutlet | MultiOutlet, watchers: list[Watcher]) -> Response | None:
        watchers.append(await _attach(self._services, self._source, self._after, self._view, outlet))
        return None


async def event_stream(services: Services, source: Source, query: Query, headers: dict[str, str]) -> Response:
    """What follows the offset, and then what comes, until the stream ends or it is time to come back."""
    after = await _begin(services, source, query)
    if source.form == "binary":
        headers = {**headers, ENCODING: "base64"}
    return EventResponse(services, source, query, after=after, headers=headers)
