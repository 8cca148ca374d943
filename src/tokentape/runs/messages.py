"""The turns of a conversation, with an interrupted answer in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def with_partial(messages: Sequence[dict[str, Any]], text: str) -> Sequence[dict[str, Any]]:
    """The turns with an interrupted answer in its place: before the user's last turn, unless it is there already."""
    if not text or any(m.get("role") == "assistant" and m.get("content") == text for m in messages):
        return messages
    at = len(messages)
    while at and messages[at - 1].get("role") == "user":
        at -= 1
    at = max(at, len(messages) - 1)
    return [*messages[:at], {"role": "assistant", "content": text}, *messages[at:]]
