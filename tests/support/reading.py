"""What a reader of a format gives, and what it reads."""

from __future__ import annotations

from typing import NamedTuple

from tokentape.core.sse import SseDecoder


class Assembled(NamedTuple):
    """What the user has: `None` for what the format cannot say."""

    text: str
    reasoning: str | None = None
    calls: list[tuple[str, str, str]] | None = None
    """Tool calls as (id, name, arguments)."""
    error: str | None = None
    """What it says of a failure."""
    ended: bool = False
    """Whether the client takes it for complete."""


class Frame(NamedTuple):
    """One block of an event stream."""

    event: str
    data: str
    id: str | None


def frames(body: bytes) -> list[Frame]:
    """The blocks of an event stream, read as browsers do."""
    return [Frame(block.event, block.data, block.id) for block in SseDecoder().receive_data(body)]
