"""What the decoders of both formats share: their interface, the caps, and calls of tools as they build up.

Decoders are sans-I/O: the data of server-sent events in, parts out. They never raise: an error in the stream comes
after the parts before it, however the bytes were cut, so `receive` returns those and `error` says the rest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from tokentape.providers.base import PROVIDER_PROTOCOL, Pair, Part, ProviderError
from tokentape.providers.documents import Document
from tokentape.providers.failures import Failures

MAX_OUTPUT: Final = 33_554_432
"""Characters of one answer, reasoning and arguments included. The run's own limit is lower; this one is against
a provider that has gone mad."""
MAX_ARGUMENTS: Final = 1_048_576
"""Characters of the arguments of all calls of one answer: they are held until each call is complete."""
MAX_CALLS: Final = 128

_T = TypeVar("_T")


class AnswerDecoder(Protocol):
    """Reads one answer."""

    error: ProviderError | None
    """What ended it before its time. It comes after every part that was returned."""
    complete: bool
    """The answer is there; only its trailer (usage, the end mark) may be missing."""
    ended: bool
    """Nothing more will come, or is wanted."""

    def receive(self, documents: Sequence[Document]) -> list[Pair]:
        """Takes the data of the next events; returns what they bring."""
        ...

    def receive_eof(self) -> list[Pair]:
        """The stream is over; returns what was held back, or sets `error` when the answer is not complete."""
        ...


UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeError)
"""What msgspec raises for a document that is not as its type says."""


def decode(decoder: msgspec.json.Decoder[_T], document: Document, failures: Failures) -> _T | ProviderError:
    """One event's JSON, typed; an error for what is not as the format says.

    A byte that is not UTF-8 is U+FFFD, as the standard of event streams has it.
    """
    data = document if isinstance(document, str) else str(document, "utf-8", "replace")
    try:
        return decoder.decode(data)
    except UNREADABLE as error:
        if "\\ud" in data.lower() and (read := _leniently(decoder, data)) is not None:
            return read
        # msgspec names the place and the types, never the content.
        return failures.error(f"sent an event that cannot be read ({error})", PROVIDER_PROTOCOL)


def _leniently(decoder: msgspec.json.Decoder[_T], data: str) -> _T | None:
    """JSON with half a surrogate pair in it, which is what comes of cutting text between two UTF-16 units."""
    try:
        return msgspec.convert(json.loads(data), decoder.type)
    except (ValueError, RecursionError):
        return None


class Halves:
    """Puts characters together again whose two UTF-16 halves came in two pieces of a text."""

    __slots__ = ("_first",)

    def __init__(self) -> None:
        self._first = ""

    @property
    def torn(self) -> bool:
        """Whether half a character is held back."""
        return self._first != ""

    def whole(self, text: str) -> str:
        """The text with what was held back before it, and without a half at its end. A half alone is U+FFFD."""
        if not self._first and _is_whole(text):
            return text
        text = self._first + text
        self._first = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = text.removesuffix(self._first)
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _is_whole(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Speech:
    """What an answer says, in whole characters and within the cap.

    Every token counts here, so a decoder may do for itself what nearly each of them needs: take its length from `left`,
    if nothing is `torn` and the text was read as the standard has it, which no half of a character is.
    """

    __slots__ = ("_halves", "left", "torn")

    def __init__(self, limit: int = MAX_OUTPUT) -> None:
        self.left = limit
        """How much more it may say."""
        self.torn = False
        """Whether half a character is held back."""
        self._halves = {"token": Halves(), "reasoning": Halves()}

    def say(self, kind: str, text: str, parts: list[Pair]) -> bool:
        """Adds a piece of text to the parts; False past the cap."""
        if self.torn or not text.isascii():
            text = self._halves[kind].whole(text)
            self.torn = any(halves.torn for halves in self._halves.values())
        self.left -= len(text)
        if self.left < 0:
            return False
        if text:
            parts.append((kind, text))
        return True

    def say_both(self, thought: str | None, text: str | None, parts: list[Pair]) -> bool:
        """Adds what one piece of an answer may have of both kinds; False past the cap."""
        return (not thought or self.say("reasoning", thought, parts)) and (not text or self.say("token", text, parts))


class _Call:
    __slots__ = ("arguments", "halves", "id", "name", "told")

    def __init__(self, identity: str) -> None:
        self.id = identity
        self.name = ""
        self.arguments: list[str] = []
        self.halves = Halves()
        self.told = False


class ToolCalls:
    """The calls of one answer, by their place in it."""

    def __init__(self) -> None:
        self._open: dict[int, _Call] = {}
        self._left = MAX_ARGUMENTS

    def place(self, index: int | None, identity: str | None) -> int:
        """Where a fragment belongs when the provider does not say: a new id begins a call, else it is the last."""
        if index is not None:
            return index
        last = len(self._open) - 1
        if last < 0 or (identity and self._open[last].id != identity):
            return last + 1
        return last

    def add(self, index: int, *, identity: str, name: str | None, arguments: str) -> Part | None:
        """A fragment of the call at `index`; None past the caps. `identity` counts at the call's first fragment."""
        call = self._open.get(index)
        if call is None:
            if len(self._open) >= MAX_CALLS:
                return None
            call = self._open[index] = _Call(identity)
        if name and not call.told:
            call.name += name
        arguments = call.halves.whole(arguments)
        self._left -= len(arguments)
        if self._left < 0:
            return None
        call.arguments.append(arguments)
        data: dict[str, Any] = {"id": call.id, "arguments": arguments}
        if not call.told:
            call.told = True
            data = {"id": call.id, "name": call.name, "arguments": arguments}
        return Part("tool_call_delta", data)

    def close(self, index: int) -> list[Part]:
        """The complete call at `index`, once."""
        call = self._open.pop(index, None)
        return [] if call is None else [_complete(call)]

    def close_all(self) -> list[Part]:
        """All complete calls, in the order in which they began."""
        parts = [_complete(call) for call in self._open.values()]
        self._open.clear()
        return parts


def _complete(call: _Call) -> Part:
    arguments = "".join(call.arguments) or "{}"
    return Part("tool_call", {"id": call.id, "name": call.name, "arguments": arguments})
