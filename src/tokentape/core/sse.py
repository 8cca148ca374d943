"""Server-sent events: one function that encodes them, and a decoder that takes bytes as they come.

Laws (tests/property/test_split_invariance.py, tests/core/test_sse.py):
- how the bytes are cut into chunks changes nothing: neither the events, nor the fault, nor their order;
- the decoder holds at most one partial line, one event's data and two short fields, whatever comes;
- the work is linear in the number of bytes, also when they come one by one.

Source: WHATWG HTML, "Server-sent events", sections "Parsing an event stream" and "Interpreting an event stream".
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokentape.core.errors import InvalidEvent, ProtocolError

MAX_LINE: Final = 1_048_576
"""Bytes of one line, without its end."""
MAX_EVENT: Final = 4_194_304
"""Bytes of one event's data, all its lines joined."""

_BOM: Final = b"\xef\xbb\xbf"
# As integers: `b"\n" in data` first fails to read b"\n" as one, which costs more than the search.
_LF: Final = 0x0A
_CR: Final = 0x0D
_SLICE: Final = 65_536
"""Bytes taken in one go, so that a huge chunk is never copied whole before its lines are checked."""
_MAX_RETRY_DIGITS: Final = 15
"""Thirty thousand years in milliseconds; more digits are only there to make `int` slow."""


def encode_sse(
    data: bytes | str,
    *,
    id: str | None = None,  # noqa: A002 - the field's name
    event: str | None = None,
    retry: int | None = None,
) -> bytes:
    """One event as an SSE block; `retry` is in milliseconds.

    Lines end in LF, `data` is split on CR, LF and CRLF only, and `id` stands next to `data`, which is what
    the clients in the field accept. Raises `InvalidEvent` for a CR, LF or NUL in `id` or `event`, which would
    let a value forge fields, and for text that has no UTF-8 form.
    """
    body = data if isinstance(data, bytes) else _utf8("data", data)
    if _LF in body or _CR in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    head = b"" if id is None else b"id: %b\n" % _field("id", id)
    if event is not None:
        head = b"event: %b\n%b" % (_field("event", event), head)
    if retry is not None:
        if retry < 0:
            raise InvalidEvent(f"The retry of an event is {retry}: it must be 0 or more milliseconds.")
        head = b"retry: %d\n%b" % (retry, head)
    return b"%bdata: %b\n\n" % (head, body)


def encode_chunk(data: bytes) -> bytes:
    """A piece of a body as one chunk of HTTP/1.1 (RFC 9112 §7.1); `data` MUST NOT be empty, which is the last chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def comment(text: str = "") -> bytes:
    """A comment, which clients ignore: a heartbeat. Raises `InvalidEvent` for a CR, LF or NUL in it."""
    return b": %b\n\n" % _field("comment", text)


def _field(name: str, value: str) -> bytes:
    if not value.isprintable() and any(mark in value for mark in "\r\n\0"):
        raise InvalidEvent(f"The {name} {value[:80]!r} of an event holds a CR, LF or NUL: remove it.")
    return _utf8(name, value)


def _utf8(name: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise InvalidEvent(f"The {name} of an event is not Unicode text: {error.reason}.") from None


class ServerSentEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One dispatched event.

    `id` is the last event id in force, which later events without an `id` of their own inherit; `retry`, in
    milliseconds, is there only when this very block had one.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None


class SseDecoder:
    """Reads an event stream incrementally: `receive_data` for each chunk, then `receive_eof`.

    `max_line` and `max_event` are in bytes. What exceeds them raises `ProtocolError` before it is kept, and
    ends the decoder: the events before the fault are handed out first, and every later call raises.
    """

    def __init__(self, max_line: int = MAX_LINE, max_event: int = MAX_EVENT) -> None:
        self._max_line = max_line
        self._max_event = max_event
        self._small = min(max_line, max_event)
        self._partial = bytearray()
        self._at_start = True
        self._after_cr = False
        self._data: bytes | bytearray | None = None
        self._event = ""
        self._id = ""
        self._retry: int | None = None
        self._fault: str | None = None
        self.last_event_id = ""
        """The id to resume with: that of the last complete block that had one."""
        self.retry: int | None = None
        """The reconnection time that the server asked for last, in milliseconds."""

    def receive_data(self, data: bytes) -> list[ServerSentEvent]:
        """Takes the next bytes; returns the events that they complete. Raises `ProtocolError` past a cap."""
        self._check_alive()
        events: list[ServerSentEvent] = []
        try:
            for start in range(0, len(data), _SLICE):
                self._take(data[start : start + _SLICE], events)
        except ProtocolError as error:
            self._fault = error.message
            self._discard()
            if not events:
                raise
        return events

    def receive_eof(self) -> bool:
        """Ends the stream; returns whether it broke off inside a line or an event, which is discarded."""
        self._check_alive()
        rest = self._partial.removeprefix(_BOM) if self._at_start else self._partial
        broken = bool(rest) or self._data is not None
        self._discard()
        return broken

    def _check_alive(self) -> None:
        if self._fault is not None:
            raise ProtocolError(self._fault)

    def _discard(self) -> None:
        self._partial.clear()
        self._data = None

    def _take(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        if self._after_cr or _CR in chunk:
            chunk = self._with_lf_only(chunk)
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if lines and (self._partial or self._at_start):
            lines[0] = self._complete(lines[0])
        for line in lines:
            if not line:
                self._close_block(events)
            elif self._data is None and len(line) <= self._small and line.startswith(b"data: "):
                self._data = line[6:]  # what nearly every line is, without a call
            else:
                self._read(line)
        if rest:
            self._check_line(len(self._partial) + len(rest))
            self._partial += rest

    def _with_lf_only(self, chunk: bytes) -> bytes:
        # A CR ends its line at once; only an LF that comes right after it, maybe in the next chunk, is void.
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _complete(self, line: bytes) -> bytes:
        self._check_line(len(self._partial) + len(line))
        if self._partial:
            self._partial += line
            line = bytes(self._partial)
            self._partial.clear()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        return line

    def _check_line(self, size: int) -> None:
        if size > self._max_line:
            raise ProtocolError(f"A line of an event stream is longer than {self._max_line} bytes.")

    def _read(self, line: bytes) -> None:
        self._check_line(len(line))
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._add_data(value)
            case b"event":
                self._event = str(value, "utf-8", "replace")
            case b"id" if b"\0" not in value:
                self._id = str(value, "utf-8", "replace")
            case b"retry" if value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
                self._retry = self.retry = int(value)
            case _:
                pass  # a comment, or a field that the standard says to ignore

    def _add_data(self, value: bytes) -> None:
        held = self._data
        size = len(value) if held is None else len(held) + 1 + len(value)
        if size > self._max_event:
            raise ProtocolError(f"The data of an event is longer than {self._max_event} bytes.")
        if held is None:
            self._data = value
            return
        if isinstance(held, bytes):
            # One growing buffer, not a list of lines: a million tiny lines must not cost a million objects.
            self._data = held = bytearray(held)
        held += b"\n"
        held += value

    def _close_block(self, events: list[ServerSentEvent]) -> None:
        if self._data is not None:
            data = str(self._data, "utf-8", "replace")
            events.append(ServerSentEvent(data=data, event=self._event or "message", id=self._id, retry=self._retry))
            self._data = None
        self._event = ""
        self._retry = None
        self.last_event_id = self._id
