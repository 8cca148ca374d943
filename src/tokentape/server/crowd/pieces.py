"""What a server writes, as events: sans-I/O, and once for all who get the same bytes.

Laws:
- what `Reading.feed` makes of a stream of bytes does not depend on how it was cut into reads;
- nothing is kept beyond `MAX_REST` bytes, and `KEPT` pieces.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, NamedTuple

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.errors import InvalidCursor, ProtocolError

MAX_REST: Final = 2_097_152
"""Bytes of a chunk, a block or a frame that has not come whole; no event is that large."""
KEPT: Final = 512

_TEXT, _CLOSE, _PING = 1, 8, 9
_SMALL, _MEDIUM = 126, 127


class Told(NamedTuple):
    """One event that came: its place, and all of its bytes."""

    offset: int
    content: bytes


class Piece(NamedTuple):
    """What one read brought."""

    events: tuple[Told, ...] = ()
    content: bytes = b""
    """Of all of them."""
    at: int = 0
    """When the oldest was recorded, in milliseconds since the Unix epoch."""
    ready: bool = False
    """The view has begun."""
    gone: bool = False
    """It could not go on from where it was."""
    ended: bool = False
    """Nothing follows, ever."""
    closed: bool = False
    """The server ends the connection."""
    error: str = ""
    pings: tuple[bytes, ...] = ()


class _Event(msgspec.Struct):
    at: int = 0


class _Outcome(msgspec.Struct):
    outcome: str = ""
    message: str = ""
    code: str = ""


class _Message(msgspec.Struct):
    """A block's data or a frame's message, whichever."""

    op: str = ""
    type: str = ""
    cursor: str = ""
    event: msgspec.Raw = msgspec.Raw(b"null")
    data: msgspec.Raw = msgspec.Raw(b"{}")
    error: _Outcome = msgspec.field(default_factory=_Outcome)


_events: Final = msgspec.json.Decoder(_Event)
_messages: Final = msgspec.json.Decoder(_Message)
_outcomes: Final = msgspec.json.Decoder(_Outcome)


class _Draft:
    """A piece in the making."""

    def __init__(self) -> None:
        self.events: list[Told] = []
        self.at = 0
        self.marks: dict[str, bool] = {}
        self.error = ""
        self.pings: list[bytes] = []

    def event(self, cursor: bytes | str, record: bytes) -> None:
        offset = Cursor.parse(cursor if isinstance(cursor, str) else cursor.decode("latin-1")).offset
        if not self.events:
            self.at = _events.decode(record).at
        self.events.append(Told(offset, b"%d:%b\n" % (offset, record)))

    def begin(self, data: bytes) -> None:
        self.marks["ready"] = True
        if _outcomes.decode(data).outcome not in ("live", "replayed"):
            self.marks["gone"] = True

    def whole(self) -> Piece:
        content = b"".join([told.content for told in self.events])
        return Piece(tuple(self.events), content, self.at, error=self.error, pings=tuple(self.pings), **self.marks)


class Pieces:
    """Pieces by the bytes that they came in."""

    def __init__(self) -> None:
        self._known: dict[bytes, Piece] = {}

    def get(self, data: bytes) -> Piece | None:
        return self._known.get(data)

    def keep(self, data: bytes, piece: Piece) -> None:
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[data] = piece


class Reading(ABC):
    """What one connection reads, after its head. Whatever is not as it should be raises `ProtocolError`."""

    __slots__ = ("_known", "_rest", "_text")

    def __init__(self, known: Pieces) -> None:
        self._known = known
        self._rest = b""
        self._text = b""

    def feed(self, data: bytes) -> Piece:
        """The next bytes."""
        fresh = not self._rest and not self._text
        if fresh and (piece := self._known.get(data)) is not None:
            return piece
        draft = _Draft()
        try:
            self._rest = self._read(self._rest + data, draft)
        except (ValueError, msgspec.MsgspecError, InvalidCursor) as error:
            raise ProtocolError(f"The server sent what is not its protocol: {error}") from None
        if len(self._rest) + len(self._text) > MAX_REST:
            raise ProtocolError(f"An event is larger than {MAX_REST} bytes.")
        piece = draft.whole()
        if fresh and not self._rest and not self._text:
            self._known.keep(data, piece)
        return piece

    @abstractmethod
    def _read(self, data: bytes, draft: _Draft) -> bytes:
        """Takes the whole events of this data; returns what is left of it."""


class SseReading(Reading):
    """Chunks of HTTP/1.1, and in them blocks of an event stream as our server writes them."""

    __slots__ = ()

    def _read(self, data: bytes, draft: _Draft) -> bytes:
        text, place = [self._text], 0
        while (line := data.find(b"\r\n", place)) >= 0:
            size = int(data[place:line], 16)
            after = line + 2 + size + 2
            if len(data) < after:
                break
            if not size:
                # The end of the response is the end of the view; a connection that breaks has none.
                draft.marks["ended"] = True
            text.append(data[line + 2 : line + 2 + size])
            place = after
        *blocks, self._text = b"".join(text).split(b"\n\n")
        for block in blocks:
            self._block(block, draft)
        return data[place:]

    @staticmethod
    def _block(block: bytes, draft: _Draft) -> None:
        cursor, record = b"", b""
        for line in block.split(b"\n"):
            if line.startswith(b"data: "):
                record = line[6:]
            elif line.startswith(b"id: "):
                cursor = line[4:]
        if cursor:
            draft.event(cursor, record)
        elif record.startswith(b'{"type":"ready"'):
            draft.begin(bytes(_messages.decode(record).data))


class WebSocketReading(Reading):
    """Frames of a server, each with a message of `tokentape.v1`."""

    __slots__ = ()

    def _read(self, data: bytes, draft: _Draft) -> bytes:
        place = 0
        while len(data) >= place + 2:
            opcode, size, start = data[place] & 0x0F, data[place + 1], place + 2
            if size >= _SMALL:
                width = 2 if size < _MEDIUM else 8
                size = int.from_bytes(data[start : start + width], "big")
                if len(data) < start + width:
                    break
                start += width
            if len(data) < start + size:
                break
            self._frame(opcode, data[start : start + size], draft)
            place = start + size
        return data[place:]

    @staticmethod
    def _frame(opcode: int, payload: bytes, draft: _Draft) -> None:
        if opcode == _PING:
            draft.pings.append(payload)
        elif opcode == _CLOSE:
            draft.marks["closed"] = True
        elif opcode == _TEXT:
            message = _messages.decode(payload)
            match message.op:
                case "event" if message.cursor:
                    draft.event(message.cursor, bytes(message.event))
                case "ack" | "ready":
                    draft.begin(bytes(message.data))
                case "end":
                    draft.marks["ended"] = True
                case "error":
                    draft.error = f"{message.error.code}: {message.error.message}"
