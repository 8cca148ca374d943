"""AG-UI 1.0, which TanStack AI reads as well: events of a run as `data:` lines, each with an id of its own before it.

The rules are the client's (`@ag-ui/client`): RUN_STARTED comes first; messages, reasoning and tool calls are opened
before they grow, and closed before RUN_FINISHED; nothing follows RUN_ERROR; there is no `[DONE]`.

One event of the tape may be several here, and a client may be cut between them. So the last of them has the cursor as
its id, and one before it the cursor of the event before, with a number: `k3f9-16.2` is "everything up to 16, and the
first two of what comes next". What is said before the piece of an event does not depend on how pieces were merged, so
that is one place for everybody. TanStack AI comes back with such an id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.merge import Entry
from tokentape.dialects.ag_ui_events import NO_NAMES, Names, ending, handed_over, pending, spell
from tokentape.dialects.base import Told
from tokentape.dialects.foreign import ForeignSse
from tokentape.dialects.story import NOTHING, Begin, Finish, Open, Reset, Result, Story, tell

_PLACE: Final = re.compile(r"(.+)\.([0-9]{1,4})", re.ASCII)


class Answered(msgspec.Struct, frozen=True, gc=False):
    """What a tool gave back, after so many blocks."""

    after: int
    result: Result


class Scene(msgspec.Struct, frozen=True, gc=False):
    """Where a client is: what it was told, up to the event at this offset (None: nothing)."""

    story: Story = NOTHING
    at: int | None = None
    answered: tuple[Answered, ...] = ()


BEGINNING: Final = Scene()


@dataclass(frozen=True)
class AgUi(ForeignSse):
    """AG-UI 1.0 over SSE, for whoever uses these names.

    A client that goes on in the middle of an event has everything up to the offset `after`, and so many events more.
    """

    names: Names = NO_NAMES
    after: int | None = None
    more: int = 0

    name = "ag-ui"
    heeds_retry = True

    def resumed(self, position: str) -> tuple[AgUi, str]:
        """The dialect and the cursor with which to go on from an id; raises `InvalidCursor`."""
        match = _PLACE.fullmatch(position)
        if match is None:
            return self, position
        cursor = Cursor.parse(match[1])
        return replace(self, after=cursor.offset, more=int(match[2])), str(cursor)

    def encode(
        self, label: str, epoch: str, entries: Sequence[Entry], state: Scene | None, *, last: int | None = None
    ) -> Told:
        """See `tokentape.dialects.base.Dialect`. The format closes with RUN_FINISHED or RUN_ERROR, and nothing else."""
        scene = state or BEGINNING
        placed, story = tell(scene.story, entries)
        begin = story.begin
        if begin is None or not entries:
            return Told(b"", scene)
        before = dict(zip((entry.offset for entry in entries), _places(scene.at, entries), strict=True))
        skip = self.more if self.after is not None and self.after == scene.at else 0
        # Whoever was cut within an event that is void now was told something, too.
        void = skip and placed and before[placed[0].offset] != self.after
        reset = Reset("") if void else next((item.step for item in placed if isinstance(item.step, Reset)), None)
        if reset is not None:
            # It ends what this client was told, so there is no place after it.
            events = spell(reset, begin, (), self.names)
            content = "".join(f"data: {event}\n\n" for event in events).encode()
            return Told(content, Scene(story, entries[-1].offset), over=True)
        prefix = f"id: {epoch}-"
        opened, answered = len(scene.story.blocks), list(scene.answered)
        written: list[str] = []
        said: list[str] = []
        for offset, step, whole in placed:
            if isinstance(step, Open):
                opened += 1
            elif isinstance(step, Result):
                answered.append(Answered(opened, step))
            said += spell(step, begin, story.blocks, self.names)
            if isinstance(step, Finish):
                said += finale(step, begin, self.names, answered)
            if whole:
                written += _numbered(prefix, before[offset], offset, said)[skip:]
                said, skip = [], 0
        return Told("".join(written).encode(), Scene(story, entries[-1].offset, tuple(answered)))


def finale(finish: Finish, begin: Begin, names: Names, answered: Sequence[Answered]) -> list[str]:
    """What a run ends with."""
    calls = pending(finish, {item.result.call for item in answered})
    return [*handed_over(calls), ending(finish, begin, names, calls)]


def _places(at: int | None, entries: Sequence[Entry]) -> list[int | None]:
    """Of each entry, where a client is that has all those before it."""
    return [at, *(entry.offset for entry in entries[:-1])]


def _numbered(prefix: str, before: int | None, offset: int, said: Sequence[str]) -> list[str]:
    """The blocks of one event: each `data:` line with its id right before it."""
    if not said:
        return []
    *first, last = said
    # Without an event before it a place within one has no name: whoever is cut there hears it again.
    blocks = [
        f"data: {event}\n\n" if before is None else f"{prefix}{before}.{number}\ndata: {event}\n\n"
        for number, event in enumerate(first, 1)
    ]
    return [*blocks, f"{prefix}{offset}\ndata: {last}\n\n"]


sse: Final = AgUi()
