"""Watching over HTTP: as an event stream, or by long-poll on the same addresses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest, InvalidCursor
from tokentape.dialects import native
from tokentape.runs import Place
from tokentape.server.operations import Answer, Call, Operation, answer
from tokentape.server.poll import Polled, poll
from tokentape.server.services import Services
from tokentape.server.sse import SseResponse
from tokentape.server.watching import (
    Watch,
    WatchQuery,
    check_telling,
    dialect_of,
    find,
    position_of,
    resumed,
    watch_of,
)

EVENT_STREAM: Final = "text/event-stream"
RESUME_HEADERS: Final = {"Last-Event-ID": "Where the client is; wins over `from`. An EventSource sends it by itself."}
WATCH_ANSWERS: Final = {
    200: (
        Answer(description="The events: `ready` first, then what follows the position", media=EVENT_STREAM),
        Answer(description="Long-poll, with `Accept: application/json` or `wait`", body=Polled),
    ),
    204: (Answer(description="The view has ended, and the client has all of it"),),
}


async def watch(call: Call[WatchQuery, None], label: str, place: Place) -> Response:
    """The answer to a request to watch one place."""
    query = call.query
    dialect, position = resumed(dialect_of(query), position_of(call.request.headers, query))
    check_telling(dialect, place)
    what = watch_of(label, place, position)
    if query.wait is not None or _wants_json(call.request):
        return answer(await poll(call.services, what, merge=query.merge, wait=query.wait or 0))
    return SseResponse(call.services, [what], dialect, merge=query.merge)


def wants_stream(request: Request) -> bool:
    """Whether the client asks for an event stream by name."""
    return EVENT_STREAM in request.headers.get("accept", "").lower()


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "").lower() and not wants_stream(request)


class MultiQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which streams, and from where."""

    stream: Annotated[
        list[str], msgspec.Meta(description="`name` or `name@position`; a name that holds an @ needs its position")
    ] = []
    merge: bool = True


async def _watch_many(call: Call[MultiQuery, None]) -> Response:
    watches = await _watches(call.services, call.query.stream, call.request.headers.get("last-event-id"))
    return SseResponse(call.services, watches, native.multi, merge=call.query.merge)


async def _watches(services: Services, asked: list[str], last_id: str | None) -> list[Watch]:
    limit = services.config.limits.max_streams
    if not 1 <= len(asked) <= limit:
        raise BadRequest(f"Give 1 to {limit} parameters `stream`, such as stream=runs/r_1&stream=room@now.")
    pairs = [_parse(item) for item in asked]
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise BadRequest("A stream was named twice.")
    positions = _resume(last_id, len(pairs)) if last_id else [position for _, position in pairs]
    return [
        watch_of(name, await find(services, name), position) for name, position in zip(names, positions, strict=True)
    ]


def _parse(item: str) -> tuple[str, str | None]:
    name, at, position = item.rpartition("@")
    return (name, position) if at else (item, None)


def _resume(last_id: str, count: int) -> list[str | None]:
    cursors = last_id.split(",", maxsplit=count)
    if len(cursors) != count:
        raise InvalidCursor(
            f"Last-Event-ID has not one cursor for each of {count} streams: send back the id that came last."
        )
    return [str(Cursor.parse(cursor)) for cursor in cursors]


def watching(path: str, handle: Callable[[Call[Any, Any]], Awaitable[Response]], summary: str) -> Operation:
    """An operation that watches one stream."""
    return Operation(
        method="GET",
        path=path,
        handle=handle,
        summary=summary,
        query=WatchQuery,
        headers=RESUME_HEADERS,
        answers=WATCH_ANSWERS,
    )


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/events",
        handle=_watch_many,
        summary="Watch many streams on one connection",
        query=MultiQuery,
        headers=RESUME_HEADERS,
        answers={
            200: (
                Answer(description="Events with their `stream` and `cursor`; ids resume them all", media=EVENT_STREAM),
            ),
            204: (Answer(description="All views have ended, and the client has all of them"),),
        },
    ),
)
