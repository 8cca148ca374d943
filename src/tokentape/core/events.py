"""Events: the typed JSON records of an `application/json` stream, and the rules for their names.

The stored form of an event is its wire form: one JSON object whose first member is `type`. It is
encoded once, when it is recorded, and everybody who watches shares those bytes.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from tokentape.core.errors import InvalidEvent, InvalidName

MERGEABLE: Final = frozenset({"token", "reasoning", "tool_call_delta"})
"""Types whose adjacent events concatenate (see `tokentape.core.merge`)."""

RUN_TYPES: Final = frozenset(
    {
        "start",
        "token",
        "reasoning",
        "tool_call",
        "tool_call_delta",
        "tool_result",
        "status",
        "metadata",
        "message",
        "reset",
        "usage",
        "error",
        "done",
    }
)
"""The types of design §2. `done` is the one terminal event of a run."""

DONE_REASONS: Final = frozenset({"stop", "length", "tool_calls", "stopped", "error", "interrupted"})

_OWN_TYPE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}(:[A-Za-z0-9_.-]{1,64}){1,3}", re.ASCII)
_STREAM_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~:@+-]*(/[A-Za-z0-9_][A-Za-z0-9_.~:@+-]*)*", re.ASCII)
MAX_STREAM_NAME: Final = 200
SYSTEM_PREFIX: Final = "$"
"""Streams whose name starts so are the server's own; no caller can name them."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One event. `at` is milliseconds since the Unix epoch, when it was recorded; `id` the publisher's own id.

    `data` is what JSON can say, so no event can be part of a reference cycle, and the garbage collector passes it over.
    """

    type: str
    run: str | None = None
    data: Any
    id: str | None = None
    at: int = 0


MAX_DEPTH: Final = 128
"""Levels of arrays and objects in a record. The interpreter's limit on recursion counts the frames of the caller
too, so without a bound of our own one place could record what another, deeper in its stack, cannot read."""

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Event)
_BRACKETS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]')
"""Strings are matched to be passed over."""


def encode_event(event: Event) -> bytes:
    """The stored and wire form: compact JSON, `type` first; raises `InvalidEvent` for data that has none."""
    try:
        record = _encoder.encode(event)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEvent(f"The data of this {event.type[:80]!r} event is not JSON: {error}") from None
    if not isinstance(event.data, str) and _is_too_deep(record):
        raise InvalidEvent(f"This {event.type[:80]!r} event is nested over {MAX_DEPTH} levels deep: flatten its data.")
    return record


def decode_event(record: bytes) -> Event:
    """Reads a stored record; raises `InvalidEvent` for bytes that are not an event."""
    try:
        return _decoder.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(f"This record is not an event: {error}") from None


def _is_too_deep(record: bytes) -> bool:
    if record.count(b"[") + record.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for mark in _BRACKETS.finditer(record):
        match mark[0]:
            case b"[" | b"{":
                depth += 1
                if depth > MAX_DEPTH:
                    return True
            case b"]" | b"}":
                depth -= 1
    return False


def check_type(name: str) -> str:
    """Returns a type that a publisher may use: one of the standard types, or the application's own `name:space`."""
    if name in RUN_TYPES or _OWN_TYPE.fullmatch(name):
        return name
    raise InvalidEvent(
        f"{name[:80]!r} is not an event type. Use one of {', '.join(sorted(RUN_TYPES))}, "
        "or a name of your own with a colon, such as 'chat:typing'."
    )


def check_stream_name(name: str) -> str:
    """Returns a valid stream name: segments of letters, digits and `_.~:@+-`, parted by `/`, 200 characters at most."""
    if len(name) <= MAX_STREAM_NAME and _STREAM_NAME.fullmatch(name):
        return name
    raise InvalidName(
        f"{name[:80]!r} is not a stream name. Use letters, digits and '_.~:@+-' in segments parted by '/', "
        f"each starting with a letter, digit or '_', {MAX_STREAM_NAME} characters at most."
    )
