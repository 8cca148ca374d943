"""tokentape's own format (PROTOCOL.md §3), in four framings.

The record is the wire form, so encoding is concatenation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.events import Event, encode_event
from tokentape.core.merge import Entry
from tokentape.core.messages import end_message, event_message, ready_message
from tokentape.core.resume import Ready
from tokentape.dialects.base import Told

DONE: Final = b"data: [DONE]\n\n"
"""Closes a run's own view over SSE, never a channel's (wire-formats §2)."""

_BLOCK: Final = b"id: %b-%d\ndata: %b\n\n"
_json: Final = msgspec.json.Encoder()


def _farewell(pause_ms: int) -> bytes:
    return b": the server is going away\nretry: %d\n\n" % pause_ms


class NativeSse:
    """One SSE block per event: `id: <cursor>`, `data: <record>`; no `event:`, so that `onmessage` sees all of it."""

    name = "native"
    stateful = False
    starts_over = True
    of_run = False
    headers: Mapping[str, str] = {}

    def ready(self, label: str, ready: Ready) -> bytes:
        return b"data: " + _json.encode({"type": "ready", "data": ready.as_dict()}) + b"\n\n"

    def encode(self, label: str, epoch: str, entries: Sequence[Entry], state: None, *, last: int | None = None) -> Told:
        # Records are JSON, which has no raw line end: each is one data line. One format for all of them, since each
        # costs as much to begin as to fill in.
        name = epoch.encode()
        if len(entries) == 1:  # as nearly always while an answer is made
            (entry,) = entries
            blocks = _BLOCK % (name, entry.offset, entry.record)
        else:
            values: list[bytes | int] = []
            for entry in entries:
                values += name, entry.offset, entry.record
            blocks = _BLOCK * len(entries) % tuple(values)
        return Told(blocks if last is None else blocks + DONE)

    def ephemeral(self, label: str, event: Event) -> bytes:
        return b"data: " + encode_event(event) + b"\n\n"

    def size(self, content: object) -> int:
        assert isinstance(content, bytes)
        return len(content)

    def farewell(self, pause_ms: int) -> bytes:
        return _farewell(pause_ms)


class Block(NamedTuple):
    """One event of one of several streams on a connection; the connection adds the id, which is its own."""

    offset: int | None
    data: bytes


class NativeMulti:
    """Several streams on one SSE connection: each event bears its stream and its cursor."""

    name = "native-multi"
    stateful = False
    starts_over = True
    of_run = False
    headers: Mapping[str, str] = {}

    def ready(self, label: str, ready: Ready) -> tuple[Block, ...]:
        data = _json.encode({"type": "ready", "stream": label, "data": ready.as_dict()})
        return (Block(ready.cursor.offset, data),)

    def encode(self, label: str, epoch: str, entries: Sequence[Entry], state: None, *, last: int | None = None) -> Told:
        blocks = tuple([Block(e.offset, self._wrap(label, f"{epoch}-{e.offset}", e.record)) for e in entries])
        if last is None:
            return Told(blocks)
        done = _json.encode({"type": "end", "stream": label, "cursor": str(Cursor(epoch, last))})
        return Told((*blocks, Block(last, done)))

    def ephemeral(self, label: str, event: Event) -> tuple[Block, ...]:
        return (Block(None, self._wrap(label, None, encode_event(event))),)

    def size(self, content: object) -> int:
        assert isinstance(content, tuple)
        return sum(len(block.data) for block in content)

    def farewell(self, pause_ms: int) -> bytes:
        return _farewell(pause_ms)

    @staticmethod
    def _wrap(label: str, cursor: str | None, record: bytes) -> bytes:
        head: dict[str, str] = {"stream": label}
        if cursor is not None:
            head["cursor"] = cursor
        # The event's own members follow: one flat object, as on a connection of its own.
        return _json.encode(head)[:-1] + b"," + record[1:]


class NativeWebSocket:
    """One JSON text message per event, the same bytes for every subscriber."""

    name = "native-websocket"
    stateful = False
    starts_over = True

    def ready(self, label: str, ready: Ready) -> tuple[bytes, ...]:
        return (ready_message(label, ready.as_dict()),)

    def encode(self, label: str, epoch: str, entries: Sequence[Entry], state: None, *, last: int | None = None) -> Told:
        messages = tuple([event_message(label, f"{epoch}-{e.offset}", e.record) for e in entries])
        if last is None:
            return Told(messages)
        return Told((*messages, end_message(label, str(Cursor(epoch, last)))))

    def ephemeral(self, label: str, event: Event) -> tuple[bytes, ...]:
        return (event_message(label, None, encode_event(event)),)

    def size(self, content: object) -> int:
        assert isinstance(content, tuple)
        return sum(map(len, content))


class Item(NamedTuple):
    """An event for a reader in this process; without a cursor when it was not stored."""

    cursor: Cursor | None
    event: Event
    record: bytes


class NativeItems:
    """Events as objects: for `Tape.read`, long-poll and history."""

    name = "native-items"
    stateful = False
    starts_over = True

    def ready(self, label: str, ready: Ready) -> tuple[Item, ...]:
        event = Event(type="ready", data=ready.as_dict())
        return (Item(None, event, encode_event(event)),)

    def encode(self, label: str, epoch: str, entries: Sequence[Entry], state: None, *, last: int | None = None) -> Told:
        return Told(tuple([Item(Cursor(epoch, e.offset), e.event, e.record) for e in entries]))

    def ephemeral(self, label: str, event: Event) -> tuple[Item, ...]:
        return (Item(None, event, encode_event(event)),)

    def size(self, content: object) -> int:
        assert isinstance(content, tuple)
        return sum(len(item.record) for item in content)


sse: Final = NativeSse()
multi: Final = NativeMulti()
websocket: Final = NativeWebSocket()
items: Final = NativeItems()
