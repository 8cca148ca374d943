"""What other people's formats over SSE have in common: most have no word for how a view begins, or for what is not
stored, and tell one run, which cannot be taken back. A dialect says more where its format has the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tokentape.core.events import Event
from tokentape.core.resume import Ready


class ForeignSse:
    """The silent parts of an `SseDialect` (see `tokentape.dialects.base`)."""

    stateful = True
    starts_over = False
    of_run = True
    headers: Mapping[str, str] = {}
    heeds_retry: ClassVar[bool] = False
    """Whether an `EventSource` may read it. Other SDKs take a block that holds only `retry:` for an event."""

    def ready(self, label: str, ready: Ready) -> bytes:
        """Nothing: the run itself says how it begins."""
        return b""

    def ephemeral(self, label: str, event: Event) -> bytes:
        """Nothing."""
        return b""

    def size(self, content: object) -> int:
        """Bytes of `content`."""
        assert isinstance(content, bytes)
        return len(content)

    def farewell(self, pause_ms: int) -> bytes:
        """A comment, and when to come back where that is understood."""
        retry = b"retry: %d\n" % pause_ms if self.heeds_retry else b""
        return b": the server is going away\n%b\n" % retry
