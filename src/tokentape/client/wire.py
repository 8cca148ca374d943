"""What a server sends, as signals for the session: pure, one reading for each transport.

Laws (tests/client/test_wire.py): how the bytes are cut changes nothing, and what is not a message of the
protocol is a lost connection, never an item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tokentape.client.errors import Unreachable, error_from
from tokentape.client.session import Ended, Item, Lost, Opened, Refused, Retry, Signal
from tokentape.core.cursor import Cursor
from tokentape.core.errors import ProtocolError, TokentapeError
from tokentape.core.events import decode_event
from tokentape.core.frames import CloseCode, pause_of, should_reconnect
from tokentape.core.resume import From
from tokentape.core.sse import ServerSentEvent, SseDecoder

DONE: Final = "[DONE]"
"""The data that closes a run's own view over SSE (wire-formats §2)."""

_json: Final = msgspec.json.Encoder()


def refusal(error: TokentapeError, *, status: int, retry_after: str | None = None) -> Lost | Refused:
    """The signal for an error answer: lost when the same request may do better later, else refused."""
    if not (error.retryable or status >= 500):
        return Refused(error)
    seconds = retry_after or ""
    return Lost(error, int(seconds) if seconds.isdigit() and len(seconds) < 10 else 0)


def http_answer(status: int, headers: Mapping[str, str], body: bytes) -> Signal:
    """The signal for an HTTP answer that is no stream; 204 says that nothing follows."""
    if status == 204:
        return Ended()
    return refusal(http_error(status, body), status=status, retry_after=headers.get("Retry-After"))


def http_error(status: int, body: bytes) -> TokentapeError:
    """The error that an HTTP answer stands for, whoever gave it."""
    try:
        problem = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        problem = {}
    return error_from(problem, status=status)


def item(cursor: str | None, record: bytes) -> Item:
    """One event as an item; raises `InvalidCursor` or `InvalidEvent`."""
    return Item(Cursor.parse(cursor) if cursor is not None else None, decode_event(record), record)


class SseReading:
    """The body of an event stream in tokentape's own format."""

    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self._id = ""
        self._retry: int | None = None

    def receive(self, data: bytes) -> list[Signal]:
        """Takes the next bytes of the body."""
        return list(self._signals(data))

    def _signals(self, data: bytes) -> Iterator[Signal]:
        try:
            events = self._decoder.receive_data(data)
            if self._decoder.retry is not None and self._decoder.retry != self._retry:
                self._retry = self._decoder.retry
                yield Retry(self._retry / 1000)
            for event in events:
                yield self._signal(event)
        except TokentapeError as error:
            yield Lost(error)

    def _signal(self, event: ServerSentEvent) -> Signal:
        if event.data == DONE:
            return Ended()
        # An id stays in force until the next one, so only a new one is the position of this very event.
        cursor = event.id if event.id and event.id != self._id else None
        self._id = event.id
        return item(cursor, event.data.encode())

    def eof(self) -> Lost:
        """The body ended, cleanly as far as HTTP goes, and yet before `[DONE]`."""
        return Lost(Unreachable("The server ended the connection before the end of the stream."))


class _Down(msgspec.Struct, frozen=True):
    op: str = ""
    id: Any = None
    stream: str = ""
    cursor: str | None = None
    event: msgspec.Raw = msgspec.Raw(b"")
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] = {}


_downs: Final = msgspec.json.Decoder(_Down)


def _ready(data: msgspec.Raw) -> Item:
    return item(None, b'{"type":"ready","data":%b}' % bytes(data))


class WebSocketReading:
    """The messages of a `tokentape.v1` WebSocket with one subscription."""

    SUBSCRIBE: Final = 1
    """The id of the request to watch."""
    PING: Final = '{"op":"ping","id":0}'
    """What to send when nothing came for a while: the answer shows that the connection lives."""

    def __init__(self, stream: str) -> None:
        self._stream = stream

    def subscribe(self, position: From, *, merge: bool) -> str:
        """The request to send first."""
        request = {"op": "subscribe", "id": self.SUBSCRIBE, "stream": self._stream, "from": str(position)}
        return _json.encode(request if merge else {**request, "merge": False}).decode()

    def receive(self, message: str | bytes) -> list[Signal]:
        """Takes one text message."""
        try:
            return list(self._signals(_downs.decode(message)))
        except (msgspec.DecodeError, RecursionError) as error:
            return [Lost(ProtocolError(f"The server sent a message that is not tokentape.v1: {error}"))]
        except TokentapeError as error:
            return [Lost(error)]

    def _signals(self, down: _Down) -> Iterator[Signal]:
        match down.op:
            case "ack" if down.id == self.SUBSCRIBE:
                # Answered by how the view begins; `ready` comes only when it starts over.
                yield Opened()
                yield _ready(down.data)
            case "event" if down.stream == self._stream:
                yield item(down.cursor, bytes(down.event))
            case "ready" if down.stream == self._stream:
                yield _ready(down.data)
            case "end" if down.stream == self._stream:
                yield Ended()
            case "error":
                error = error_from(down.error, status=0)
                yield refusal(error, status=error.status, retry_after=str(error.details.get("retry_after", "")))
            case _:
                pass  # an answer of a later version of the protocol

    def closed(self, code: int | None, reason: str) -> Lost | Refused:
        """The connection was closed with this code, or broke (None), before the end of the subscription."""
        said = f" with {code}{f': {reason}' if reason else ''}" if code is not None else ""
        message = f"The server closed the WebSocket{said} before the end of the stream."
        # A clean end is no terminal event (P4), so 1000 is a reason to come back.
        if code is None or code == CloseCode.NORMAL or should_reconnect(code):
            return Lost(Unreachable(message), (pause_of(reason) or 0) / 1000)
        kind = error_from({"code": "unauthorized"} if code == CloseCode.UNAUTHORIZED else {}, status=0)
        return Refused(type(kind)(message, close_code=code))


class _Placed(msgspec.Struct, frozen=True):
    cursor: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    cursor: str
    outcome: str
    events: list[msgspec.Raw] = []
    ended: bool = False
    reason: str | None = None


_answers: Final = msgspec.json.Decoder(_Answer)


def _located(event: bytes) -> Item:
    """An event that bears its cursor as one more member, the last one."""
    cursor = msgspec.json.decode(event, type=_Placed).cursor
    suffix = b',"cursor":"%b"}' % (cursor or "").encode()
    return item(cursor, event[: -len(suffix)] + b"}" if event.endswith(suffix) else event)


class PollReading:
    """The answers of a long-poll, as one view that goes on (PROTOCOL.md §3.1)."""

    def __init__(self, start: From) -> None:
        self.position: From = start
        """What the next request asks for."""
        self._announced = False

    def receive(self, body: bytes) -> list[Signal]:
        """Takes the body of one answer."""
        try:
            return self._signals(_answers.decode(body))
        except (msgspec.DecodeError, RecursionError) as error:
            return [Lost(ProtocolError(f"The server's answer is not a list of events: {error}"))]
        except TokentapeError as error:
            return [Lost(error)]

    def _signals(self, answer: _Answer) -> list[Signal]:
        signals: list[Signal] = []
        over = answer.outcome in ("gone", "snapshot")
        end = Cursor.parse(answer.cursor)
        if over or not self._announced:
            self._announced = True
            signals.append(self._ready(answer, self._begin(end, over=over, any_events=bool(answer.events))))
        signals += [_located(bytes(raw)) for raw in answer.events]
        if answer.ended:
            signals.append(Ended())
        self.position = end
        return signals

    def _begin(self, end: Cursor, *, over: bool, any_events: bool) -> Cursor:
        # An answer says where it ends, not where it begins, and its first event may be a merged one.
        if not over and isinstance(self.position, Cursor):
            return self.position
        return Cursor(end.epoch, 0) if any_events else end

    @staticmethod
    def _ready(answer: _Answer, begin: Cursor) -> Item:
        data = {"outcome": answer.outcome, "cursor": str(begin)}
        if answer.reason is not None:
            data["reason"] = answer.reason
        return item(None, _json.encode({"type": "ready", "data": data}))
