"""What `POST /v1/responses` asks for, as the fields of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tokentape.core.errors import BadRequest
from tokentape.dialects.openai_responses.objects import Echo


class ResponsesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body, as OpenAI describes it; `tokentape` is ours.

    SDKs send more than is listed here: what only tunes OpenAI's own service is passed over.
    """

    input: str | list[dict[str, Any]] = ""
    model: str = ""
    stream: bool | None = None
    background: bool | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    reasoning: dict[str, Any] | None = None
    store: bool | None = None
    temperature: float | None = None
    text: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    truncation: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    conversation: Any = None
    prompt: Any = None
    tokentape: dict[str, Any] | None = None


def echo_of(request: ResponsesRequest) -> Echo:
    """What the response repeats."""
    given = {name: value for name in Echo.__struct_fields__ if (value := getattr(request, name)) is not None}
    if "text" in given and "format" not in given["text"]:
        given["text"] = {**given["text"], "format": {"type": "text"}}
    if "reasoning" in given:
        given["reasoning"] = {"effort": None, "summary": None, **given["reasoning"]}
    return Echo(**given)


def run_fields(request: ResponsesRequest, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Fields of `RunRequest`; `messages` are those of the conversation before, with this request's own.

    Raises `BadRequest` for what would mean another answer, and cannot be had.
    """
    for name, why in _unknown(request):
        raise BadRequest(f"`{name}`: {why}", path=name)
    told = [{"role": "system", "content": request.instructions}] if request.instructions else []
    fields = {
        "model": request.model,
        "messages": [*told, *messages],
        "max_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "parallel_tool_calls": request.parallel_tool_calls,
        "metadata": request.metadata,
        "user": request.user or request.safety_identifier,
        "reasoning_effort": (request.reasoning or {}).get("effort"),
        "tools": [_tool(tool, place) for place, tool in enumerate(request.tools)] if request.tools else None,
        "tool_choice": _tool_choice(request.tool_choice),
        "response_format": _format(request.text),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _unknown(request: ResponsesRequest) -> Iterator[tuple[str, str]]:
    if request.conversation is not None:
        yield "conversation", "conversations are not kept here. Use `previous_response_id`."
    if request.prompt is not None:
        yield "prompt", "prompt templates are not kept here. Send the text as `input`."
    if request.top_logprobs:
        yield "top_logprobs", "log probabilities are not recorded. Leave it out."
    if request.background and request.store is False:
        yield "store", "a response in the background has to be kept. Leave out `store`, or `background`."


def _tool(tool: dict[str, Any], place: int) -> dict[str, Any]:
    if tool.get("type") != "function" or not isinstance(tool.get("name"), str):
        raise BadRequest(
            f"`tools[{place}]` is of the type {str(tool.get('type'))[:40]!r}. Runs know tools of the type 'function', "
            "which the caller executes.",
            path=f"tools[{place}].type",
        )
    members = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: tool[name] for name in members if tool.get(name) is not None}}


def _tool_choice(choice: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    if not isinstance(choice, dict):
        return choice
    match choice:
        case {"type": "function", "name": str(name)}:
            return {"type": "function", "function": {"name": name}}
        case {"type": "allowed_tools", "tools": list(tools)}:
            allowed = [_tool_choice(tool) for tool in tools if isinstance(tool, dict)]
            inner = {"mode": choice.get("mode", "auto"), "tools": allowed}
            return {"type": "allowed_tools", "allowed_tools": inner}
        case _:
            raise BadRequest("`tool_choice` is 'auto', 'none', 'required', or a function.", path="tool_choice")


def _format(text: dict[str, Any] | None) -> dict[str, Any] | None:
    match (text or {}).get("format"):
        case None | {"type": "text"}:
            return None
        case {"type": "json_schema"} as asked:
            members = ("name", "description", "schema", "strict")
            return {"type": "json_schema", "json_schema": {m: asked[m] for m in members if asked.get(m) is not None}}
        case {"type": "json_object"}:
            return {"type": "json_object"}
        case _:
            raise BadRequest("`text.format` is of the type 'text', 'json_object' or 'json_schema'.", path="text.format")
