"""What the simulated model will say: an answer as a sequence of parts and faults. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from tokentape.providers import prose
from tokentape.providers.base import Generation, Part
from tokentape.providers.simulation import DEFAULT_TOKENS, Fault, Options

_LINE_ENDS: Final = ("\r", "\u0085", "\u2028", "\r\n")
_ODD: Final = 7
"""Every so many tokens one of them is added."""


class Play(NamedTuple):
    """What will be said: parts one token each, the faults in between, and how it ends."""

    steps: Iterator[Part | Fault]
    finish: str
    usage: dict[str, int]


def plan(generation: Generation, options: Options) -> Play:
    """The whole answer; pure. The same options and messages give the same."""
    prompt = _prompt(generation.messages)
    limit = _limit(generation.parameters)
    if options.text is not None:
        pieces = prose.tokens(options.text)[: options.tokens]
        length, said = len(pieces), iter(pieces)
    else:
        length = DEFAULT_TOKENS if options.tokens is None else options.tokens
        said = prose.answer(prompt, seed=options.seed, length=length)
    call = _tool_call(generation, options)
    finish = "tool_calls" if call else "stop"
    if limit is not None and length > limit:
        length, said, call, finish = limit, islice(said, limit), [], "length"
    faults = options.faults()
    parts = _parts(prompt, options, said, call, odd=any(fault.name == "line-ends" for fault in faults))
    spent = options.reasoning + length + max(0, len(call) - 1)
    asked = sum(prose.count(text) for message in generation.messages for text in _texts(message))
    usage = {"input_tokens": asked, "output_tokens": spent}
    if options.reasoning:
        usage["reasoning_tokens"] = options.reasoning
    return Play(_with_faults(parts, faults), finish, usage)


def _parts(prompt: str, options: Options, said: Iterator[str], call: list[Part], *, odd: bool) -> Iterator[Part]:
    for thought in prose.thoughts(prompt, seed=options.seed, length=options.reasoning):
        yield Part("reasoning", thought)
    for number, token in enumerate(said):
        end = _LINE_ENDS[number // _ODD % len(_LINE_ENDS)] if odd and number % _ODD == 0 else ""
        yield Part("token", token + end)
    yield from call


def _with_faults(parts: Iterator[Part], faults: Sequence[Fault]) -> Iterator[Part | Fault]:
    waiting = [fault for fault in faults if fault.name != "status"]
    for number, part in enumerate(parts):
        while waiting and waiting[0].at <= number:
            yield waiting.pop(0)
        yield part
    yield from waiting  # after the last token, or past it


def _tool_call(generation: Generation, options: Options) -> list[Part]:
    if not options.tool:
        return []
    tools = generation.parameters.get("tools") or []
    names = [name for tool in tools if (name := _tool_name(tool))]
    name = options.tool if isinstance(options.tool, str) else next(iter(names), "get_weather")
    schema = next((_schema(tool) for tool in tools if _tool_name(tool) == name), {})
    arguments = msgspec.json.encode(_example(schema) or {"city": "Kyoto (京都)", "days": 3}).decode()
    digest = hashlib.sha256(f"{options.seed}/{name}/{_prompt(generation.messages)}".encode()).hexdigest()
    identity = f"call_{digest[:24]}"
    pieces = prose.tokens(arguments)
    return [
        Part("tool_call_delta", {"id": identity, "name": name, "arguments": pieces[0]}),
        *(Part("tool_call_delta", {"id": identity, "arguments": piece}) for piece in pieces[1:]),
        Part("tool_call", {"id": identity, "name": name, "arguments": arguments}),
    ]


def _tool_name(tool: Any) -> str:
    match tool:
        case {"function": {"name": str(name)}} | {"name": str(name)}:
            return name
        case _:
            return ""


def _schema(tool: Mapping[str, Any]) -> dict[str, Any]:
    return tool.get("function", {}).get("parameters") or tool.get("input_schema") or {}


def _example(schema: Any) -> dict[str, Any]:
    """Arguments that a simple JSON schema allows."""
    values = {"string": "example", "integer": 3, "number": 1.5, "boolean": True, "array": [], "object": {}}
    match schema:
        case {"properties": dict(properties)}:
            return {
                name: field["enum"][0] if field.get("enum") else values.get(str(field.get("type")))
                for name, field in properties.items()
                if isinstance(field, dict)
            }
        case _:
            return {}


def _limit(parameters: Mapping[str, Any]) -> int | None:
    limit = parameters.get("max_tokens", parameters.get("max_completion_tokens"))
    return limit if isinstance(limit, int) and limit >= 0 else None


def _prompt(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the user said last."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return " ".join(_texts(message))
    return ""


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    return [part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]
