"""One event as it is stored, and as each format says it at its place."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

from tokentape.core.cursor import Cursor
from tokentape.core.errors import CursorGone, InvalidEvent, NotFound
from tokentape.core.events import check_stream_name, decode_event
from tokentape.core.merge import Entry
from tokentape.dialects.base import SseDialect
from tokentape.dialects.formats import FORMATS
from tokentape.hub import View
from tokentape.hub.channels import RUN_STREAMS
from tokentape.server.admin.admin import Admin
from tokentape.server.admin.operation import operation
from tokentape.server.operations import Answer, Call, answer
from tokentape.server.services import Services


class EventAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An event: as it is, as it is stored, and as each format says it. `at` is seconds since the Unix epoch."""

    cursor: str
    at: float | None
    bytes: int
    """Of its record."""
    event: Any
    """Null for a record of a stream that is not of events."""
    record: str
    """Bytes that are no text are shown as U+FFFD."""
    frames: dict[str, str | None]
    """By format: what a watcher is sent for this event alone; null where the format says nothing, or cannot here."""


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which event."""

    cursor: Annotated[str, msgspec.Meta(description="its own position", max_length=40)]


class _Spot(NamedTuple):
    """An event's place."""

    stream: str
    epoch: str
    entry: Entry
    closed: bool
    """Nothing follows it, ever."""


async def _event(call: Call[EventQuery, None], admin: Admin) -> Response:
    name, cursor = check_stream_name(call.path("name")), Cursor.parse(call.query.cursor)
    services = admin.services
    place = services.runs.locate(name)
    stream = place.stream
    if not cursor.offset:
        raise NotFound("There is no event at offset 0: it is the position before the first one.")
    info = await services.store.info(stream)
    if info.epoch != cursor.epoch:
        raise CursorGone(f"{stream!r} was made anew since: it has another epoch.", reason="epoch")
    if cursor.offset > info.last:
        raise NotFound(f"There is no event at {cursor} on {stream!r}: it goes up to {info.last}.")
    page = await services.store.read(stream, cursor.offset - 1, max_records=1)
    if page.epoch != cursor.epoch or not page.records:
        raise CursorGone(f"{stream!r} was made anew in this moment.", reason="epoch")
    record = page.records[0][1]
    try:
        event = decode_event(record)
    except InvalidEvent:
        told = EventAnswer(cursor=str(cursor), at=None, bytes=len(record), event=None, record=_shown(record), frames={})
        return answer(told)
    spot = _Spot(stream, page.epoch, Entry(cursor.offset, record, event), page.closed and cursor.offset == page.last)
    return answer(
        EventAnswer(
            cursor=str(cursor),
            at=event.at / 1000 if event.at else None,
            bytes=len(record),
            event=msgspec.Raw(record),
            record=_shown(record),
            frames={name: await _frame(services, spot, dialect) for name, dialect in FORMATS.items()},
        )
    )


async def _frame(services: Services, spot: _Spot, dialect: SseDialect[bytes]) -> str | None:
    event = spot.entry.event
    label, run, begin = spot.stream, None, 0
    if dialect.of_run:
        if event.run is None:
            return None
        label = RUN_STREAMS + event.run
        place = services.runs.locate(label)
        run, begin = event.run, place.begin.offset if place.begin is not None else 0
    view = View(dialect, label, run=run)
    state = None
    if dialect.stateful:
        try:
            _, state = await services.hub.told(spot.stream, _before(spot), view, begin=begin)
        except CursorGone:
            return None  # the beginning of its run is no longer kept, so nobody can say it in this format
    payload = view.encode(
        spot.epoch, [spot.entry], state, last=spot.entry.offset, merged=False, closed=spot.closed, current=spot.closed
    )
    return _shown(payload.content) if payload.size else None


def _before(spot: _Spot) -> Cursor:
    return Cursor(spot.epoch, spot.entry.offset - 1)


def _shown(data: bytes) -> str:
    return data.decode(errors="replace")


OPERATIONS: Final = (
    operation(
        method="GET",
        path="/streams/{name:path}/event",
        handle=_event,
        summary="Look at one event, and at what it becomes in each format",
        query=EventQuery,
        answers={200: (Answer(description="The event", body=EventAnswer),)},
    ),
)
