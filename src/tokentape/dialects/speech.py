"""What the small conventions share: they say what the model said, that it is done, and that it failed; nothing else.

They know no reasoning and no tools, and cannot take back what they have shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from tokentape.core.merge import Entry

BROKEN_OFF: Final = "The answer broke off: its server went away."
TAKEN_BACK: Final = "The answer so far is void: it was begun again. Ask for it anew."


class Said(msgspec.Struct, frozen=True, gc=False):
    """What a client has been told: whether anything, whether its last character was a CR, and what has failed."""

    shown: bool = False
    after_cr: bool = False
    failure: str | None = None


NOTHING: Final = Said()


class Line(NamedTuple):
    """One thing to say, and the offset of the event that says it; none for what no client may come back to."""

    offset: int | None
    kind: Literal["piece", "done", "error"]
    text: str
    """The piece, the reason of the end, or what failed."""
    tokens: int | None = None
    """How many there were, with `done`."""


def speak(said: Said, entries: Sequence[Entry]) -> tuple[list[Line], Said, bool]:
    """What these events of one run have to say, what a client has then, and whether that is the last it hears."""
    if not said.shown:
        # Whoever was shown nothing need not hear of what is void.
        resets = [place for place, entry in enumerate(entries) if entry.event.type == "reset"]
        if resets:
            said, entries = NOTHING, entries[resets[-1] + 1 :]
    elif any(entry.event.type == "reset" for entry in entries):
        return [Line(None, "error", TAKEN_BACK)], _anew(entries), True
    lines: list[Line] = []
    for entry in entries:
        said = _take(said, entry, lines)
    return lines, said, False


def _anew(entries: Sequence[Entry]) -> Said:
    return speak(NOTHING, entries)[1]


def _take(said: Said, entry: Entry, lines: list[Line]) -> Said:
    data = entry.event.data
    match entry.event.type:
        case "token" if isinstance(data, str) and data:
            lines.append(Line(entry.offset, "piece", data))
            return msgspec.structs.replace(said, shown=True, after_cr=data.endswith("\r"))
        case "error" if isinstance(data, dict):
            return msgspec.structs.replace(said, failure=str(data.get("message", "")))
        case "done" if isinstance(data, dict):
            lines.extend(_end(said, entry.offset, data))
    return said


def _end(said: Said, offset: int, data: dict[str, Any]) -> Iterator[Line]:
    reason = str(data.get("reason") or "stop")
    if said.failure is not None:
        yield Line(offset, "error", said.failure)
    elif reason == "interrupted":
        yield Line(offset, "error", BROKEN_OFF)
    else:
        usage = data.get("usage")
        tokens = usage.get("output_tokens") if isinstance(usage, dict) else None
        yield Line(offset, "done", reason, tokens)
