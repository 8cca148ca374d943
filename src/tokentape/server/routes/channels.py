"""Channels: publish, watch, history, presence."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from starlette.responses import Response

from tokentape.core.cursor import Cursor
from tokentape.core.events import check_stream_name
from tokentape.hub.channels import History, Publish, check_channel
from tokentape.server.operations import Answer, Call, Operation, answer
from tokentape.server.routes.watch import watch, watching
from tokentape.server.watching import WatchQuery, find


class Published(msgspec.Struct, frozen=True):
    """Where the last stored event stands; null when none was to be stored."""

    cursor: str | None


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the past, and how."""

    before: Annotated[str | None, msgspec.Meta(description="only events before this cursor, exclusive")] = None
    after: Annotated[str | None, msgspec.Meta(description="only events after this cursor, exclusive")] = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    order: Literal["newest", "oldest"] = "newest"
    view: Annotated[
        Literal["events", "messages"], msgspec.Meta(description="events as recorded, or whole messages")
    ] = "events"


class HistoryAnswer(msgspec.Struct, frozen=True):
    """A page of the past, as `{cursor, event}` or messages. Watch from `cursor` to go on live without a gap.

    `next` is the `before` (newest first) or `after` (oldest first) of the next page.
    """

    items: list[dict[str, Any]]
    cursor: str
    next: str | None


class PresentMember(msgspec.Struct, frozen=True):
    id: str
    data: Any


class PresenceAnswer(msgspec.Struct, frozen=True):
    """Who is here, in the order of arrival."""

    members: list[PresentMember]


async def _watch(call: Call[WatchQuery, None]) -> Response:
    name = check_channel(call.path("name"))
    return await watch(call, name, await find(call.services, name))


async def _publish(call: Call[None, Publish | list[Publish]]) -> Response:
    events = call.body if isinstance(call.body, list) else [call.body]
    cursor = await call.services.channels.publish(call.path("name"), events)
    return answer(Published(str(cursor) if cursor is not None else None), status=201)


async def _history(call: Call[HistoryQuery, None]) -> Response:
    query = call.query
    page: History = await call.services.channels.history(
        check_stream_name(call.path("name")),
        before=Cursor.parse(query.before) if query.before is not None else None,
        after=Cursor.parse(query.after) if query.after is not None else None,
        limit=query.limit,
        order=query.order,
        view=query.view,
    )
    return answer(page)


async def _presence(call: Call[None, None]) -> Response:
    members = await call.services.channels.members(check_channel(call.path("name")))
    return answer(PresenceAnswer([PresentMember(member.id, member.data) for member in members]))


OPERATIONS: Final = (
    watching("/v1/channels/{name:path}/events", _watch, "Watch a channel; it is made when it is not there"),
    Operation(
        method="POST",
        path="/v1/channels/{name:path}/events",
        handle=_publish,
        summary="Publish one event, or a list as one atomic step",
        body=Publish | list[Publish],
        answers={201: (Answer(description="Recorded, and shown to whoever watches", body=Published),)},
    ),
    Operation(
        method="GET",
        path="/v1/channels/{name:path}/history",
        handle=_history,
        summary="Read the past of a channel",
        query=HistoryQuery,
        answers={200: (Answer(description="A page", body=HistoryAnswer),)},
    ),
    Operation(
        method="GET",
        path="/v1/channels/{name:path}/presence",
        handle=_presence,
        summary="See who is present on a channel",
        answers={200: (Answer(description="Those present", body=PresenceAnswer),)},
    ),
)
