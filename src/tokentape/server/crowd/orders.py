"""What a crowd is told, and what it tells."""

from __future__ import annotations

from typing import Literal

import msgspec

Transport = Literal["sse", "websocket"]
State = Literal["idle", "connecting", "watching", "ended"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to watch, how, and for how long."""

    host: str
    port: int
    root: str
    """Before the path of every route."""
    headers: dict[str, str]
    """With which the server lets them in."""
    transport: Transport
    stream: str
    cursor: str
    """Where all of them begin."""
    contiguous: bool
    """Whether the offsets of this view have no gaps of their own."""
    watchers: int
    seconds: float
    """From when all are connected."""


class Delay(msgspec.Struct, frozen=True):
    """From an event's `at` to its arrival, in milliseconds; null when nothing came live.

    Events bear whole milliseconds, so this is up to one too long. Of each piece that came, its oldest event counts.
    """

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How the crowd is."""

    state: State = "idle"
    connected: int = 0
    received: int = 0
    """Events, of all of them together."""
    lost: int = 0
    repeated: int = 0
    reconnected: int = 0
    """Connections that were lost, and taken up again where they were."""
    delay: Delay = Delay()
    equal: bool | None = None
    """At the end: whether all got the same bytes; null when that cannot be said."""
    error: str | None = None
