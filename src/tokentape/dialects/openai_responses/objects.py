"""The response object, and the items of its output."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokentape.dialects.openai_errors import failure_of
from tokentape.dialects.openai_responses.telling import Told
from tokentape.dialects.story import Block, Failure, Finish

ID_PREFIX: Final = "resp_"
_ITEM_PREFIXES: Final = {"text": "msg", "reasoning": "rs", "tool": "fc"}


class Echo(msgspec.Struct, frozen=True, kw_only=True):
    """What a response repeats of its request."""

    background: bool = False
    instructions: str | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] = {}
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    reasoning: dict[str, Any] = msgspec.field(default_factory=lambda: {"effort": None, "summary": None})
    store: bool = True
    temperature: float | None = None
    text: dict[str, Any] = msgspec.field(default_factory=lambda: {"format": {"type": "text"}})
    tool_choice: str | dict[str, Any] = "auto"
    tools: list[dict[str, Any]] = []
    top_p: float | None = None
    truncation: str = "disabled"
    user: str | None = None


NO_ECHO: Final = Echo()
"""Of a run that was started in another way."""


def item_id(run: str, block: Block) -> str:
    return f"{_ITEM_PREFIXES[block.kind]}_{run}_{block.number}"


def part_of(block: Block, text: str) -> dict[str, Any]:
    """The one content part of a text or of reasoning."""
    if block.kind == "reasoning":
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def item_of(run: str, block: Block, status: str, *, whole: bool = True) -> dict[str, Any]:
    """An item of the output; without its content when it only begins."""
    made: dict[str, Any] = {"id": item_id(run, block), "status": status}
    text = block.text if whole else ""
    match block.kind:
        case "text":
            content = [part_of(block, text)] if whole else []
            return {**made, "type": "message", "role": "assistant", "content": content}
        case "reasoning":
            content = [part_of(block, text)] if whole else []
            return {**made, "type": "reasoning", "summary": [], "content": content}
        case "tool":
            return {**made, "type": "function_call", "call_id": block.id, "name": block.name, "arguments": text}


def output_of(run: str, told: Told) -> list[dict[str, Any]]:
    """All items, as far as they have come."""
    return [item_of(run, block, _item_status(told, block)) for block in told.story.blocks]


def _item_status(told: Told, block: Block) -> str:
    if block.number in told.story.open:
        return "in_progress"
    complete = told.story.finish is None or block.number not in told.cut
    return "completed" if complete else cut_status(told.story.finish)


def cut_status(finish: Finish | None) -> str:
    """The status of an item that was open when its run ended: a text is, also when all was said."""
    return "completed" if finish is not None and finish.reason in ("stop", "tool_calls") else "incomplete"


def status_of(told: Told, *, queued: bool) -> str:
    """The status of a response."""
    finish = told.story.finish
    if finish is None:
        return "queued" if queued and told.story.begin is None else "in_progress"
    if failure_of(finish) is not None:
        return "failed"
    if finish.reason == "stopped":
        return "cancelled"
    return "incomplete" if finish.reason == "length" or told.filtered else "completed"


def response_object(
    told: Told, echo: Echo, *, run: str, model: str, at: int, queued: bool = False, failure: Failure | None = None
) -> dict[str, Any]:
    """The object. `model` and `at` (milliseconds) are for a run that has not said yet how it began.

    `failure` goes before what the run itself came to.
    """
    begin, finish = told.story.begin, told.story.finish
    failure = failure or (failure_of(finish) if finish is not None else None)
    status = "failed" if failure is not None else status_of(told, queued=queued)
    return {
        "id": ID_PREFIX + run,
        "object": "response",
        "created_at": (begin.at if begin is not None else at) // 1000,
        "status": status,
        "error": None if failure is None else {"code": failure.code, "message": failure.message},
        "incomplete_details": _incomplete(told) if status == "incomplete" else None,
        "model": (begin.model if begin is not None else "") or model,
        "output": output_of(run, told),
        "usage": None if finish is None else usage_object(finish.usage),
        **msgspec.structs.asdict(echo),
    }


def _incomplete(told: Told) -> dict[str, Any]:
    return {"reason": "content_filter" if told.filtered else "max_output_tokens"}


def usage_object(usage: dict[str, Any]) -> dict[str, Any]:
    """Token counts in the names of this API."""
    asked, said = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    cached = {"cached_tokens": _count(usage, "cached_input_tokens"), "cache_write_tokens": 0}
    return {
        "input_tokens": asked,
        "input_tokens_details": cached,
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": _count(usage, "reasoning_tokens")},
        "total_tokens": asked + said,
    }


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) else 0
