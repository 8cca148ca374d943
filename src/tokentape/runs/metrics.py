"""What runs count, for each read from a provider: once, whatever it brought."""

from __future__ import annotations

from typing import Final, NamedTuple

from tokentape.core.metrics import Histogram

RATE_WINDOW: Final = 2.0
"""Seconds after which a run's rate begins to forget: it is over the last two to four."""


class RunMetrics:
    """Totals of the runs that this process executes, since it began."""

    __slots__ = ("inter_token", "started", "tokens", "ttft")

    def __init__(self) -> None:
        self.started = 0
        self.tokens = 0
        """Pieces of text, reasoning and arguments, as the provider sent them."""
        self.ttft = Histogram()
        """From the beginning of a run to its first token."""
        self.inter_token = Histogram()
        """Between two reads that brought tokens, of one run."""


class Progress(NamedTuple):
    """How far a run is that this process executes."""

    tokens: int
    rate: float
    """Tokens in a second, lately."""
    first_at: int
    """When its first token came, in milliseconds since the Unix epoch; 0 for not yet."""
    tries: int
    """Requests to providers so far."""
    messages: int
    """In the request."""


class Meter:
    """The tokens of one run."""

    __slots__ = (
        "_before",
        "_before_at",
        "_began",
        "_last",
        "_mark",
        "_mark_at",
        "_metrics",
        "first_at",
        "tokens",
        "tries",
    )

    def __init__(self, metrics: RunMetrics) -> None:
        self.tokens = 0
        self.first_at = 0
        self.tries = 0
        self._metrics = metrics
        self._began = 0.0
        self._last = 0.0
        # The count at two moments, each the other's successor after every window.
        self._before, self._before_at = 0, 0.0
        self._mark, self._mark_at = 0, 0.0

    def begin(self, now: float) -> None:
        """The run has begun."""
        self._began = self._before_at = self._mark_at = now
        self._metrics.started += 1

    def add(self, tokens: int, now: float) -> None:
        """A read has brought tokens."""
        self.tokens += tokens
        self._metrics.tokens += tokens
        if self.first_at:
            self._metrics.inter_token.add(now - self._last)
        else:
            self.first_at = int(now * 1000)
            self._metrics.ttft.add(now - self._began)
        self._last = now
        if now - self._mark_at >= RATE_WINDOW:
            self._before, self._before_at = self._mark, self._mark_at
            self._mark, self._mark_at = self.tokens, now

    def progress(self, now: float, *, messages: int) -> Progress:
        """How far it is."""
        if now - self._mark_at >= 2 * RATE_WINDOW:
            rate = 0.0  # it says nothing now
        else:
            seconds = now - self._before_at
            rate = (self.tokens - self._before) / seconds if self._before_at and seconds > 0 else 0.0
        return Progress(self.tokens, rate, self.first_at, self.tries, messages)
