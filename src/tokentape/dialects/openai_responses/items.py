"""Input items as the turns of a conversation, and as they are listed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tokentape.core.errors import BadRequest

_PREFIXES: Final = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
_ROLES: Final = frozenset({"user", "assistant", "system", "developer"})


def listed(given: str | Sequence[dict[str, Any]], run: str) -> list[dict[str, Any]]:
    """Input as items, each with an id, as a client gets them back."""
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return [_listed(item, run, place) for place, item in enumerate(items)]


def _listed(item: dict[str, Any], run: str, place: int) -> dict[str, Any]:
    kind = item.get("type") or "message"
    identity = item.get("id") or f"{_PREFIXES.get(kind, 'item')}_{run}_in{place}"
    listed = {**item, "id": identity, "type": kind}
    if kind == "message":
        part = "output_text" if item.get("role") == "assistant" else "input_text"
        content = item.get("content")
        listed["content"] = [{"type": part, "text": content}] if isinstance(content, str) else content
    if kind != "reasoning":
        listed.setdefault("status", "completed")
    return listed


def messages_of(items: str | Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items as messages of Chat Completions, which is what runs know; raises `BadRequest` with the place at fault.

    Calls of functions become part of the assistant's turn before them.
    """
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    messages: list[dict[str, Any]] = []
    for place, item in enumerate(items):
        match item.get("type") or "message":
            case "message":
                messages.append(_message(item, place))
            case "function_call":
                _add_call(messages, item, place)
            case "function_call_output":
                output = item.get("output")
                content = _parts(output, f"input[{place}].output") if isinstance(output, list) else output
                messages.append({"role": "tool", "tool_call_id": _text(item, "call_id", place), "content": content})
            case "reasoning":
                pass  # it was for its own turn
            case other:
                raise BadRequest(
                    f"`input[{place}]` is of the type {str(other)[:40]!r}. Runs know messages, calls of functions, and "
                    "what these gave back.",
                    path=f"input[{place}].type",
                )
    return messages


def _message(item: dict[str, Any], place: int) -> dict[str, Any]:
    role, content = item.get("role"), item.get("content")
    if not isinstance(role, str) or role not in _ROLES:
        raise BadRequest(f"`input[{place}].role` is one of {', '.join(sorted(_ROLES))}.", path=f"input[{place}].role")
    if isinstance(content, list):
        content = _parts(content, f"input[{place}].content")
        if role == "assistant" and all(part["type"] == "text" for part in content):
            content = "".join(part["text"] for part in content)
    elif not isinstance(content, str):
        raise BadRequest(f"`input[{place}].content` is text or a list of parts.", path=f"input[{place}].content")
    return {"role": role, "content": content}


def _add_call(messages: list[dict[str, Any]], item: dict[str, Any], place: int) -> None:
    function = {"name": _text(item, "name", place), "arguments": _text(item, "arguments", place)}
    call = {"id": _text(item, "call_id", place), "type": "function", "function": function}
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", []).append(call)


def _text(item: dict[str, Any], name: str, place: int) -> str:
    value = item.get(name)
    if isinstance(value, str):
        return value
    raise BadRequest(f"`input[{place}].{name}` is text.", path=f"input[{place}].{name}")


def _parts(parts: Sequence[Any], where: str) -> list[dict[str, Any]]:
    return [_part(part, f"{where}[{place}]") for place, part in enumerate(parts)]


def _part(part: Any, where: str) -> dict[str, Any]:
    match part:
        case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "refusal", "refusal": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "input_image", "image_url": str(url)}:
            detail = {"detail": part["detail"]} if part.get("detail") else {}
            return {"type": "image_url", "image_url": {"url": url, **detail}}
        case {"type": "input_file", "file_data": str(data)}:
            named = {"filename": part["filename"]} if part.get("filename") else {}
            return {"type": "file", "file": {"file_data": data, **named}}
        case {"type": "input_audio", "input_audio": dict(audio)}:
            return {"type": "input_audio", "input_audio": audio}
        case _:
            raise BadRequest(
                f"`{where}` is not a part that can be passed on: text, an image by its URL (which may hold its data), "
                "or a file with its data.",
                path=where,
            )
