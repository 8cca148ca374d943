"""Reads the body of `POST /v1/messages` as fields of a run: OpenAI-style turns, tools and parameters.

Pure, and the way back of `providers/anthropic_request`: what goes in here and out there says the same (a test holds
them to it). Blocks that have no form but Anthropic's own pass through as they are. Left out are what only costs or
saves (`cache_control`, `service_tier`), and thinking without a signature, which is ours and proves nothing.

Source: Anthropic's API reference, "Create a Message".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from tokentape.core.errors import BadRequest

REFUSED: Final[Mapping[str, str]] = {
    "top_k": "only `temperature` and `top_p` are passed on",
    "container": "tools that run at the provider keep nothing here",
    "mcp_servers": "tokentape connects to no MCP server; give their tools as `tools`",
}
"""Fields that would change the answer, and that cannot be kept, with why."""
_EFFORTS: Final = ((4096, "low"), (16_384, "medium"))
"""Budgets of thinking, in tokens, below which an effort is meant."""


class MessagesBody(msgspec.Struct, frozen=True, kw_only=True):
    """A request. Fields that are not here are passed over, as the API's own SDKs grow new ones."""

    model: str
    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    system: str | list[dict[str, Any]] | None = None
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    top_k: Any = None
    container: Any = None
    mcp_servers: Any = None
    tokentape: dict[str, Any] | None = None
    """What tokentape can do beyond the API (see `server/dropin.own_fields`)."""


def run_fields(body: MessagesBody) -> dict[str, Any]:
    """The fields of a run; raises `BadRequest` that names the field at fault."""
    for name, why in REFUSED.items():
        if getattr(body, name):
            raise BadRequest(f"{name}: not supported here: {why}.", path=name)
    system = _system(body.system)
    fields: dict[str, Any] = {
        "model": body.model,
        "messages": [*system, *_turns(body.messages)],
        "max_tokens": body.max_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "stop": body.stop_sequences or None,
        "user": _user(body.metadata),
        **_tools(body),
        **_output(body),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _user(metadata: Mapping[str, Any] | None) -> str | None:
    user = (metadata or {}).get("user_id")
    return user if isinstance(user, str) else None


def _tools(body: MessagesBody) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if body.tools:
        fields["tools"] = [_tool(tool) for tool in body.tools]
    match body.tool_choice:
        case None:
            return fields
        case {"type": "auto" | "none" as kind}:
            fields["tool_choice"] = kind
        case {"type": "any"}:
            fields["tool_choice"] = "required"
        case {"type": "tool", "name": str(name)}:
            fields["tool_choice"] = {"type": "function", "function": {"name": name}}
        case _:
            raise BadRequest(
                "tool_choice: its type is 'auto', 'any', 'none', or 'tool' with a name.", path="tool_choice"
            )
    if body.tool_choice.get("disable_parallel_tool_use"):
        fields["parallel_tool_calls"] = False
    return fields


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type", "custom") != "custom":
        return tool  # one that runs at Anthropic
    function = {"name": tool.get("name", ""), "parameters": tool.get("input_schema") or {}}
    if description := tool.get("description"):
        function["description"] = description
    return {"type": "function", "function": function}


def _output(body: MessagesBody) -> dict[str, Any]:
    """How much to think, and in which form to answer."""
    config = body.output_config or {}
    fields: dict[str, Any] = {}
    effort = config.get("effort")
    if isinstance(effort, str):
        fields["reasoning_effort"] = effort
    else:
        match body.thinking:
            case {"type": "enabled", "budget_tokens": int(budget)}:
                fields["reasoning_effort"] = next((word for limit, word in _EFFORTS if budget < limit), "high")
            case {"type": "adaptive"}:
                fields["reasoning_effort"] = "medium"
            case _:
                pass
    match config.get("format"):
        case {"type": "json_schema", "schema": dict(schema)}:
            fields["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        case _:
            pass
    return fields


# Turns


def _system(system: str | Sequence[dict[str, Any]] | None) -> list[dict[str, Any]]:
    if not system:
        return []
    if isinstance(system, str):
        return [{"role": "system", "content": system}]
    texts = [str(block.get("text", "")) for block in system]
    return [{"role": "system", "content": "\n\n".join(filter(None, texts))}]


def _turns(messages: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for place, turn in enumerate(messages):
        role, content = turn.get("role"), turn.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise BadRequest(f"messages.{place}.content: text, or a list of blocks.", path=f"messages.{place}.content")
        match role:
            case "user":
                yield from _user_turns(blocks)
            case "assistant":
                yield _assistant_turn(blocks)
            case "system":
                yield from _system(blocks)
            case _:
                raise BadRequest(f"messages.{place}.role: 'user' or 'assistant'.", path=f"messages.{place}.role")


def _user_turns(blocks: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What the user says, and each result of a tool as a turn of its own, in their order."""
    parts: list[dict[str, Any]] = []
    for block in blocks:
        if block.get("type") != "tool_result":
            parts += _parts(block)
            continue
        if parts:
            yield {"role": "user", "content": _content(parts)}
            parts = []
        yield {"role": "tool", "tool_call_id": str(block.get("tool_use_id", "")), "content": _result(block)}
    if parts:
        yield {"role": "user", "content": _content(parts)}


def _result(block: Mapping[str, Any]) -> str | list[dict[str, Any]]:
    content = block.get("content") or ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadRequest("messages: the content of a tool_result is text, or a list of blocks.", path="messages")
    return _content([part for inner in content for part in _parts(inner)])


def _assistant_turn(blocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for block in blocks:
        match block:
            case {"type": "tool_use"}:
                calls.append(_call(block))
            case {"type": "thinking"} if not block.get("signature"):
                pass
            case _:
                parts += _parts(block)
    turn: dict[str, Any] = {"role": "assistant", "content": _content(parts)}
    return {**turn, "tool_calls": calls} if calls else turn


def _call(block: Mapping[str, Any]) -> dict[str, Any]:
    arguments = msgspec.json.encode(block.get("input") or {}).decode()
    function = {"name": str(block.get("name", "")), "arguments": arguments}
    return {"id": str(block.get("id", "")), "type": "function", "function": function}


def _content(parts: Sequence[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Text where it is only that: the form that every provider takes."""
    match parts:
        case []:
            return ""
        case [{"type": "text", "text": str(text)}]:
            return text
        case _:
            return list(parts)


def _parts(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One block as parts of a message."""
    match block:
        case {"type": "text", "text": str(text)}:
            return [{"type": "text", "text": text}]
        case {"type": "image", "source": {"type": "base64" | "url"} as source}:
            return [{"type": "image_url", "image_url": {"url": _url(source)}}]
        case {"type": "document", "source": {"type": "base64" | "url"} as source}:
            file = {"file_data": _url(source)}
            return [{"type": "file", "file": {**file, "filename": block["title"]} if block.get("title") else file}]
        case {"type": "document", "source": {"type": "file", "file_id": str(file_id)}}:
            return [{"type": "file", "file": {"file_id": file_id}}]
        case {"type": "document", "source": {"type": "text", "data": str(text)}}:
            title = block.get("title")
            return [{"type": "text", "text": f"{title}\n\n{text}" if title else text}]
        case {"type": "document", "source": {"type": "content", "content": list(inner)}}:
            return [part for piece in inner for part in _parts(piece)]
        case {"type": str()}:
            return [{name: value for name, value in block.items() if name != "cache_control"}]
        case _:
            raise BadRequest("messages: a block of content has no `type`.", path="messages")


def _url(source: Mapping[str, Any]) -> str:
    if source["type"] == "url":
        return str(source.get("url", ""))
    return f"data:{source.get('media_type', '')};base64,{source.get('data', '')}"
