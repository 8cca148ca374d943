"""The small conventions, in which front ends were written before there was a protocol for them (wire-formats §2).

- `text`: the text itself; then an event `done` with the reason, or `error` with what failed;
- `content`: `{"type":"content","delta"}`, `{"type":"finish","reason","tokens"}`, `{"type":"error","message"}`;
- `chunk`: `{"type":"chunk","content"}`, `{"type":"done"}`, `{"type":"error","message"}`; also over a WebSocket.

A fourth, `{"type":"token","data"}`, is part of tokentape's own format, and `channel_events` has the one for channels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokentape.core.events import Event
from tokentape.core.merge import Entry
from tokentape.core.resume import Ready
from tokentape.core.sse import encode_sse
from tokentape.dialects.base import Told
from tokentape.dialects.foreign import ForeignSse
from tokentape.dialects.speech import NOTHING, Line, Said, speak

_json: Final = msgspec.json.Encoder()


class _SpeechSse(ForeignSse, ABC):
    """A convention over SSE: one block for each thing that is said, with its cursor as the id."""

    name: str
    heeds_retry = True

    def encode(
        self, label: str, epoch: str, entries: Sequence[Entry], state: Said | None, *, last: int | None = None
    ) -> Told:
        before = state or NOTHING
        lines, said, over = speak(before, entries)
        return Told(b"".join(self._blocks(epoch, lines, after_cr=before.after_cr)), said, over)

    @abstractmethod
    def _blocks(self, epoch: str, lines: Sequence[Line], *, after_cr: bool) -> list[bytes]: ...


class TextSse(_SpeechSse):
    """Raw text: a line break is a new `data:` line, as SSE has it, whichever way the text breaks its lines."""

    name = "text"

    def _blocks(self, epoch: str, lines: Sequence[Line], *, after_cr: bool) -> list[bytes]:
        blocks: list[bytes] = []
        for line in lines:
            place = f"{epoch}-{line.offset}" if line.offset is not None else None
            if line.kind != "piece":
                blocks.append(encode_sse(line.text, id=place, event=line.kind))
                continue
            # A CR LF may come in two pieces; it is one line break all the same.
            text = line.text[1:] if after_cr and line.text.startswith("\n") else line.text
            after_cr = line.text.endswith("\r")
            if text:
                blocks.append(encode_sse(text, id=place))
        return blocks


class _JsonSse(_SpeechSse):
    def _blocks(self, epoch: str, lines: Sequence[Line], *, after_cr: bool) -> list[bytes]:
        return [
            b"data: %b\n\n" % self.spell(line)
            if line.offset is None
            else b"id: %b-%d\ndata: %b\n\n" % (epoch.encode(), line.offset, self.spell(line))
            for line in lines
        ]

    @abstractmethod
    def spell(self, line: Line) -> bytes: ...


class ContentSse(_JsonSse):
    """Objects whose `type` is `content`, `finish` or `error`."""

    name = "content"

    def spell(self, line: Line) -> bytes:
        match line.kind:
            case "piece":
                return _json.encode({"type": "content", "delta": line.text})
            case "done":
                return _json.encode({"type": "finish", "reason": line.text, "tokens": line.tokens})
            case "error":
                return _json.encode({"type": "error", "message": line.text})


def spell_chunk(line: Line) -> bytes:
    """The `chunk` convention."""
    match line.kind:
        case "piece":
            return _json.encode({"type": "chunk", "content": line.text})
        case "done":
            return _json.encode({"type": "done"})
        case "error":
            return chunk_error(line.text)


def chunk_error(message: str) -> bytes:
    """What failed, in the `chunk` convention."""
    return _json.encode({"type": "error", "message": message})


class ChunkSse(_JsonSse):
    """Objects whose `type` is `chunk`, `done` or `error`."""

    name = "chunk"

    def spell(self, line: Line) -> bytes:
        return spell_chunk(line)


class ChunkWebSocket:
    """The same over a WebSocket: one text message each."""

    name = "chunk-websocket"
    stateful = True
    starts_over = False

    def ready(self, label: str, ready: Ready) -> tuple[bytes, ...]:
        return ()

    def encode(
        self, label: str, epoch: str, entries: Sequence[Entry], state: Said | None, *, last: int | None = None
    ) -> Told:
        lines, said, over = speak(state or NOTHING, entries)
        return Told(tuple([spell_chunk(line) for line in lines]), said, over)

    def ephemeral(self, label: str, event: Event) -> tuple[bytes, ...]:
        return ()

    def size(self, content: Any) -> int:
        return sum(map(len, content))


text: Final = TextSse()
content: Final = ContentSse()
chunk: Final = ChunkSse()
chunk_websocket: Final = ChunkWebSocket()
