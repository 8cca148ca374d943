"""WebSocket frames as a server sends them (RFC 6455 §5): whole, unmasked, without extensions; and the close codes.

A frame is encoded once and its bytes are shared by every connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from struct import Struct
from typing import Final

MAX_CONTROL: Final = 125
"""Bytes of a control frame's payload (RFC 6455 §5.5)."""
MAX_REASON: Final = MAX_CONTROL - 2
"""Bytes of a close reason: what the code leaves of a control frame."""

# The first byte: FIN, no extension bits, and the opcode (RFC 6455 §5.2).
_TEXT: Final = 0x81
_BINARY: Final = 0x82
_CLOSE: Final = 0x88
_PING: Final = 0x89
_PONG: Final = 0x8A

_HEAD_16: Final = Struct("!BBH")
_HEAD_64: Final = Struct("!BBQ")


def text_frame(payload: bytes) -> bytes:
    """A text message in one frame; the payload MUST be UTF-8, which is not checked again here."""
    return _head(_TEXT, len(payload)) + payload


def frame_messages(messages: Iterable[bytes]) -> bytes:
    """Text messages, each in one frame, as one piece to be written."""
    return b"".join([text_frame(message) for message in messages])


def binary_frame(payload: bytes) -> bytes:
    """A binary message in one frame."""
    return _head(_BINARY, len(payload)) + payload


def ping_frame(payload: bytes = b"") -> bytes:
    """A ping; raises `ValueError` for a payload over 125 bytes."""
    return _control(_PING, payload)


def pong_frame(payload: bytes = b"") -> bytes:
    """A pong, which repeats the ping's payload; raises `ValueError` for a payload over 125 bytes."""
    return _control(_PONG, payload)


def close_frame(code: int | None = None, reason: str = "") -> bytes:
    """A close frame, without a code when there is none.

    Raises `ValueError` for a code that must not be sent (RFC 6455 §7.4), for a reason without a code, and for
    a reason over 123 bytes: see `fit_reason`.
    """
    if code is None:
        if reason:
            raise ValueError(f"the close reason {reason[:80]!r} needs a code")
        return _control(_CLOSE, b"")
    if not is_sendable(code):
        raise ValueError(
            f"{code} is not a close code that may be sent: use 1000 to 1014 as registered, or 3000 to 4999"
        )
    text = reason.encode()
    if len(text) > MAX_REASON:
        raise ValueError(f"a close reason has {len(text)} bytes: at most {MAX_REASON} fit")
    return _control(_CLOSE, code.to_bytes(2, "big") + text)


def fit_reason(text: str) -> str:
    """As much of `text` as fits a close frame, cut between characters."""
    return text.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")


def closing_reason(pause_ms: int, text: str) -> str:
    """The reason of a close that says when to come back: `retry=<ms>; text` (PROTOCOL.md §4.1)."""
    return fit_reason(f"retry={pause_ms}; {text}")


def pause_of(reason: str) -> int | None:
    """The pause in milliseconds that a close reason asks for; None when it asks for none."""
    match = _PAUSE.match(reason)
    return int(match[1]) if match is not None else None


def is_sendable(code: int) -> bool:
    """Whether a close frame may bear this code: the registered ones, and 3000 to 4999 (RFC 6455 §7.4)."""
    return code in _REGISTERED or 3000 <= code <= 4999


# IANA's WebSocket Close Code Number Registry. 1004 is reserved; 1005, 1006 and 1015 are never on the wire.
_REGISTERED: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


_PAUSE: Final = re.compile(r"retry=([0-9]{1,9})(?:;|$)", re.ASCII)


class CloseCode(IntEnum):
    """Why tokentape closes a WebSocket: 3000–3499 ask to reconnect, 3500–3999 do not (design §4)."""

    NORMAL = 1000
    """Both sides are done."""
    GOING_AWAY = 1001
    """The page is left, or the server stops."""
    PROTOCOL = 1002
    """The frames break RFC 6455."""
    UNSUPPORTED_DATA = 1003
    """A binary message: tokentape.v1 is text."""
    INVALID_DATA = 1007
    """A text message that is not UTF-8."""
    POLICY = 1008
    """A limit or a rule of this server was broken, and would be again."""
    TOO_BIG = 1009
    """A message over the size limit."""
    INTERNAL_ERROR = 1011
    """The server failed; its log says how."""
    SERVICE_RESTART = 1012
    """The server restarts: come back after a random pause."""
    TRY_LATER = 1013
    """The server is at a limit: come back later."""
    SLOW = 3000
    """The connection took nothing until its deadline: come back and resume."""
    HEARTBEAT_LOST = 3001
    """No pong came in time: come back and resume."""
    DRAINING = 3002
    """The server goes away: come back after the pause that the reason begins with (`closing_reason`)."""
    UNAUTHORIZED = 3500
    """The credential is missing, wrong or over; come back with another one."""
    PROTOCOL_VERSION = 3501
    """This server does not speak the subprotocol that was asked for."""


_TERMINAL: Final = frozenset({1000, 1002, 1003, 1007, 1008, 1009, 1010})
"""Standard codes after which the same connection would end the same way."""


def should_reconnect(code: int) -> bool:
    """Whether a client that was closed with this code should connect again, with backoff.

    Unknown codes, and those that stand for a lost connection (1005, 1006, 1015), say nothing against it.
    """
    return code not in _TERMINAL and not 3500 <= code <= 3999


def _head(first: int, size: int) -> bytes:
    # The shortest form of the length is required (RFC 6455 §5.2).
    if size < 126:
        return bytes((first, size))
    if size < 65_536:
        return _HEAD_16.pack(first, 126, size)
    return _HEAD_64.pack(first, 127, size)


def _control(first: int, payload: bytes) -> bytes:
    if len(payload) > MAX_CONTROL:
        raise ValueError(f"a control frame has {len(payload)} bytes: at most {MAX_CONTROL} fit")
    return _head(first, len(payload)) + payload
