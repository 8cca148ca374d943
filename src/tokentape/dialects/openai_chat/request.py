"""What `POST /v1/chat/completions` asks for, as the fields of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tokentape.core.errors import BadRequest

_SAME: Final = (
    "temperature", "top_p", "stop", "seed", "tools", "tool_choice", "parallel_tool_calls", "response_format",
    "reasoning_effort", "presence_penalty", "frequency_penalty", "logit_bias", "metadata",
)  # fmt: skip
"""Fields that a run has under the same name."""


class StreamOptions(msgspec.Struct, frozen=True):
    """How to stream."""

    include_usage: bool | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a chat completion, as OpenAI describes it; `tokentape` is ours.

    SDKs send more than is listed here: what only tunes OpenAI's own service is passed over.
    """

    messages: list[dict[str, Any]]
    model: str = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
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
    fields = {name: value for name in _SAME if (value := getattr(request, name)) is not None}
    limit = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
    if limit is not None:
        fields["max_tokens"] = limit
    user = request.user or request.safety_identifier
    if user:
        fields["user"] = user
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
