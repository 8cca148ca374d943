"""The Durable Streams protocol's wire forms: offsets, cursors, and what a read is made of (docs/durable-streams.md).

It is not a view of events, but of records: messages of JSON, or pieces of text or of bytes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from tokentape.core.cursor import MAX_OFFSET
from tokentape.core.errors import InvalidCursor

Form = Literal["json", "text", "binary"]
"""What the records of a stream are: messages, or pieces of text that can stand in SSE, or of anything else."""

START: Final = "-1"
NOW: Final = "now"
WIDTH: Final = 16
"""Digits of a position: enough for `MAX_OFFSET`, and always as many, so that offsets sort as text."""
ZERO_EPOCH: Final = "0" * WIDTH
"""With the position 0 it stands for the beginning of any stream, as clients of other servers spell it. An epoch of
ours is shorter."""

INTERVAL: Final = 20
"""Seconds between two cursors (protocol, section 10.1)."""
FIRST_INTERVAL: Final = 1_728_432_000
"""2024-10-09T00:00:00Z, in seconds since the Unix epoch (likewise)."""
CURSOR_STEP: Final = 180
"""Intervals in an hour, which is the longest step that the protocol allows."""

_OFFSET: Final = re.compile(r"([0-9]{16})_([0-9a-z]{1,16})", re.ASCII)
_json: Final = msgspec.json.Encoder()


class Position(NamedTuple):
    """A place in the life of a stream that has this epoch; in any life when `epoch` is `ZERO_EPOCH`."""

    offset: int
    epoch: str

    @classmethod
    def parse(cls, text: str) -> Position:
        """Reads an offset of the wire; raises `InvalidCursor`, without echoing more than 40 characters."""
        match = _OFFSET.fullmatch(text)
        if match is None or int(match[1]) > MAX_OFFSET or (match[2] == ZERO_EPOCH and int(match[1])):
            raise InvalidCursor(
                f"{text[:40]!r} is not an offset. Use a Stream-Next-Offset of this server, {START!r} or {NOW!r}."
            )
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.offset:016d}_{self.epoch}"


def form_of(content_type: str) -> Form:
    """How records of this type are shown."""
    kind = essence(content_type)
    if kind == "application/json":
        return "json"
    return "text" if kind.startswith("text/") else "binary"


def essence(content_type: str) -> str:
    """A content type without its parameters, for comparing."""
    return content_type.partition(";")[0].strip().lower()


def cursor(now: float, asked: str | None) -> str:
    """The cursor of a live answer, which is beyond the one that the client gave, if it gave one.

    `now` is in seconds since the Unix epoch. Clients that would get one again that they have are sent on to the next
    full hour of cursors: not each to another, so that they go on sharing what is encoded, and what a proxy keeps.
    """
    current = int(now - FIRST_INTERVAL) // INTERVAL
    if asked is not None and len(asked) <= WIDTH and asked.isascii() and asked.isdigit() and int(asked) >= current:
        current = (int(asked) // CURSOR_STEP + 1) * CURSOR_STEP
    return str(current)


def body(form: Form, records: Sequence[bytes]) -> bytes:
    """Records as the body of an answer: one array of all messages, or the pieces joined."""
    if form == "json":
        return b"[" + b",".join(records) + b"]"
    return b"".join(records)


def data_event(form: Form, records: Sequence[bytes]) -> bytes:
    """Records as one SSE event. Base64 carries what is neither text nor JSON."""
    content = body(form, records)
    if form == "json":
        # Messages are stored without line ends.
        return b"event: data\ndata:%b\n\n" % content
    if form == "binary":
        return b"event: data\ndata:%b\n\n" % b64encode(content)
    # A client takes one space after the colon for ours, so a line that begins with one gets another.
    lines = re.split(rb"\r\n|\r|\n", content)
    return b"event: data\n%b\n" % b"".join(
        [b"data:%b%b\n" % (b" " if line.startswith(b" ") else b"", line) for line in lines]
    )


def control_event(next_offset: Position, cursor: str, *, current: bool, closed: bool) -> bytes:
    """The event that follows all data; without a cursor when the stream has ended, for nobody comes back then."""
    control: dict[str, object] = {"streamNextOffset": str(next_offset)}
    if not closed:
        control["streamCursor"] = cursor
    if current or closed:
        control["upToDate"] = True
    if closed:
        control["streamClosed"] = True
    return b"event: control\ndata:%b\n\n" % _json.encode(control)
