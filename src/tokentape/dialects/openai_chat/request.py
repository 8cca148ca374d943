"""What `POST /v1/chat/completions` asks for, as the fields of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tokentape.core.errors import BadRequest
from tokentape.core.sampling import Sampling


class StreamOptions(msgspec.Struct, frozen=True):
    """How to stream."""

    include_usage: bool | None = None


class ChatRequest(Sampling, frozen=True, kw_only=True):
    """The body of a chat completion, as OpenAI describes it; `tokentape` is ours.

    SDKs send more than is listed here: what only tunes OpenAI's own service is passed over.
    """

    messages: list[dict[str, Any]]
    model: str = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = None
    safety_identifier: str | None = None
    metadata: dict[str, Any] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[str] | None = None
    audio: Any = None
    functions: list[Any] | None = None
    function_call: Any = None
    web_search_options: Any = None
    tokentape: dict[str, Any] | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)


def run_fields(request: ChatRequest) -> dict[str, Any]:
    """Fields of `RunRequest`; raises `BadRequest` for what would mean another answer, and cannot be had."""
    for name, why in _unknown(request):
        raise BadRequest(f"`{name}`: {why}", path=name)
    fields = request.parameters()
    if request.metadata is not None:
        fields["metadata"] = request.metadata
    if request.max_completion_tokens is not None:
        fields["max_tokens"] = request.max_completion_tokens
    if not request.user and request.safety_identifier:
        fields["user"] = request.safety_identifier
    return {**fields, "model": request.model, "messages": request.messages}


def _unknown(request: ChatRequest) -> Iterator[tuple[str, str]]:
    if request.n not in (None, 1):
        yield "n", f"a run gives one answer, not {request.n}. Ask once for each."
    if request.logprobs:
        yield "logprobs", "log probabilities are not recorded. Leave it out."
    if request.top_logprobs:
        yield "top_logprobs", "log probabilities are not recorded. Leave it out."
    if request.audio is not None or any(kind != "text" for kind in request.modalities or ()):
        yield "modalities", "answers are text. Leave out `modalities` and `audio`."
    if request.functions or request.function_call is not None:
        yield "functions", "this was replaced by `tools`. Use `tools` and `tool_choice`."
    if request.web_search_options is not None:
        yield "web_search_options", "this server searches nothing. Leave it out, or give the model a tool."
