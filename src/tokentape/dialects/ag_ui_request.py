"""What an AG-UI client asks for, as the fields of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from tokentape.core.errors import BadRequest
from tokentape.core.sampling import PARAMETERS
from tokentape.dialects.ag_ui_events import Names

KEY: Final = "ag-ui:"
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_FORWARDED: Final = ("model", *(name for name in PARAMETERS if name != "tools"))
"""What `forwardedProps` may set, in OpenAI's names or the same in camel case."""


class RunAgentInput(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a request: which run of which conversation, and what was said before. Other members are ignored."""

    thread_id: Id
    run_id: Id
    messages: list[dict[str, Any]] = []
    tools: list[dict[str, Any]] | None = None
    context: list[dict[str, Any]] | None = None
    forwarded_props: Any = None
    resume: list[dict[str, Any]] | None = None
    state: Any = None
    tokentape: dict[str, Any] | None = None

    @property
    def names(self) -> Names:
        return Names(self.thread_id, self.run_id)

    @property
    def props(self) -> dict[str, Any]:
        """What the application passes on."""
        return self.forwarded_props if isinstance(self.forwarded_props, dict) else {}


def key_of(names: Names) -> str:
    """The idempotency key of a run: the client's name for it, within its conversation."""
    return KEY + msgspec.json.encode(list(names)).decode()


def ending_of(run: str) -> str:
    """How the key of a run ends, whichever conversation it is of."""
    return "," + msgspec.json.encode(run).decode() + "]"


def beginning_of(thread: str) -> str:
    """How the keys of a conversation's runs begin."""
    return f"{KEY}[{msgspec.json.encode(thread).decode()},"


def names_of(key: str | None) -> Names | None:
    """The client's names for a run that was started so; None for any other."""
    if key is None or not key.startswith(KEY):
        return None
    try:
        return Names(*msgspec.json.decode(key[len(KEY) :], type=tuple[str, str]))
    except msgspec.DecodeError:
        return None  # a key that somebody made up


def run_fields(body: RunAgentInput) -> dict[str, Any]:
    """Fields of a run; raises `BadRequest` for what cannot be honoured."""
    if body.resume:
        raise BadRequest("`resume` answers interrupts, and no run here ends with one: leave it out.", path="resume")
    fields: dict[str, Any] = {"messages": [*_context(body.context or ()), *_messages(body.messages)]}
    if body.tools:
        fields["tools"] = [_tool(tool) for tool in body.tools]
    for name in _FORWARDED:
        value = body.props.get(name, body.props.get(_camel(name)))
        if value is not None:
            fields[name] = value
    return fields


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _context(context: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """What the application says of the surroundings; models take it as instructions."""
    lines = [f"{entry.get('description', '')}: {entry.get('value', '')}" for entry in context]
    if lines:
        yield {"role": "system", "content": "\n".join(lines)}


def _messages(messages: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        match message.get("role"):
            case "developer" | "system" as role:
                yield {"role": role, "content": message.get("content") or ""}
            case "user":
                yield {"role": "user", "content": _content(message.get("content"), where)}
            case "assistant":
                yield from _assistant(message)
            case "tool":
                yield {
                    "role": "tool",
                    "tool_call_id": message.get("toolCallId", ""),
                    "content": _content(message.get("content"), where),
                }
            case "reasoning" | "activity":
                pass  # for the user's eyes: providers do not take them back
            case role:
                raise BadRequest(f"`{where}.role`: {role!r:.40} is not a role of AG-UI 1.0.", path=f"{where}.role")


def _assistant(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    said: dict[str, Any] = {"role": "assistant", "content": message.get("content") or None}
    calls = message.get("toolCalls")
    if isinstance(calls, list) and calls:
        said["tool_calls"] = [
            {"id": call.get("id", ""), "type": "function", "function": call.get("function") or {}} for call in calls
        ]
    elif said["content"] is None:
        return  # a turn that was stopped before it began
    yield said


def _content(content: Any, where: str) -> Any:
    if not isinstance(content, list):
        return content or ""
    return [_part(part, f"{where}.content[{place}]") for place, part in enumerate(content)]


def _part(part: Any, where: str) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "image", "source": {"type": "url" | "data"} as source}:
            return {"type": "image_url", "image_url": {"url": _url(source)}}
        case {"type": "audio", "source": {"type": "data", "value": str(data), "mimeType": str(kind)}}:
            return {"type": "input_audio", "input_audio": {"data": data, "format": kind.partition("/")[2]}}
        case {"type": "document", "source": {"type": "file", "value": str(identity)}}:
            return {"type": "file", "file": {"file_id": identity}}
        case {"type": "document", "source": {"type": "url" | "data"} as source}:
            return {"type": "file", "file": {"file_data": _url(source)}}
        case {"type": str(kind)}:
            raise BadRequest(f"`{where}`: a part of the type {kind!r:.40} with this source cannot be sent.", path=where)
        case _:
            raise BadRequest(f"`{where}` is not a part of a message.", path=where)


def _url(source: Mapping[str, Any]) -> str:
    value = str(source.get("value", ""))
    return value if source["type"] == "url" else f"data:{source.get('mimeType', '')};base64,{value}"


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": tool.get("name", ""), "description": tool.get("description") or ""}
    if tool.get("parameters"):
        function["parameters"] = tool["parameters"]
    return {"type": "function", "function": function}
