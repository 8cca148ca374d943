"""A run as a stream of chat completion chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokentape.core.merge import Entry
from tokentape.dialects.base import Told as Encoded
from tokentape.dialects.foreign import ForeignSse
from tokentape.dialects.openai_chat.telling import (
    FINGERPRINT,
    ID_PREFIX,
    NOTHING_TOLD,
    Told,
    finish_reason,
    take,
    usage_object,
)
from tokentape.dialects.openai_errors import INTERRUPTED, RESTARTED, failure_object, failure_of
from tokentape.dialects.story import Begin, Block, Close, Failure, Finish, Grow, Open, Reset, Step

DONE: Final = b"data: [DONE]\n\n"
_json: Final = msgspec.json.Encoder()
_NOTHING: Final = Begin("", "", "", 0)


class ChatSse(ForeignSse):
    """Chunks over SSE: no `id:`, no `retry:`, no event names, each of which breaks an OpenAI SDK.

    `usage` is `stream_options.include_usage`: every chunk has the member, and one more brings the numbers.
    """

    def __init__(self, name: str, *, usage: bool) -> None:
        self.name = name
        self._usage = usage

    def encode(
        self,
        label: str,
        epoch: str,
        entries: Sequence[Entry],
        state: Told | None,
        *,
        last: int | None = None,
    ) -> Encoded:
        before = state or NOTHING_TOLD
        placed, told = take(before, entries)
        chunks = _Chunks(told, before, usage=self._usage)
        for item in placed:
            if isinstance(item.step, Reset):
                return Encoded(_error(RESTARTED), told, over=True)
            chunks.spell(item.step)
        if last is not None:
            chunks.close()
        return Encoded(b"".join(chunks.lines), told)


class _Chunks:
    """Spells steps as chunks, into `lines`."""

    def __init__(self, told: Told, before: Told, *, usage: bool) -> None:
        self.lines: list[bytes] = []
        self._told = told
        begin = told.story.begin or _NOTHING
        head = {
            "id": ID_PREFIX + begin.run,
            "object": "chat.completion.chunk",
            "created": begin.at // 1000,
            "model": begin.model,
            "system_fingerprint": FINGERPRINT,
        }
        self._head = b"data: " + _json.encode(head)[:-1] + b',"choices":'
        self._usage = usage
        self._tail = b',"usage":null}\n\n' if usage else b"}\n\n"
        # A call's name comes with its first chunk, or, when that had none, with its end: SDKs join what they get.
        self._names = {number: before.story.blocks[number].name for number in before.story.open}

    def spell(self, step: Step) -> None:
        match step:
            case Begin():
                self._say({"role": "assistant", "content": ""})
            case Open(block) if block.kind == "tool":
                self._names[block.number] = block.name
                function = {"name": block.name, "arguments": ""}
                call = {"index": self._index(block), "id": block.id, "type": "function", "function": function}
                self._say({"tool_calls": [call]})
            case Grow(block, piece) if piece:
                self._grow(block, piece)
            case Close(block) if block.kind == "tool" and block.name != self._names.get(block.number):
                self._say({"tool_calls": [{"index": self._index(block), "function": {"name": block.name}}]})
            case Finish():
                self._finish(step)
            case _:
                pass  # an opening, a result of a tool or a note says nothing in this format

    def close(self) -> None:
        """The end of the view: a run that has none yet will have none here."""
        self.lines.append(DONE if self._told.story.finish is not None else _error(INTERRUPTED))

    def _grow(self, block: Block, piece: str) -> None:
        match block.kind:
            case "text":
                self._say({"content": piece})
            case "reasoning":
                self._say({"reasoning_content": piece})
            case "tool":
                self._say({"tool_calls": [{"index": self._index(block), "function": {"arguments": piece}}]})

    def _index(self, block: Block) -> int:
        return sum([other.kind == "tool" for other in self._told.story.blocks[: block.number]])

    def _finish(self, finish: Finish) -> None:
        failure = failure_of(finish)
        if failure is not None:
            self.lines.append(_error(failure))
            return
        self._say({}, reason=finish_reason(finish, filtered=self._told.filtered))
        if self._usage:
            self.lines.append(self._head + b'[],"usage":' + _json.encode(usage_object(finish.usage)) + b"}\n\n")

    def _say(self, delta: dict[str, Any], *, reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        self.lines.append(self._head + b"[" + _json.encode(choice) + b"]" + self._tail)


def _error(failure: Failure) -> bytes:
    return b"data: " + _json.encode({"error": failure_object(failure)}) + b"\n\n"


sse: Final = ChatSse("openai-chat", usage=False)
sse_with_usage: Final = ChatSse("openai-chat-usage", usage=True)
