"""The dialect contract: entries in, what one kind of connection writes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from tokentape.core.events import Event
from tokentape.core.merge import Entry
from tokentape.core.resume import Ready

Content_co = TypeVar("Content_co", covariant=True)
"""What a connection takes: bytes for SSE, a tuple of messages for a WebSocket, entries for a reader in process."""


class Dialect(Protocol[Content_co]):
    """One wire format in one framing. Pure and shared: the hub encodes once for all who watch the same way.

    `label` is the name by which the watcher asked for the stream. Implementations MUST be hashable and
    equal only to what encodes identically; module-level instances do.
    """

    name: str

    def ready(self, label: str, ready: Ready) -> Content_co:
        """The announcement with which a view opens, or starts over."""
        ...

    def encode(self, label: str, epoch: str, entries: Sequence[Entry]) -> Content_co:
        """Stored events, each with its cursor."""
        ...

    def ephemeral(self, label: str, event: Event) -> Content_co:
        """An event that is not stored, and so has no cursor."""
        ...

    def end(self, label: str, epoch: str, entries: Sequence[Entry], *, offset: int) -> Content_co:
        """The last events of a run's own view (maybe none), with whatever this format closes with."""
        ...

    def size(self, content: object) -> int:
        """Bytes of `content`, for buffer accounting."""
        ...
