"""What a client makes of each format, written from the format's own documents: the other side of every dialect.

A reader takes the bytes of a whole view, and returns what its user would then have. A new dialect brings its reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

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


def native(body: bytes) -> Assembled:
    text, reasoning, ended = "", "", False
    calls: dict[str, list[str]] = {}
    error = None
    for frame in frames(body):
        if frame.data == "[DONE]":
            ended = True
            continue
        event: dict[str, Any] = json.loads(frame.data)
        data = event["data"]
        match event["type"]:
            case "token":
                text += data
            case "reasoning":
                reasoning += data
            case "tool_call":
                calls[data["id"]] = [data["name"], data["arguments"]]
            case "reset":
                text, reasoning, calls, error = "", "", {}, None
            case "error":
                error = data["message"]
    return Assembled(text, reasoning, [(call, *told) for call, told in calls.items()], error, ended)  # type: ignore[misc]


READERS: Final[dict[str, Callable[[bytes], Assembled]]] = {"native": native}
"""By the name of the format."""
