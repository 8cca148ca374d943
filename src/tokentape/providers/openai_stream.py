"""Reads a Chat Completions stream, as OpenAI sends it and as those who speak its format do.

Source: OpenAI's API reference, "Chat Completions, streaming"; wire-format facts in docs/adr/0004.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokentape.providers.base import PROVIDER_CUT, PROVIDER_OVERLOADED, PROVIDER_PROTOCOL, Pair, Part, ProviderError
from tokentape.providers.decoding import UNREADABLE, Speech, ToolCalls, decode
from tokentape.providers.documents import Document
from tokentape.providers.failures import Failures

DONE: Final = ("[DONE]", b"[DONE]")
_REASONS: Final = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls"}
_TOLD: Final = frozenset({"content_filter"})
"""Reasons that are a `stop` to a run, and that its reader should know of."""


# Without garbage collection: they are made for each token, point only downwards, and live as long as one call.


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    """DeepSeek's name, which vLLM, SGLang and llama.cpp took over."""
    reasoning: str | None = None
    """OpenRouter's, Groq's and Ollama's."""
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None
    index: int = 0


class _Details(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct, gc=False):
    id: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_chunks: Final = msgspec.json.Decoder(_Chunk)
_decode: Final = _chunks.decode


class ChatDecoder:
    """One answer in Chat Completions chunks (see `decoding.AnswerDecoder`)."""

    __slots__ = ("_calls", "_failures", "_reason", "_speech", "_usage", "complete", "ended", "error")

    def __init__(self, failures: Failures) -> None:
        self.error: ProviderError | None = None
        self.complete = False
        self.ended = False
        self._failures = failures
        self._calls = ToolCalls()
        self._speech = Speech()
        self._reason: str | None = None
        self._usage: _Usage | None = None

    def receive(self, documents: Sequence[Document]) -> list[Pair]:
        """Takes the data of the next events; returns what they bring."""
        parts: list[Pair] = []
        speech = self._speech
        for document in documents:
            if self.ended:
                break
            # Done for each token, and so not in small steps.
            strict = True
            try:
                chunk = _decode(document)
            except UNREADABLE:
                strict = False
                other = self._decode_other(document, parts)
                if other is None:
                    break
                chunk = other
            if chunk.error is not None:
                self._fail(self._failures.in_band(chunk.error))
                break
            if chunk.usage is not None:
                self._usage = chunk.usage
            for choice in chunk.choices or ():
                if choice.index != 0:
                    continue
                delta = choice.delta
                if delta is not None:
                    thought = delta.reasoning_content or delta.reasoning
                    text = delta.content or delta.refusal
                    if text and strict and not thought and not speech.torn and (left := speech.left - len(text)) >= 0:
                        speech.left = left
                        parts.append(("token", text))
                    elif not speech.say_both(thought, text, parts):
                        self._fail(self._failures.error("sent an answer over every limit", PROVIDER_PROTOCOL))
                    if delta.tool_calls:
                        self._call(delta.tool_calls, chunk.id, parts)
                if choice.finish_reason and not self.ended:
                    self._close(choice.finish_reason, parts)
        return parts

    def receive_eof(self) -> list[Pair]:
        """The stream is over: that is the answer's end too when a finish reason came, with or without `[DONE]`."""
        return [] if self.ended else self._finish("ended the stream before its answer was complete")

    def _decode_other(self, document: Document, parts: list[Pair]) -> _Chunk | None:
        """What is not plain JSON of the right types; None when it is the end, be it the right one."""
        if document in DONE:
            parts += self._finish("sent the end mark before its answer was complete")
            return None
        chunk = decode(_chunks, document, self._failures)
        if isinstance(chunk, _Chunk):
            return chunk
        self._fail(chunk)
        return None

    def _call(self, fragments: Sequence[_ToolCall], chunk_id: str | None, parts: list[Pair]) -> None:
        for fragment in fragments:
            function = fragment.function or _Function()
            index = self._calls.place(fragment.index, fragment.id)
            part = self._calls.add(
                index,
                identity=fragment.id or f"call_{chunk_id or 'unnamed'}_{index}",
                name=function.name,
                arguments=function.arguments or "",
            )
            if part is not None:
                parts.append(part)
            elif not self.ended:
                self._fail(self._failures.error("sent calls of tools over every limit", PROVIDER_PROTOCOL))

    def _close(self, reason: str, parts: list[Pair]) -> None:
        if reason == "error":
            # OpenRouter's mark on a chunk whose error object is missing.
            self._fail(self._failures.error("failed during the answer", PROVIDER_OVERLOADED))
            return
        parts += self._calls.close_all()
        if reason in _TOLD:
            parts.append(Part("metadata", {"finish_reason": reason}))
        self._reason = _REASONS.get(reason, "stop")
        self.complete = True

    def _finish(self, otherwise: str) -> list[Pair]:
        self.ended = True
        if self._reason is None:
            self.error = self._failures.error(otherwise, PROVIDER_CUT)
            return []
        parts = [] if self._usage is None else [Part("usage", _counts(self._usage))]
        return [*parts, Part("finish", {"reason": self._reason})]

    def _fail(self, error: ProviderError) -> None:
        self.ended = True
        self.error = error


def _counts(usage: _Usage) -> dict[str, int]:
    counts = {"input_tokens": usage.prompt_tokens or 0, "output_tokens": usage.completion_tokens or 0}
    if (details := usage.prompt_tokens_details) is not None and details.cached_tokens:
        counts["cached_input_tokens"] = details.cached_tokens
    if (details := usage.completion_tokens_details) is not None and details.reasoning_tokens:
        counts["reasoning_tokens"] = details.reasoning_tokens
    return counts
