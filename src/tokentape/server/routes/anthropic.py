"""Anthropic's Messages API (`/v1/messages`), for its SDKs: start, re-attach, stop."""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tokentape.core.errors import TokentapeError
from tokentape.dialects import anthropic
from tokentape.dialects.anthropic_errors import LOST, TYPES, FailureDocument, document
from tokentape.dialects.anthropic_request import MessagesBody, run_fields
from tokentape.runs import RunInfo
from tokentape.server import dropin
from tokentape.server.operations import Answer, Call, Operation, answer
from tokentape.server.problems import problem
from tokentape.server.routes.watch import EVENT_STREAM, RESUME_HEADERS
from tokentape.server.watching import ViewQuery, position_of


def _request_id() -> dict[str, str]:
    """The header by which Anthropic's clients name a request."""
    return {"request-id": f"req_{secrets.token_hex(12)}"}


def refuse(error: Exception) -> Response:
    """An error as Anthropic's API tells it, under the status that it has everywhere else here."""
    headers = _request_id()
    if isinstance(error, TokentapeError):
        plain = problem(error)
        status, message, retryable = error.status, error.message, error.as_dict()["retryable"]
        headers |= {name: plain.headers[name] for name in ("Retry-After", "WWW-Authenticate") if name in plain.headers}
        headers["x-should-retry"] = "true" if retryable else "false"
    else:
        assert isinstance(error, HTTPException)
        status, message = error.status_code, error.detail
        headers |= dict(error.headers or {})
    return _error(TYPES.get(status, "api_error"), message, status, headers)


def _failed(failure: FailureDocument) -> Response:
    # The SDKs repeat a request that failed with such a status unless they are told not to; and it has been tried.
    headers = {**_request_id(), "x-should-retry": "true" if failure.retryable else "false"}
    return _error(failure.type, failure.message, failure.status, headers)


def _error(kind: str, message: str, status: int, headers: dict[str, str]) -> Response:
    return answer(document(kind, message, headers["request-id"]), status=status, headers=headers)


async def _create(call: Call[None, MessagesBody]) -> Response:
    body = call.body
    own = dropin.own_fields(msgspec.structs.asdict(body))
    info, _ = await dropin.begin(call, {**run_fields(body), **own})
    if body.stream:
        return dropin.stream(call, info, anthropic.sse, headers=_request_id(), refuse=refuse)
    return await _whole(call, info)


async def _whole(call: Call[Any, Any], info: RunInfo) -> Response:
    story = await dropin.whole(call.services, info)
    if story.begin is None or story.finish is None:
        return _failed(LOST)
    failure = anthropic.breakage(story.finish)
    if failure is not None:
        return _failed(failure)
    return answer(anthropic.message(story), headers={**dropin.run_headers(call, info), **_request_id()})


async def _find(call: Call[Any, Any]) -> RunInfo:
    return await call.services.runs.find(call.path("id").removeprefix(anthropic.ID_PREFIX))


async def _watch(call: Call[ViewQuery, None]) -> Response:
    info = await _find(call)
    position = position_of(call.request.headers, call.query)
    return dropin.stream(
        call, info, anthropic.sse, position=position, merge=call.query.merge, headers=_request_id(), refuse=refuse
    )


async def _stop(call: Call[None, None]) -> Response:
    info = await call.services.runs.stop((await _find(call)).id)
    return await _whole(call, info)


_MESSAGE: Final = Answer(description="The message", body=dict[str, Any])
_STREAM: Final = Answer(description="The events of the message, as the API streams them", media=EVENT_STREAM)

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/messages",
        handle=_create,
        summary="Create a message, as Anthropic's API does; `stream` says how it is answered",
        body=MessagesBody,
        headers={"Idempotency-Key": "Makes it safe to repeat: the same message comes back."},
        answers={200: (_MESSAGE, _STREAM)},
        refuse=refuse,
    ),
    Operation(
        method="GET",
        path="/v1/messages/{id}/stream",
        handle=_watch,
        summary="Stream a message again, by its id or its run's; without a position from its start",
        query=ViewQuery,
        headers=RESUME_HEADERS,
        answers={200: (_STREAM,), 204: (Answer(description="It has ended, and the client has all of it"),)},
        refuse=refuse,
    ),
    Operation(
        method="POST",
        path="/v1/messages/{id}/stop",
        handle=_stop,
        summary="Stop a message, and get what was said; may be repeated",
        answers={200: (_MESSAGE,)},
        refuse=refuse,
    ),
)
