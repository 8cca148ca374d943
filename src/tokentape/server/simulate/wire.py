"""What both formats of the simulator have in common: how a request is read, and what a format must be able to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from tokentape.core.errors import BadRequest
from tokentape.core.sse import encode_sse
from tokentape.providers.base import Generation, Part
from tokentape.providers.simulation import Options

_encoder = msgspec.json.Encoder()


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request, understood."""

    generation: Generation
    options: Options
    stream: bool
    usage: bool = True
    """Whether the stream should report it."""


class Wire(Protocol):
    """One answer in one format; stateful, and sans-I/O."""

    def begin(self) -> bytes:
        """What comes before the first part."""
        ...

    def say(self, parts: Iterable[Part]) -> bytes:
        """The next parts."""
        ...

    def oddity(self, fault: str) -> bytes:
        """An event without content: `empty-choices` or `null-content`, or the nearest that the format has."""
        ...

    def fail(self) -> bytes:
        """An error in the stream."""
        ...

    def end(self, finish: str, usage: Mapping[str, int], *, mark: bool) -> bytes:
        """The end; without the end mark when `mark` is False."""
        ...

    def document(self, parts: Iterable[Part], finish: str, usage: Mapping[str, int]) -> bytes:
        """The whole answer at once."""
        ...


def event(data: Any, name: str | None = None) -> bytes:
    """One server-sent event with JSON in it."""
    return encode_sse(_encoder.encode(data), event=name)


def read_options(
    defaults: Mapping[str, Any], model: str, header: str, body: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The model's name without its suffix, and the options. The later go before: suffix, header, body.

    The suffix is `<model>?rate=50,tokens=20`; raises `BadRequest`.
    """
    name, _, suffix = model.partition("?")
    own = body.get("simulated", {})
    if not isinstance(own, dict):
        raise BadRequest("`simulated` must be an object.")
    return name, {**defaults, **Options.pairs(suffix), **Options.pairs(header), **own}


def read_messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The `messages` of a request; raises `BadRequest`."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("`messages` must be a list with at least one message.")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest(f"`messages[{place}]` must be an object with a `role`.")
    return messages
