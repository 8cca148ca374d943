"""What the hub counts: for each flush and group of watchers, never for each watcher and event."""

from __future__ import annotations

from typing import Final

from tokentape.core.metrics import Histogram
from tokentape.core.resume import Outcome

OUTCOMES: Final[tuple[Outcome, ...]] = ("replayed", "snapshot", "live", "gone")


class HubMetrics:
    """Totals since the process began. The server's own streams count into another one."""

    __slots__ = ("aborted", "bytes_out", "delivered", "delivery", "events", "outcomes", "reconnects")

    def __init__(self) -> None:
        self.events = 0
        """Accepted by the store, from this process."""
        self.delivered = 0
        """Recorded events that were handed to watchers; merged ones count as what they were merged of."""
        self.bytes_out = 0
        """Of these events, in the format and framing of each watcher; without heads, announcements and heartbeats."""
        self.outcomes: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        """How watches began."""
        self.reconnects = 0
        """Watches that began at a position that their client held."""
        self.aborted = 0
        """Watches that ended before what they watched: their client went, or was sent away."""
        self.delivery = Histogram()
        """From the acceptance of the oldest event of a flush until a batch of its watchers had been written to; of
        those who are up to date, since who is behind waits for himself."""
