"""The story of a run in the numbers of OpenAI's Responses: each event that a client may see has one, for good.

Laws (tests/dialects/test_openai_responses.py):
- numbers belong to what was recorded, so they are the same for everybody, on every instance, however it was merged:
  a delta of so many events bears the number of the last of them;
- after a `reset` they go on: a number that a client holds of a void attempt never means a place in the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tokentape.core.merge import Entry
from tokentape.dialects.openai_errors import failure_of
from tokentape.dialects.story import NOTHING, Begin, Close, Finish, Grow, Note, Open, Placed, Reset, Step, Story, tell

BEGIN_EVENTS: Final = 2
"""`response.created`, `response.in_progress`."""
OPEN_EVENTS: Final = {"text": 2, "reasoning": 2, "tool": 1}
"""`output_item.added`; with a text, `content_part.added`."""
CLOSE_EVENTS: Final = {"text": 3, "reasoning": 3, "tool": 2}
"""The end of the text, with a text that of its part, and that of the item."""
FAILURE_EVENTS: Final = 2
"""`response.failed`, `error`."""


class Told(NamedTuple):
    """The story so far, the number that comes next, and what is known of its end."""

    story: Story = NOTHING
    number: int = 0
    filtered: bool = False
    """Whether its end is a content filter's."""
    cut: tuple[int, ...] = ()
    """Numbers of the blocks that were open when it ended."""


NOTHING_TOLD: Final = Told()


class Numbered(NamedTuple):
    """A step with the number of its first event; for a piece of text that of its only one."""

    number: int
    step: Step
    cut: bool = False
    """Whether this closes a block that was open when the run ended."""


def take(told: Told, entries: Sequence[Entry]) -> tuple[list[Numbered], Told]:
    """The steps that these events add, also those that a reset among them made void, and what is told after them."""
    steps: list[Numbered] = []
    for part in _attempts(entries):
        placed, story = tell(told.story, part)
        told = _number(told, placed, story, steps)
    return steps, told


def _attempts(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """The events of each attempt apart: together, what is void would not be told, and so not be counted."""
    begin = 0
    for place, entry in enumerate(entries):
        if entry.event.type == "reset" and place > begin:
            yield entries[begin:place]
            begin = place
    yield entries[begin:]


def _number(told: Told, placed: Sequence[Placed], story: Story, steps: list[Numbered]) -> Told:
    number, filtered, cut = told.number, told.filtered, told.cut
    ending = next((item.offset for item in placed if isinstance(item.step, Finish)), None)
    for offset, step, _ in placed:
        count = _count(step)
        was_cut = isinstance(step, Close) and offset == ending
        if isinstance(step, Close) and was_cut:
            cut = (*cut, step.block.number)
        if isinstance(step, Reset):
            filtered, cut = False, ()
        filtered = filtered or _is_filtered(step)
        steps.append(Numbered(number + count - 1 if isinstance(step, Grow) else number, step, was_cut))
        number += count
    return Told(story, number, filtered, cut)


def _count(step: Step) -> int:
    match step:
        case Begin():
            return BEGIN_EVENTS
        case Open(block):
            return OPEN_EVENTS[block.kind]
        case Grow(_, _, merged):
            return merged
        case Close(block):
            return CLOSE_EVENTS[block.kind]
        case Reset():
            return FAILURE_EVENTS
        case Finish():
            return FAILURE_EVENTS if failure_of(step) is not None else 1
        case _:
            return 0


def _is_filtered(step: Step) -> bool:
    if not isinstance(step, Note) or step.event.type != "metadata" or not isinstance(step.event.data, dict):
        return False
    return step.event.data.get("finish_reason") in ("content_filter", "refusal")
