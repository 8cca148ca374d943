"""OpenAI's Responses."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from starlette.responses import Response

from tokentape.core.errors import BadRequest, Conflict
from tokentape.dialects.openai_errors import failure_of
from tokentape.dialects.openai_responses import ResponsesSse
from tokentape.dialects.openai_responses.items import listed, messages_of
from tokentape.dialects.openai_responses.objects import ID_PREFIX
from tokentape.dialects.openai_responses.request import ResponsesRequest, echo_of, run_fields
from tokentape.dialects.openai_responses.telling import NOTHING_TOLD
from tokentape.server import asked
from tokentape.server.asked import Asked
from tokentape.server.dropin import stream
from tokentape.server.openai import failed, headers_of, refuse, start, whole
from tokentape.server.operations import Answer, Call, NoQuery, Operation, answer
from tokentape.server.responses import Found, as_it_is, as_object, conversation, find, fold, place_of, spot
from tokentape.server.routes.watch import EVENT_STREAM

RESPONSE: Final = Answer(description="The response", body=dict[str, Any])
EVENTS: Final = Answer(description="Its events", media=EVENT_STREAM)
NOTHING_FOLLOWS: Final = b": all of it has been told\n\n"


class RetrieveQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to watch, and from where."""

    stream: bool = False
    starting_after: (
        Annotated[int, msgspec.Meta(ge=-1, description="the `sequence_number` up to which the client has everything")]
        | None
    ) = None


class ItemsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which items."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: Annotated[str | None, msgspec.Meta(description="only those that follow this one")] = None


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of input items."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What is gone."""

    id: str
    object: Literal["response"] = "response"
    deleted: bool = True


async def _create(call: Call[NoQuery, ResponsesRequest]) -> Response:
    request, services = call.body, call.services
    own = messages_of(request.input)
    before = await conversation(services, request.previous_response_id, int(services.config.limits.max_body))
    info, _, digest = await start(call, run_fields(request, [*before, *own]), request.tokentape)
    echo = echo_of(request)
    kept = Asked(input=None if request.store is False else request.input, echo=echo)
    await asked.keep(services.store, info.id, kept, services.config.run_settings().retention)
    if request.stream:
        return stream(call, info, ResponsesSse(echo), headers={"x-request-id": info.id}, refuse=refuse)
    if request.background:
        return answer(await as_it_is(services, Found(info, kept)), headers=headers_of(call, info))
    told = await whole(call, info, digest, fold, NOTHING_TOLD)
    failure = failure_of(told.story.finish) if told.story.finish is not None else None
    headers = headers_of(call, info)
    return failed(failure, headers) if failure is not None else answer(as_object(info, echo, told), headers=headers)


async def _get(call: Call[RetrieveQuery, None]) -> Response:
    query, services = call.query, call.services
    found = await find(services, call.path("id"))
    headers = headers_of(call, found.info)
    if not query.stream:
        return answer(await as_it_is(services, found), headers=headers)
    if query.starting_after is None:
        return stream(call, found.info, ResponsesSse(found.echo), headers=headers, refuse=refuse)
    here = await spot(services, place_of(services, found.info), query.starting_after)
    if here.over:
        # Not 204, for which the SDKs have no stream.
        return Response(NOTHING_FOLLOWS, media_type=EVENT_STREAM, headers=headers)
    # For who was cut between two of ours the bytes are shared with everybody.
    dialect = ResponsesSse(found.echo, after=here.after)
    return stream(call, found.info, dialect, position=str(here.cursor), headers=headers, refuse=refuse)


async def _cancel(call: Call[NoQuery, None]) -> Response:
    found = await find(call.services, call.path("id"))
    info = await call.services.runs.stop(found.info.id)
    return answer(await as_it_is(call.services, Found(info, found.asked)), headers=headers_of(call, info))


async def _items(call: Call[ItemsQuery, None]) -> Response:
    found = await find(call.services, call.path("id"))
    given = found.asked.input if found.asked is not None and found.asked.input is not None else []
    items = listed(given, found.info.id)
    if call.query.order == "desc":
        items.reverse()
    if call.query.after is not None:
        ids = [item["id"] for item in items]
        if call.query.after not in ids:
            raise BadRequest(f"`after` is no item of this response: {call.query.after[:80]!r}.", path="after")
        items = items[ids.index(call.query.after) + 1 :]
    page = items[: call.query.limit]
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return answer(ItemList(data=page, first_id=first, last_id=last, has_more=len(page) < len(items)))


async def _delete(call: Call[NoQuery, None]) -> Response:
    found = await find(call.services, call.path("id"))
    info = found.info
    if info.state != "done":
        raise Conflict(f"This response is {info.state}. Cancel it first.")
    if not info.owns_stream:
        raise Conflict(f"This response is part of the channel {info.stream!r}, and goes when that goes.")
    await call.services.hub.delete(info.stream)
    await asked.drop(call.services.store, info.id)
    return answer(Deleted(id=ID_PREFIX + info.id), headers=headers_of(call, info))


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/responses",
        handle=_create,
        summary="OpenAI: create a response, which is a run",
        body=ResponsesRequest,
        headers={"Idempotency-Key": "Makes it safe to repeat: the same run comes back."},
        answers={200: (RESPONSE, EVENTS)},
        refuse=refuse,
    ),
    Operation(
        method="GET",
        path="/v1/responses/{id}",
        handle=_get,
        summary="OpenAI: look at a response, as far as it has come, or watch it",
        query=RetrieveQuery,
        answers={200: (RESPONSE, EVENTS)},
        refuse=refuse,
    ),
    Operation(
        method="DELETE",
        path="/v1/responses/{id}",
        handle=_delete,
        summary="OpenAI: delete a response that has ended, with its run's events",
        answers={200: (Answer(description="It is gone", body=Deleted),)},
        refuse=refuse,
    ),
    Operation(
        method="POST",
        path="/v1/responses/{id}/cancel",
        handle=_cancel,
        summary="OpenAI: cancel a response; answers when it has ended, and may be repeated",
        answers={200: (RESPONSE,)},
        refuse=refuse,
    ),
    Operation(
        method="GET",
        path="/v1/responses/{id}/input_items",
        handle=_items,
        summary="OpenAI: list what a response was asked",
        query=ItemsQuery,
        answers={200: (Answer(description="A page of items", body=ItemList),)},
        refuse=refuse,
    ),
)
