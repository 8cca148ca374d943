"""A run as one chat completion object."""

from __future__ import annotations

from typing import Any

from tokentape.dialects.openai_chat.telling import FINGERPRINT, ID_PREFIX, Told, finish_reason, usage_object
from tokentape.dialects.story import Block


def completion(told: Told, *, run: str, model: str, at: int) -> dict[str, Any]:
    """The object, of a run that goes on with what it has said so far and no reason.

    `run`, `model` and `at` (milliseconds) are for one that has not said yet how it began.
    """
    begin, finish = told.story.begin, told.story.finish
    reason = finish_reason(finish, filtered=told.filtered) if finish is not None else None
    return {
        "id": ID_PREFIX + run,
        "object": "chat.completion",
        "created": (begin.at if begin is not None else at) // 1000,
        "model": (begin.model if begin is not None else "") or model,
        "system_fingerprint": FINGERPRINT,
        "choices": [
            {"index": 0, "message": _message(told.story.blocks), "logprobs": None, "finish_reason": reason},
        ],
        "usage": usage_object(finish.usage if finish is not None else {}),
    }


def _message(blocks: tuple[Block, ...]) -> dict[str, Any]:
    text = "".join(block.text for block in blocks if block.kind == "text")
    reasoning = "".join(block.text for block in blocks if block.kind == "reasoning")
    calls = [
        {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": block.text}}
        for block in blocks
        if block.kind == "tool"
    ]
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else ""), "refusal": None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    return message
