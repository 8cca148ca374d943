"""The routes that a chat of the Vercel AI SDK uses (`useChat`): send, resume, stop."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from tokentape.core.errors import BadRequest, TokentapeError
from tokentape.dialects import ai_sdk
from tokentape.dialects.ai_sdk import AiSdkSse
from tokentape.server import dropin
from tokentape.server.chats import active, fields_of, stop
from tokentape.server.operations import Answer, Call, Operation, answer
from tokentape.server.problems import HTTP_CODES, problem
from tokentape.server.routes.watch import EVENT_STREAM

PATHS: Final = ("/api/chat", "/api/{version}/chat")
"""With the version in its path an address can be extended, as older builds do without looking for a query."""


class VersionQuery(msgspec.Struct, frozen=True):
    """For which version of the SDK; a client says nothing of it by itself. Without it `ai_sdk.version` counts."""

    version: Literal["5", "6", "7"] | None = None


class Stopped(msgspec.Struct, frozen=True):
    """The runs that were stopped by this."""

    runs: list[str]


def refuse(error: Exception) -> Response:
    """An error as text, which the SDK shows as it is; its code is in a header."""
    if isinstance(error, TokentapeError):
        kept = ("Retry-After", "WWW-Authenticate")
        plain = problem(error)
        headers = {name: plain.headers[name] for name in kept if name in plain.headers}
        code, message, status = str(error.as_dict()["code"]), error.message, error.status
    else:
        assert isinstance(error, HTTPException)
        headers, message, status = dict(error.headers or {}), error.detail, error.status_code
        code = HTTP_CODES.get(status, "http_error")
    return PlainTextResponse(message, status_code=status, headers={**headers, "Tokentape-Error": code})


def _dialect(call: Call[VersionQuery, Any]) -> AiSdkSse:
    named = call.request.path_params.get("version")
    version = call.query.version or call.services.config.ai_sdk.version
    if named is not None:
        version = named.removeprefix("v")
    dialect = ai_sdk.BY_VERSION.get(version)
    if dialect is None:
        raise BadRequest(f"There is no version {named!r:.20} of the AI SDK here. There are: v5, v6, v7.")
    return dialect


async def _send(call: Call[VersionQuery, dict[str, Any]]) -> Response:
    dialect = _dialect(call)
    info, _ = await dropin.begin(call, fields_of(call.body))
    return dropin.stream(call, info, dialect, refuse=refuse)


async def _resume(call: Call[VersionQuery, None]) -> Response:
    dialect = _dialect(call)
    info = await active(call.services, call.path("chat"))
    if info is None:
        return Response(status_code=204)
    # From its start, in few large pieces: the SDK builds the message anew.
    return dropin.stream(call, info, dialect, refuse=refuse)


async def _stop(call: Call[VersionQuery, None]) -> Response:
    return answer(Stopped(await stop(call.services, call.path("chat"))))


_STREAM: Final = Answer(description="A UI message stream", media=EVENT_STREAM)
_IDLE: Final = Answer(description="Nothing is being answered")


def _operations(path: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="POST",
            path=path,
            handle=_send,
            summary="Answer a chat of the AI SDK, as a UI message stream",
            query=VersionQuery,
            body=dict[str, Any],
            headers={"Idempotency-Key": "Makes it safe to repeat: the same answer comes back."},
            answers={200: (_STREAM,)},
            refuse=refuse,
        ),
        Operation(
            method="GET",
            path=f"{path}/{{chat:path}}/stream",
            handle=_resume,
            summary="Resume the answer to a chat, from its start",
            query=VersionQuery,
            answers={200: (_STREAM,), 204: (_IDLE,)},
            refuse=refuse,
        ),
        Operation(
            method="POST",
            path=f"{path}/{{chat:path}}/stop",
            handle=_stop,
            summary="Stop what answers a chat; may be repeated",
            query=VersionQuery,
            answers={200: (Answer(description="What was stopped", body=Stopped),)},
            refuse=refuse,
        ),
    )


OPERATIONS: Final = tuple(operation for path in PATHS for operation in _operations(path))
