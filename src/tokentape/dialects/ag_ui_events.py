"""How AG-UI 1.0 spells the steps of a story. Its schema: https://ag-ui.com/spec/1.0/schema.json."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tokentape.core.events import Event
from tokentape.dialects.story import Begin, Block, Close, Failure, Finish, Grow, Note, Open, Reset, Result, Step

VERSION: Final = "1.0"
INTERRUPTED: Final = "interrupted"
TAKEN_BACK: Final = "reset"
"""Codes of a RUN_ERROR that no `error` event stands behind."""

_json: Final = msgspec.json.Encoder()
_PART: Final = re.compile(r"(-[0-9]+|-result-.*)?", re.ASCII | re.DOTALL)
"""What the id of a message has beyond the run's."""
_USAGE: Final = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "reasoning_tokens": "reasoningTokens",
    "cached_input_tokens": "cachedInputTokens",
}


class Names(NamedTuple):
    """What the client calls its conversation, and this run of it; empty for the run's own id."""

    thread: str = ""
    run: str = ""


NO_NAMES: Final = Names()


def spell(step: Step, begin: Begin, blocks: Sequence[Block], names: Names) -> Iterator[str]:
    """The events that say a step of a run, in JSON. `blocks` are the story's, those before the step's own at least.

    A `Failure` is said with the `Finish` that follows it, by `ending`: RUN_ERROR is the last that a client may hear.
    """
    match step:
        case Begin():
            yield _event("RUN_STARTED", **_run(begin, names), protocolVersion=VERSION, timestamp=begin.at)
        case Open(block):
            yield from opened(block, begin, blocks)
        case Grow(block, piece, _):
            if piece:
                yield _grown(block, piece, begin, blocks)
        case Close(block):
            yield from _closed(block, begin, blocks)
        case Result():
            yield _event(
                "TOOL_CALL_RESULT",
                messageId=result_id(begin, step),
                toolCallId=step.call,
                content=result_text(step),
                role="tool",
            )
        case Note(event):
            yield _custom(event)
        case Reset(reason):
            why = f" ({reason})" if reason else ""
            message = f"The answer so far is void: it was begun again{why}. Ask for it anew."
            yield _event("RUN_ERROR", message=message, code=TAKEN_BACK)
        case Failure() | Finish():
            pass


def opened(block: Block, begin: Begin, blocks: Sequence[Block]) -> Iterator[str]:
    """What opens a block."""
    match block.kind:
        case "text":
            yield _event("TEXT_MESSAGE_START", messageId=message_id(block, begin, blocks), role="assistant")
        case "reasoning":
            identity = message_id(block, begin, blocks)
            yield _event("REASONING_START", messageId=identity)
            yield _event("REASONING_MESSAGE_START", messageId=identity, role="reasoning")
        case "tool":
            yield _event(
                "TOOL_CALL_START",
                toolCallId=block.id,
                toolCallName=block.name,
                parentMessageId=parent_id(block, begin, blocks),
            )


def _grown(block: Block, piece: str, begin: Begin, blocks: Sequence[Block]) -> str:
    match block.kind:
        case "text":
            return _event("TEXT_MESSAGE_CONTENT", messageId=message_id(block, begin, blocks), delta=piece)
        case "reasoning":
            return _event("REASONING_MESSAGE_CONTENT", messageId=message_id(block, begin, blocks), delta=piece)
        case "tool":
            return _event("TOOL_CALL_ARGS", toolCallId=block.id, delta=piece)


def _closed(block: Block, begin: Begin, blocks: Sequence[Block]) -> Iterator[str]:
    match block.kind:
        case "text":
            yield _event("TEXT_MESSAGE_END", messageId=message_id(block, begin, blocks))
        case "reasoning":
            identity = message_id(block, begin, blocks)
            yield _event("REASONING_MESSAGE_END", messageId=identity)
            yield _event("REASONING_END", messageId=identity)
        case "tool":
            yield _event("TOOL_CALL_END", toolCallId=block.id)


def started(begin: Begin, names: Names) -> str:
    """What opens a run."""
    [said] = spell(begin, begin, (), names)
    return said


def snapshot(messages: Sequence[Any]) -> str:
    """The whole conversation, which replaces what the client has of it."""
    return _event("MESSAGES_SNAPSHOT", messages=messages)


def pending(finish: Finish, answered: Collection[str]) -> list[Block]:
    """The calls that a run leaves to its client. `answered` are the calls that have their results."""
    if finish.reason != "tool_calls":
        return []
    return [block for block in finish.blocks if block.kind == "tool" and block.id not in answered]


def handed_over(calls: Sequence[Block]) -> Iterator[str]:
    """What makes TanStack AI execute the client's own tools; to others it is an event that they do not know."""
    for call in calls:
        value = {"toolCallId": call.id, "toolName": call.name, "input": _input(call.text)}
        yield _event("CUSTOM", name="tool-input-available", value=value)


def ending(finish: Finish, begin: Begin, names: Names, calls: Sequence[Block]) -> str:
    """The one event that ends a run. An answer that was stopped is `cancelled`; one that broke off is an error.

    `calls` are left to the client.
    """
    usage = _usage(finish.usage, begin.model)
    if finish.failure is not None:
        return _event("RUN_ERROR", message=finish.failure.message, code=finish.failure.code, **usage)
    if finish.reason == "interrupted":
        return _event("RUN_ERROR", message="The answer broke off: its server went away.", code=INTERRUPTED, **usage)
    outcome: dict[str, Any] = {"type": "cancelled" if finish.reason == "stopped" else "success"}
    if calls:
        outcome["pendingToolCallIds"] = [call.id for call in calls]
    return _event(
        "RUN_FINISHED",
        **_run(begin, names),
        outcome=outcome,
        metadata={"tokentape": {"reason": finish.reason}},
        **usage,
    )


# Ids


def message_id(block: Block, begin: Begin, blocks: Sequence[Block]) -> str:
    """The message that a text or reasoning block is. What the model says first is *the* message of the run."""
    if block.kind == "reasoning" or block.number != _first_said(blocks, block.number):
        return f"{begin.message_id}-{block.number}"
    return begin.message_id


def parent_id(block: Block, begin: Begin, blocks: Sequence[Block]) -> str:
    """The message that a tool call belongs to: the text before it, or else one that it opens."""
    for number in range(block.number - 1, -1, -1):
        if blocks[number].kind == "text":
            return message_id(blocks[number], begin, blocks)
    return begin.message_id


def result_id(begin: Begin, result: Result) -> str:
    """The message that the result of a tool is."""
    return f"{begin.message_id}-result-{result.call}"


def is_of(begin: Begin, identity: Any) -> bool:
    """Whether a message with this id is of the run."""
    if not isinstance(identity, str) or not identity.startswith(begin.message_id):
        return False
    return _PART.fullmatch(identity.removeprefix(begin.message_id)) is not None


def result_text(result: Result) -> str:
    """What a tool gave back, as text."""
    return result.output if isinstance(result.output, str) else _json.encode(result.output).decode()


def _first_said(blocks: Sequence[Block], at_most: int) -> int:
    return next((block.number for block in blocks if block.kind != "reasoning"), at_most)


# JSON


def _run(begin: Begin, names: Names) -> dict[str, str]:
    return {"threadId": names.thread or begin.run, "runId": names.run or begin.run}


def _usage(counts: dict[str, Any], model: str) -> dict[str, Any]:
    known = {name: counts[ours] for ours, name in _USAGE.items() if isinstance(counts.get(ours), int)}
    if not known:
        return {}
    if "inputTokens" in known and "outputTokens" in known:
        known["totalTokens"] = known["inputTokens"] + known["outputTokens"]
    return {"usage": [{"model": model, **known}]}


def _input(arguments: str) -> Any:
    try:
        return msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments  # models write what they like


def _custom(event: Event) -> str:
    return _event("CUSTOM", name=event.type, value=event.data)


def _event(kind: str, **members: Any) -> str:
    return _json.encode({"type": kind, **members}).decode()
