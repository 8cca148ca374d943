"""Reads a stream of Anthropic's Messages API.

Source: Anthropic's "Streaming messages" page. Its rule for readers: event types may be added, so an unknown one
is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokentape.providers.base import PROVIDER_CUT, PROVIDER_PROTOCOL, Pair, Part, ProviderError
from tokentape.providers.decoding import UNREADABLE, Speech, ToolCalls, decode
from tokentape.providers.documents import Document
from tokentape.providers.failures import Failures

_REASONS: Final = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}
_TOLD: Final = frozenset({"refusal", "pause_turn"})
"""Reasons that are a `stop` to a run, and that its reader should know of."""


# Without garbage collection, as in `openai_stream`.


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Message(msgspec.Struct, gc=False):
    usage: _Usage | None = None


class _Block(msgspec.Struct, gc=False):
    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""


class _Delta(msgspec.Struct, gc=False):
    """Of a block (`type` and one of the texts), or of the message (`stop_reason`)."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Any = None


_events: Final = msgspec.json.Decoder(_Event)
_decode: Final = _events.decode


class MessagesDecoder:
    """One answer in Messages events (see `decoding.AnswerDecoder`)."""

    __slots__ = ("_calling", "_calls", "_failures", "_reason", "_speech", "_usage", "complete", "ended", "error")

    def __init__(self, failures: Failures) -> None:
        self.error: ProviderError | None = None
        self.complete = False
        self.ended = False
        self._failures = failures
        self._calls = ToolCalls()
        self._calling: set[int] = set()
        self._speech = Speech()
        self._reason: str | None = None
        self._usage = _Usage()

    def receive(self, documents: Sequence[Document]) -> list[Pair]:
        """Takes the data of the next events; returns what they bring."""
        parts: list[Pair] = []
        for document in documents:
            if self.ended:
                break
            try:
                event: _Event | ProviderError = _decode(document)
            except UNREADABLE:
                event = decode(_events, document, self._failures)
            if isinstance(event, _Event):
                self._take(event, parts)
            else:
                self._fail(event)
        return parts

    def receive_eof(self) -> list[Pair]:
        """The stream is over: that is the answer's end too when a stop reason came."""
        return [] if self.ended else self._finish()

    def _take(self, event: _Event, parts: list[Pair]) -> None:
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._delta(event.index, event.delta, parts)
            case "content_block_start" if event.content_block is not None:
                self._block(event.index, event.content_block, parts)
            case "content_block_stop":
                self._calling.discard(event.index)
                parts += self._calls.close(event.index)
            case "message_start" if event.message is not None:
                self._count(event.message.usage)
            case "message_delta":
                self._count(event.usage)
                if event.delta is not None and event.delta.stop_reason:
                    self._close(event.delta.stop_reason, parts)
            case "message_stop":
                parts += self._finish()
            case "error":
                self._fail(self._failures.in_band(event.error))
            case _:
                pass  # ping, and what is yet to be invented

    def _block(self, index: int, block: _Block, parts: list[Pair]) -> None:
        match block.type:
            case "text":
                self._say("token", block.text, parts)
            case "thinking":
                self._say("reasoning", block.thinking, parts)
            case "tool_use":
                self._calling.add(index)
                self._call(index, block, "", parts)
            case _:
                pass  # tools that run at the provider, and thinking that it hides

    def _delta(self, index: int, delta: _Delta, parts: list[Pair]) -> None:
        match delta.type:
            case "text_delta":
                self._say("token", delta.text, parts)
            case "thinking_delta":
                self._say("reasoning", delta.thinking, parts)
            case "input_json_delta" if index in self._calling and delta.partial_json:
                self._call(index, None, delta.partial_json, parts)
            case _:
                pass  # signatures, citations

    def _say(self, kind: str, text: str, parts: list[Pair]) -> None:
        if not self._speech.say(kind, text, parts):
            self._fail(self._failures.error("sent an answer over every limit", PROVIDER_PROTOCOL))

    def _call(self, index: int, block: _Block | None, arguments: str, parts: list[Pair]) -> None:
        part = self._calls.add(
            index,
            identity=block.id if block is not None else "",
            name=block.name if block is not None else None,
            arguments=arguments,
        )
        if part is not None:
            parts.append(part)
        else:
            self._fail(self._failures.error("sent calls of tools over every limit", PROVIDER_PROTOCOL))

    def _close(self, reason: str, parts: list[Pair]) -> None:
        if reason in _TOLD:
            parts.append(Part("metadata", {"finish_reason": reason}))
        self._reason = _REASONS.get(reason, "stop")
        self.complete = True

    def _count(self, usage: _Usage | None) -> None:
        # Counts are cumulative; those of `message_delta` are the last word, where it has them.
        if usage is not None:
            for name in usage.__struct_fields__:
                if (value := getattr(usage, name)) is not None:
                    setattr(self._usage, name, value)

    def _finish(self) -> list[Pair]:
        self.ended = True
        if self._reason is None:
            self.error = self._failures.error("ended the stream before its answer was complete", PROVIDER_CUT)
            return []
        parts = self._calls.close_all()
        if self._usage.output_tokens is not None:
            parts.append(Part("usage", _counts(self._usage)))
        return [*parts, Part("finish", {"reason": self._reason})]

    def _fail(self, error: ProviderError) -> None:
        self.ended = True
        self.error = error


def _counts(usage: _Usage) -> dict[str, int]:
    """Input includes what was written to and read from the cache, as with OpenAI and in OpenTelemetry's conventions."""
    cached = usage.cache_read_input_tokens or 0
    asked = (usage.input_tokens or 0) + (usage.cache_creation_input_tokens or 0) + cached
    counts = {"input_tokens": asked, "output_tokens": usage.output_tokens or 0}
    if cached:
        counts["cached_input_tokens"] = cached
    return counts
