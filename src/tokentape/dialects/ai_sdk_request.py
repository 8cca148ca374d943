"""Reads what a chat of the AI SDK sends: UI messages with parts, as fields of a run.

Pure. The turns of an assistant are taken apart where its steps are, as the SDK's own `convertToModelMessages` does:
what was said and called, then the results. A call without a result is left out, since no model takes one: it was
stopped, or nobody has carried it out. So are reasoning (models want their own signatures with it), sources and `data-*`
parts.

Source: the SDK's `UIMessage` and `HttpChatTransport`, versions 5 to 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from tokentape.core.errors import BadRequest

CHAT: Final = "chat"
"""In the `metadata` of a run: the id of the chat that it answers. So every instance finds it."""
MAX_ID: Final = 200
PARAMETERS: Final = (
    "model", "temperature", "top_p", "max_tokens", "stop", "seed", "tools", "tool_choice", "parallel_tool_calls",
    "response_format", "reasoning_effort", "presence_penalty", "frequency_penalty",
)  # fmt: skip
"""Members of the body that go to the model, in OpenAI's names; a transport's `body` adds them."""
_ANSWERED: Final = frozenset({"output-available", "output-error", "output-denied"})
"""States of a tool's part in which there is something to answer its call with."""
_DENIED: Final = "The user did not allow this call."


def chat_id(body: Mapping[str, Any]) -> str:
    """The chat's id; raises `BadRequest`."""
    chat = body.get("id")
    if not isinstance(chat, str) or not 0 < len(chat) <= MAX_ID:
        raise BadRequest(f"`id` is the id of the chat: text of 1 to {MAX_ID} characters.", path="id")
    return chat


def run_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a run; raises `BadRequest` that names the field at fault."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest(
            "`messages` has all messages of the chat. A transport that sends the last one only "
            "(`prepareSendMessagesRequest`) needs a server that keeps the others.",
            path="messages",
        )
    fields = {name: body[name] for name in PARAMETERS if body.get(name) is not None}
    system = body.get("system")
    turns = [{"role": "system", "content": system}] if isinstance(system, str) and system else []
    for place, message in enumerate(messages):
        turns += _turns(message, place)
    fields["messages"] = turns
    if continued := _continued(body, messages[-1]):
        fields["message_id"] = continued
    return fields


def _continued(body: Mapping[str, Any], last: Mapping[str, Any]) -> str | None:
    """The message of an assistant that goes on, with the results of its calls: the answer is part of it."""
    if body.get("trigger") == "regenerate-message" or last.get("role") != "assistant":
        return None
    known = last.get("id")
    return known if isinstance(known, str) and 0 < len(known) <= MAX_ID else None


def _turns(message: Any, place: int) -> Iterator[dict[str, Any]]:
    path = f"messages[{place}]"
    if not isinstance(message, dict):
        raise BadRequest(f"`{path}` is not a message.", path=path)
    parts = message.get("parts")
    if parts is None and isinstance(message.get("content"), str):
        parts = [{"type": "text", "text": message["content"]}]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise BadRequest(f"`{path}.parts` is a list of parts: {{'type': 'text', 'text': …}} for instance.", path=path)
    match message.get("role"):
        case "system":
            yield {"role": "system", "content": "".join(_texts(parts))}
        case "user":
            content = [spelled for part in parts if (spelled := _user_part(part, path)) is not None]
            yield {"role": "user", "content": _plain(content)}
        case "assistant":
            yield from _assistant(parts)
        case role:
            raise BadRequest(f"`{path}.role` is 'system', 'user' or 'assistant', not {role!r:.40}.", path=path)


def _texts(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    return [text for part in parts if part.get("type") == "text" and isinstance(text := part.get("text"), str)]


def _plain(content: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    match content:
        case []:
            return ""
        case [{"type": "text", "text": str(text)}]:
            return text
        case _:
            return content


def _user_part(part: Mapping[str, Any], path: str) -> dict[str, Any] | None:
    match part:
        case {"type": "text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "file", "mediaType": str(media), "url": str(url)} if url:
            if media.startswith("image/"):
                return {"type": "image_url", "image_url": {"url": url}}
            file = {"file_data": url}
            return {"type": "file", "file": {**file, "filename": part["filename"]} if part.get("filename") else file}
        case {"type": "file"}:
            raise BadRequest(f"`{path}` has a file without `mediaType` and `url`.", path=path)
        case _:
            return None


def _assistant(parts: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    step: list[Mapping[str, Any]] = []
    for part in parts:
        if part.get("type") == "step-start":
            yield from _step(step)
            step = []
        else:
            step.append(part)
    yield from _step(step)


def _step(parts: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    text = "".join(_texts(parts))
    called = [(part, name) for part in parts if (name := _tool(part)) and part.get("state") in _ANSWERED]
    if not text and not called:
        return
    turn: dict[str, Any] = {"role": "assistant", "content": text}
    if called:
        turn["tool_calls"] = [_call(part, name) for part, name in called]
    yield turn
    for part, _ in called:
        yield {"role": "tool", "tool_call_id": str(part.get("toolCallId", "")), "content": _output(part)}


def _tool(part: Mapping[str, Any]) -> str:
    """The name of the tool that a part is a call of; empty for another part."""
    kind = str(part.get("type", ""))
    if kind == "dynamic-tool":
        return str(part.get("toolName", ""))
    return kind.removeprefix("tool-") if kind.startswith("tool-") else ""


def _call(part: Mapping[str, Any], name: str) -> dict[str, Any]:
    given = part.get("input")
    arguments = msgspec.json.encode(given if given is not None else {}).decode()
    function = {"name": name, "arguments": arguments}
    return {"id": str(part.get("toolCallId", "")), "type": "function", "function": function}


def _output(part: Mapping[str, Any]) -> str:
    match part.get("state"):
        case "output-error":
            return str(part.get("errorText", ""))
        case "output-denied":
            approval = part.get("approval")
            reason = approval.get("reason") if isinstance(approval, dict) else None
            return str(reason or _DENIED)
        case _:
            output = part.get("output")
            return output if isinstance(output, str) else msgspec.json.encode(output).decode()
