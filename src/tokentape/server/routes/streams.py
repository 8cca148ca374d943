"""Streams of any kind: list, look, delete."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.responses import Response

from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest, Conflict
from tokentape.core.events import SYSTEM_PREFIX, check_stream_name
from tokentape.server.operations import Answer, Call, Operation, answer
from tokentape.server.services import Services
from tokentape.stores.base import Listing, StreamInfo

_BEYOND_SYSTEM: Final = chr(ord(SYSTEM_PREFIX) + 1)
"""Sorts after every stream of the server's own, and before every other."""


class StreamAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A stream. Retained offsets are `first`…`last`; times are milliseconds since the Unix epoch, 0 for never."""

    name: str
    kind: str | None
    cursor: str
    """Its end."""
    first: int
    last: int
    bytes: int
    closed: bool
    content_type: str
    created_at: int
    appended_at: int
    closed_at: int
    watchers: int
    """How many watch it through this process."""


class StreamList(msgspec.Struct, frozen=True):
    """Streams by name; `next` is the `after` of the next page."""

    streams: list[StreamAnswer]
    next: str | None


class StreamsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which streams."""

    prefix: Annotated[str, msgspec.Meta(max_length=200)] = ""
    after: Annotated[str, msgspec.Meta(max_length=200)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


async def _list(call: Call[StreamsQuery, None]) -> Response:
    store, query = call.services.store, call.query
    if not isinstance(store, Listing):
        raise BadRequest("This store cannot list its streams.")
    found = await store.list(query.prefix, after=max(query.after, _BEYOND_SYSTEM), limit=query.limit)
    following = found[-1].name if len(found) == query.limit else None
    return answer(StreamList([_view(call.services, info) for info in found], following))


async def _get(call: Call[None, None]) -> Response:
    name = check_stream_name(call.path("name"))
    return answer(_view(call.services, await call.services.store.info(name)))


async def _delete(call: Call[None, None]) -> Response:
    name = check_stream_name(call.path("name"))
    check_unused(call.services, name)
    await call.services.hub.delete(name)
    return Response(status_code=204)


def check_unused(services: Services, name: str) -> None:
    """Raises `Conflict` when a run that has not ended writes to this stream."""
    for state in ("running", "queued"):
        for run in services.runs.list(state=state, limit=1000):
            if run.stream == name:
                raise Conflict(f"Run {run.id} is {state} on {name!r}. Stop it first.", run=run.id)


def _view(services: Services, info: StreamInfo) -> StreamAnswer:
    kind = info.config.attributes.get("kind")
    return StreamAnswer(
        name=info.name,
        kind=kind if isinstance(kind, str) else None,
        cursor=str(Cursor(info.epoch, info.last)),
        first=info.first,
        last=info.last,
        bytes=info.bytes,
        closed=info.closed,
        content_type=info.config.content_type,
        created_at=info.created_at,
        appended_at=info.appended_at,
        closed_at=info.closed_at,
        watchers=services.hub.audience(info.name),
    )


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/streams",
        handle=_list,
        summary="List streams by the beginning of their names",
        query=StreamsQuery,
        answers={200: (Answer(description="A page of streams", body=StreamList),)},
    ),
    Operation(
        method="GET",
        path="/v1/streams/{name:path}",
        handle=_get,
        summary="Look at a stream",
        answers={200: (Answer(description="The stream", body=StreamAnswer),)},
    ),
    Operation(
        method="DELETE",
        path="/v1/streams/{name:path}",
        handle=_delete,
        summary="Delete a stream; its watchers are cut",
        answers={204: (Answer(description="It is gone"),)},
    ),
)
