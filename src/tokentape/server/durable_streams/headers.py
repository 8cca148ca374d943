"""What the headers of the protocol say, as values; and the messages of a JSON body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from tokentape.core.cursor import MAX_OFFSET
from tokentape.core.errors import BadRequest, TooLarge
from tokentape.core.events import SYSTEM_PREFIX
from tokentape.stores.base import Producer

CLOSED: Final = "Stream-Closed"
CURSOR: Final = "Stream-Cursor"
ENCODING: Final = "Stream-SSE-Data-Encoding"
EXPIRES_AT: Final = "Stream-Expires-At"
FORKED_FROM: Final = "Stream-Forked-From"
FORK_OFFSET: Final = "Stream-Fork-Offset"
FORK_SUB_OFFSET: Final = "Stream-Fork-Sub-Offset"
NEXT_OFFSET: Final = "Stream-Next-Offset"
SEQUENCE: Final = "Stream-Seq"
TTL: Final = "Stream-TTL"
UP_TO_DATE: Final = "Stream-Up-To-Date"
PRODUCER_ID: Final = "Producer-Id"
PRODUCER_EPOCH: Final = "Producer-Epoch"
PRODUCER_SEQ: Final = "Producer-Seq"
EXPECTED_SEQ: Final = "Producer-Expected-Seq"
RECEIVED_SEQ: Final = "Producer-Received-Seq"

RESPONSE_HEADERS: Final = (
    "ETag", CLOSED, CURSOR, ENCODING, EXPIRES_AT, NEXT_OFFSET, TTL, UP_TO_DATE,
    PRODUCER_EPOCH, PRODUCER_SEQ, EXPECTED_SEQ, RECEIVED_SEQ,
)  # fmt: skip
"""What a web page of an allowed origin may read, besides what other routes tell."""

TRUE: Final = "true"
DEFAULT_TYPE: Final = "application/octet-stream"
MAX_SECONDS: Final = 10**10
"""Of a Stream-TTL: some 300 years, which any clock can add to its time."""
NO_TIME: Final = 0.001
"""Seconds that stand for a Stream-TTL of 0: to a store, 0 is without that bound."""
MAX_MESSAGES: Final = 20_000
"""In one request: what Redis writes in some fifty milliseconds, during which it serves nobody else."""
MAX_PRODUCER_ID: Final = 256
MAX_SEQUENCE: Final = 256

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - the token of RFC 9110
_CONTENT_TYPE: Final = re.compile(rf'{_TOKEN}/{_TOKEN}(\s*;\s*{_TOKEN}=({_TOKEN}|"[^"\\\x00-\x1f\x7f]*"))*', re.ASCII)

Headers = Mapping[str, str]
"""By any spelling of their names."""


def is_closing(headers: Headers) -> bool:
    """Whether the stream is to be closed; any value but `true` is no value."""
    return headers.get(CLOSED, "").lower() == TRUE


def content_type_of(headers: Headers) -> str | None:
    """The type of the body, as it was written; None without one. Raises `BadRequest`."""
    kind = headers.get("content-type", "").strip()
    if not kind:
        return None
    if len(kind) > 200 or not _CONTENT_TYPE.fullmatch(kind):
        raise BadRequest(f"{kind[:80]!r} is not a content type, such as 'application/json'.")
    return kind


class Expiry(NamedTuple):
    """When a stream goes: `ttl` seconds after its last use, or at a moment, in milliseconds since the Unix epoch."""

    ttl: float | None = None
    at: int | None = None


def expiry_of(headers: Headers) -> Expiry:
    """Reads Stream-TTL and Stream-Expires-At; raises `BadRequest`."""
    ttl, moment = headers.get(TTL), headers.get(EXPIRES_AT)
    if ttl is not None and moment is not None:
        raise BadRequest(f"Give {TTL} or {EXPIRES_AT}, not both.")
    if ttl is not None:
        seconds = _number(TTL, ttl)
        if seconds > MAX_SECONDS:
            raise BadRequest(f"{TTL} is {MAX_SECONDS} seconds at most.")
        return Expiry(ttl=float(seconds) or NO_TIME)
    return Expiry(at=_moment(moment)) if moment is not None else Expiry()


def _moment(text: str) -> int:
    if _MOMENT.fullmatch(text):
        try:
            milliseconds = int(datetime.fromisoformat(text.upper()).timestamp() * 1000)
        except (ValueError, OverflowError):
            pass
        else:
            return max(milliseconds, 1)  # to a store, 0 is never
    raise BadRequest(f"{EXPIRES_AT} is a moment such as '2030-01-31T12:00:00Z', not {text[:40]!r}.")


class ForkRequest(NamedTuple):
    """From where a stream is to be forked. `offset` is as it came; None is the end."""

    path: str
    offset: str | None
    sub_offset: int


def fork_of(headers: Headers) -> ForkRequest | None:
    """Reads the headers of a fork; None without one. Raises `BadRequest`."""
    path, offset, sub_offset = headers.get(FORKED_FROM), headers.get(FORK_OFFSET), headers.get(FORK_SUB_OFFSET)
    if path is None:
        if offset is not None or sub_offset is not None:
            raise BadRequest(f"{FORK_OFFSET} and {FORK_SUB_OFFSET} go with {FORKED_FROM}.")
        return None
    pieces = 0 if sub_offset is None else _number(FORK_SUB_OFFSET, sub_offset)
    if pieces and offset is None:
        raise BadRequest(f"{FORK_SUB_OFFSET} counts from {FORK_OFFSET}: give both.")
    return ForkRequest(path, offset, pieces)


def producer_of(headers: Headers) -> Producer | None:
    """Reads the headers of an idempotent producer: all three, or None. Raises `BadRequest`."""
    given = [headers.get(name) for name in (PRODUCER_ID, PRODUCER_EPOCH, PRODUCER_SEQ)]
    name, epoch, seq = given
    if name is None and epoch is None and seq is None:
        return None
    if name is None or epoch is None or seq is None:
        raise BadRequest(f"{PRODUCER_ID}, {PRODUCER_EPOCH} and {PRODUCER_SEQ} come together.")
    if not 0 < len(name) <= MAX_PRODUCER_ID:
        raise BadRequest(f"{PRODUCER_ID} has 1 to {MAX_PRODUCER_ID} characters.")
    if name.startswith(SYSTEM_PREFIX):
        raise BadRequest(f"A {PRODUCER_ID} that begins with {SYSTEM_PREFIX!r} is the server's own.")
    return Producer(name, _number(PRODUCER_EPOCH, epoch), _number(PRODUCER_SEQ, seq))


def sequence_of(headers: Headers) -> str | None:
    """Reads Stream-Seq; raises `BadRequest`."""
    sequence = headers.get(SEQUENCE)
    if sequence is not None and not 0 < len(sequence) <= MAX_SEQUENCE:
        raise BadRequest(f"{SEQUENCE} has 1 to {MAX_SEQUENCE} characters.")
    return sequence


def _number(name: str, text: str) -> int:
    if _NUMBER.fullmatch(text) and int(text) <= MAX_OFFSET:
        return int(text)
    raise BadRequest(f"{name} is a whole number from 0 to {MAX_OFFSET}, without leading zeros, not {text[:40]!r}.")


def messages(content: bytes) -> list[bytes]:
    """The messages of a JSON body, each on one line: an array's elements. Raises `BadRequest` and `TooLarge`."""
    try:
        compact = msgspec.json.format(content, indent=-1)
        if not compact.startswith(b"["):
            msgspec.json.decode(compact)
            return [compact]
        msgspec.json.decode(compact)
        found = [bytes(message) for message in msgspec.json.decode(compact, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {str(error)[:200]}.") from None
    if len(found) > MAX_MESSAGES:
        raise TooLarge(f"{len(found)} messages in one request; send {MAX_MESSAGES} at most.")
    return found
