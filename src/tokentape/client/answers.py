"""What a server answers, as values. Members that a later server adds are passed over."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from tokentape.core.events import Event

T = TypeVar("T")


class Located(msgspec.Struct, frozen=True):
    """An event with its position."""

    cursor: str
    event: Event


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of the past. Watching from `cursor` goes on live without a gap; `next` asks for the next page."""

    items: list[T]
    cursor: str
    next: str | None = None


class Present(msgspec.Struct, frozen=True):
    """Somebody who is present on a channel."""

    id: str
    data: Any = None


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as it is now: retained offsets are `first`…`last`. Times are milliseconds since the Unix epoch."""

    name: str
    cursor: str
    """Its end."""
    first: int
    last: int
    bytes: int
    closed: bool
    kind: str | None = None
    """`run`, `channel`, or what whoever made it says."""
    created_at: int = 0
    appended_at: int = 0
    closed_at: int = 0
    watchers: int = 0
    """How many watch it through the process that answered."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A configured model; `provider` is its kind, `model` the provider's own name for it."""

    name: str
    provider: str
    model: str = ""
    default: bool = False
