"""Writes a generation as a request of Anthropic's Messages API: OpenAI-style turns and parameters in its words.

Pure. What cannot be said raises `Unsendable`; parameters that Anthropic does not have (seed, penalties, logit_bias)
are left out. Blocks that are written in Anthropic's own form pass through as they are.

Source: Anthropic's API reference, "Create a Message".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tokentape.providers.base import Generation

DEFAULT_MAX_TOKENS: Final = 8192
"""The API demands a number; every model since Claude 3.5 takes this one."""
MAX_TEMPERATURE: Final = 1.0
"""OpenAI's scale ends at 2."""

_NATIVE: Final = frozenset(
    {"top_p", "top_k", "thinking", "output_config", "metadata", "stop_sequences", "service_tier", "cache_control"}
)
_NATIVE_BLOCKS: Final = frozenset(
    {"image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "search_result"}
)
_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=-]+)*;base64,", re.ASCII)

Block = dict[str, Any]


class Unsendable(Exception):
    """What the caller wrote has no form in this API; the text says what."""


def to_request(generation: Generation) -> dict[str, Any]:
    """The body of `POST /v1/messages`; raises `Unsendable`."""
    try:
        return _request(generation)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Unsendable("its messages or parameters are not in OpenAI's form") from None


def _request(generation: Generation) -> dict[str, Any]:
    system, turns = _turns(generation.messages)
    request: dict[str, Any] = {"model": generation.model, "max_tokens": DEFAULT_MAX_TOKENS, "messages": turns}
    if system:
        request["system"] = system
    return {**request, **_parameters(generation.parameters), "stream": True}


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {name: value for name, value in given.items() if name in _NATIVE}
    if (limit := given.get("max_completion_tokens", given.get("max_tokens"))) is not None:
        request["max_tokens"] = limit
    if (temperature := given.get("temperature")) is not None:
        request["temperature"] = min(temperature, MAX_TEMPERATURE)
    if stop := given.get("stop"):
        request["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if user := given.get("user"):
        request.setdefault("metadata", {"user_id": user})
    if tools := given.get("tools"):
        request["tools"] = [_tool(tool) for tool in tools]
        if choice := _tool_choice(given.get("tool_choice"), parallel=given.get("parallel_tool_calls", True)):
            request["tool_choice"] = choice
    output = {**_effort(given.get("reasoning_effort")), **_format(given.get("response_format"))}
    if "effort" in output:
        request.setdefault("thinking", {"type": "adaptive", "display": "summarized"})
    if output:
        request["output_config"] = {**output, **request.get("output_config", {})}
    return request


def _effort(effort: Any) -> dict[str, Any]:
    return {"effort": _EFFORTS[effort]} if effort in _EFFORTS else {}


def _format(response_format: Any) -> dict[str, Any]:
    if not isinstance(response_format, dict) or response_format.get("type") != "json_schema":
        return {}
    schema = response_format.get("json_schema", {}).get("schema")
    return {"format": {"type": "json_schema", "schema": schema}} if schema else {}


def _tool(tool: Any) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise Unsendable("a tool is not an object")
    if tool.get("type") != "function":
        return tool  # one of Anthropic's own
    function = tool.get("function", {})
    written = {
        "name": function.get("name", ""),
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }
    if description := function.get("description"):
        written["description"] = description
    return written


def _tool_choice(choice: Any, *, parallel: Any) -> dict[str, Any]:
    match choice:
        case "none":
            return {"type": "none"}
        case "required":
            written = {"type": "any"}
        case {"type": "function", "function": {"name": str(name)}}:
            written = {"type": "tool", "name": name}
        case {"type": str()}:
            written = dict(choice)
        case _:
            written = {} if parallel else {"type": "auto"}
    return written if parallel else {**written, "disable_parallel_tool_use": True}


# Turns


def _turns(messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The system prompt, and the turns of user and assistant by turns: neighbours of one role are joined."""
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = message.get("role")
        match role:
            case "system" | "developer":
                system += [block["text"] for block in _content(message.get("content")) if block["type"] == "text"]
                continue
            case "user":
                blocks = _content(message.get("content"))
            case "assistant":
                blocks = [*_content(message.get("content")), *map(_call, message.get("tool_calls") or ())]
            case "tool":
                role, blocks = "user", [_result(message)]
            case _:
                raise Unsendable(f"Anthropic knows no role {role!r:.40}")
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return "\n\n".join(system), turns


def _content(content: Any) -> list[Block]:
    # Anthropic refuses empty blocks of text.
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, Iterable):
        raise Unsendable("the content of a message is neither text nor a list of parts")
    return [block for part in content if (block := _part(part)) is not None]


def _part(part: Any) -> Block | None:
    match part:
        case {"type": "text" | "input_text", "text": str(text)}:
            return {**part, "type": "text"} if text else None
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            return {"type": "image", "source": _source(url)}
        case {"type": "file", "file": {"file_id": str(file_id)}}:
            return {"type": "document", "source": {"type": "file", "file_id": file_id}}
        case {"type": "file", "file": {"file_data": str(data), **rest}}:
            document = {"type": "document", "source": _source(data)}
            return {**document, "title": rest["filename"]} if rest.get("filename") else document
        case {"type": str(kind)} if kind in _NATIVE_BLOCKS:
            return dict(part)
        case {"type": str(kind)}:
            raise Unsendable(f"Anthropic takes no part of the type {kind!r:.40}")
        case _:
            raise Unsendable("a part of a message has no type")


def _source(url: str) -> dict[str, Any]:
    match = _DATA_URL.match(url)
    if match is not None:
        return {"type": "base64", "media_type": match[1], "data": url[match.end() :]}
    if url.startswith(("https://", "http://")):
        return {"type": "url", "url": url}
    raise Unsendable("an image or file must be a data URL with base64, or an http(s) URL")


def _call(call: Mapping[str, Any]) -> Block:
    function = call.get("function") or {}
    try:
        arguments = msgspec.json.decode(function.get("arguments") or "{}")
    except (msgspec.DecodeError, TypeError):
        arguments = None
    if not isinstance(arguments, dict):
        raise Unsendable(f"the arguments of the call {call.get('id')!r:.60} are not a JSON object")
    return {"type": "tool_use", "id": call.get("id", ""), "name": function.get("name", ""), "input": arguments}


def _result(message: Mapping[str, Any]) -> Block:
    content = _content(message.get("content"))
    result: Block = {"type": "tool_result", "tool_use_id": message.get("tool_call_id", "")}
    return {**result, "content": content} if content else result
