"""OpenAI's Chat Completions, and its list of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from starlette.responses import Response

from tokentape.core.errors import ModelNotFound
from tokentape.core.merge import Entry
from tokentape.dialects import openai_chat
from tokentape.dialects.openai_chat.completion import completion
from tokentape.dialects.openai_chat.request import ChatRequest, run_fields
from tokentape.dialects.openai_chat.stream import ChatSse
from tokentape.dialects.openai_chat.telling import ID_PREFIX, NOTHING_TOLD, Told, take
from tokentape.dialects.openai_errors import failure_of
from tokentape.hub.channels import RUN_STREAMS
from tokentape.runs import RunInfo
from tokentape.server.dropin import stream
from tokentape.server.openai import failed, headers_of, refuse, run_id, start, whole
from tokentape.server.operations import Answer, Call, NoQuery, Operation, answer
from tokentape.server.retelling import look
from tokentape.server.routes.system import OpenAIModel, openai_model
from tokentape.server.routes.watch import EVENT_STREAM

COMPLETION: Final = Answer(description="The chat completion", body=dict[str, Any])
CHUNKS: Final = Answer(description="Its chunks", media=EVENT_STREAM)


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where to go on."""

    position: Annotated[
        str | None, msgspec.Meta(description="start, or the cursor up to which the client has everything")
    ] = msgspec.field(name="from", default=None)
    include_usage: bool = False


async def _create(call: Call[NoQuery, ChatRequest]) -> Response:
    request = call.body
    info, _, digest = await start(call, run_fields(request), request.tokentape)
    if request.stream:
        return _streamed(call, info, _dialect(usage=request.include_usage))
    told = await whole(call, info, digest, _fold, NOTHING_TOLD)
    return _answered(call, info, told)


async def _get(call: Call[NoQuery, None]) -> Response:
    info = await _find(call)
    return _answered(call, info, await _look(call, info))


async def _watch(call: Call[StreamQuery, None]) -> Response:
    return _streamed(call, await _find(call), _dialect(usage=call.query.include_usage), position=call.query.position)


async def _stop(call: Call[NoQuery, None]) -> Response:
    info = await call.services.runs.stop(run_id(call.path("id"), ID_PREFIX))
    return answer(_object(info, await _look(call, info)), headers=headers_of(call, info))


async def _find(call: Call[Any, Any]) -> RunInfo:
    return await call.services.runs.find(run_id(call.path("id"), ID_PREFIX))


async def _look(call: Call[Any, Any], info: RunInfo) -> Told:
    return await look(call.services, call.services.runs.locate(RUN_STREAMS + info.id), _fold, NOTHING_TOLD)


def _fold(told: Told, entries: Sequence[Entry]) -> Told:
    return take(told, entries)[1]


def _dialect(*, usage: bool) -> ChatSse:
    return openai_chat.sse_with_usage if usage else openai_chat.sse


def _streamed(call: Call[Any, Any], info: RunInfo, dialect: ChatSse, *, position: str | None = None) -> Response:
    return stream(call, info, dialect, position=position, headers={"x-request-id": info.id}, refuse=refuse)


def _answered(call: Call[Any, Any], info: RunInfo, told: Told) -> Response:
    headers = headers_of(call, info)
    failure = failure_of(told.story.finish) if told.story.finish is not None else None
    return failed(failure, headers) if failure is not None else answer(_object(info, told), headers=headers)


def _object(info: RunInfo, told: Told) -> dict[str, Any]:
    return completion(told, run=info.id, model=info.model, at=info.created_at)


async def _model(call: Call[NoQuery, None]) -> Response:
    name = call.path("model")
    for model in call.services.catalog.models():
        if model.name == name:
            return answer(openai_model(model))
    # A provider that is open serves models that nobody listed.
    found = call.services.catalog.resolve(name)[0] if name else None
    if found is None:
        raise ModelNotFound(f"There is no model {name!r:.80}.")
    return answer(OpenAIModel(id=found.name, owned_by=found.provider.name))


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/chat/completions",
        handle=_create,
        summary="OpenAI: create a chat completion, which is a run",
        body=ChatRequest,
        headers={"Idempotency-Key": "Makes it safe to repeat: the same run comes back."},
        answers={200: (COMPLETION, CHUNKS)},
        refuse=refuse,
    ),
    Operation(
        method="GET",
        path="/v1/chat/completions/{id}",
        handle=_get,
        summary="OpenAI: look at a chat completion, as far as it has come",
        answers={200: (COMPLETION,)},
        refuse=refuse,
    ),
    Operation(
        method="GET",
        path="/v1/chat/completions/{id}/stream",
        handle=_watch,
        summary="Watch a chat completion, or any run, in chunks: from its start, or from a cursor",
        query=StreamQuery,
        answers={200: (CHUNKS,), 204: (Answer(description="It has ended, and the client has all of it"),)},
        refuse=refuse,
    ),
    Operation(
        method="POST",
        path="/v1/chat/completions/{id}/stop",
        handle=_stop,
        summary="Stop a chat completion; answers when it has ended, and may be repeated",
        answers={200: (COMPLETION,)},
        refuse=refuse,
    ),
    Operation(
        method="GET",
        path="/v1/models/{model:path}",
        handle=_model,
        summary="OpenAI: look at a model",
        answers={200: (Answer(description="The model", body=OpenAIModel),)},
        refuse=refuse,
    ),
)
