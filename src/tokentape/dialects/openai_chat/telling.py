"""What both forms of a chat completion, streamed and whole, are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tokentape.core.merge import Entry
from tokentape.dialects.story import NOTHING, Finish, Note, Placed, Reset, Story, tell

ID_PREFIX: Final = "chatcmpl-"
FINGERPRINT: Final = "fp_tokentape"
"""Clients expect some; which weights a model runs with is not for us to know."""


class Told(NamedTuple):
    """The story so far, and whether its end is a content filter's."""

    story: Story = NOTHING
    filtered: bool = False


NOTHING_TOLD: Final = Told()


def take(told: Told, entries: Sequence[Entry]) -> tuple[list[Placed], Told]:
    """The steps that these events add, and what is told after them."""
    placed, story = tell(told.story, entries)
    filtered = told.filtered
    for _, step, _ in placed:
        filtered = not isinstance(step, Reset) and (filtered or is_filtered(step))
    return placed, Told(story, filtered)


def is_filtered(step: object) -> bool:
    """Whether this says that a provider cut its answer off for what is in it."""
    if not isinstance(step, Note) or step.event.type != "metadata" or not isinstance(step.event.data, dict):
        return False
    return step.event.data.get("finish_reason") in ("content_filter", "refusal")


def finish_reason(finish: Finish, *, filtered: bool) -> str:
    """The model's reason; an answer that was stopped on request is as complete as it was meant to be."""
    match finish.reason:
        case "length" | "tool_calls":
            return finish.reason
        case _:
            return "content_filter" if filtered else "stop"


def usage_object(usage: dict[str, Any]) -> dict[str, Any]:
    """Token counts in OpenAI's names."""
    asked, said = count(usage, "input_tokens"), count(usage, "output_tokens")
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
        "prompt_tokens_details": {"cached_tokens": count(usage, "cached_input_tokens"), "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": count(usage, "reasoning_tokens"), "audio_tokens": 0},
    }


def count(usage: dict[str, Any], name: str) -> int:
    """A number of tokens; 0 where none is known."""
    value = usage.get(name)
    return value if isinstance(value, int) else 0
