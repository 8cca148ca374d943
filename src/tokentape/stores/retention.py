"""How long a stream is kept: the clock that measures it, the lifetime of one stream, and what a size bound trims."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from tokentape.stores.base import Retention


class Clock:
    """Two readings: `wall_ms` for time stamps and `expires_at`, `steady` for ages.

    `steady` is the wall clock as it stood when the store was opened, carried on by the monotonic clock. So
    ages can be written down and read again by the next process, and yet no jump of the wall clock lets a
    stream expire, or keeps it for ever.
    """

    def __init__(self, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._now = now
        self.monotonic = monotonic
        self._base = now() - monotonic()

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return int(self._now() * 1000)

    def steady(self) -> float:
        """Seconds since the Unix epoch, as this process has counted them since it opened the store."""
        return self._base + self.monotonic()


class Lifetime:
    """When a stream runs out, by its retention. Moments are steady seconds, `math.inf` for never."""

    __slots__ = ("_retention", "closed_until", "deadline", "idle_until", "mortal", "slides")

    def __init__(
        self,
        retention: Retention,
        steady: float,
        *,
        idle_until: float | None = None,
        closed_until: float | None = None,
    ) -> None:
        self._retention = retention
        self.slides = retention.idle > 0
        """Whether reads and appends renew it."""
        self.closed_until = math.inf if closed_until is None else closed_until
        self.idle_until = math.inf
        if retention.idle:
            self.idle_until = steady + retention.idle if idle_until is None else idle_until
        self._set_deadline()

    def renew(self, steady: float) -> None:
        """A read or an append happened."""
        if self.slides:
            self.idle_until = steady + self._retention.idle
            self._set_deadline()

    def close(self, steady: float) -> None:
        """The stream was closed."""
        if self._retention.after_close:
            self.closed_until = steady + self._retention.after_close
            self._set_deadline()

    def over(self, clock: Clock) -> bool:
        """Whether it has run out."""
        if self.deadline < math.inf and clock.steady() >= self.deadline:
            return True
        expires_at = self._retention.expires_at
        return expires_at > 0 and clock.wall_ms() >= expires_at

    def _set_deadline(self) -> None:
        self.deadline = min(self.idle_until, self.closed_until)
        self.mortal = self.deadline < math.inf or self._retention.expires_at > 0
        """Whether it can run out at all, as things stand; asked at every append, before `over`."""


def excess(size: int, max_bytes: int) -> int:
    """How many bytes to trim from a log of `size` bytes.

    An eighth more than the bound asks for, so that a full log is trimmed once in a while and not at every append.
    """
    if not max_bytes or size <= max_bytes:
        return 0
    return size - max_bytes + max_bytes // 8


def oldest(sizes: Iterable[int], amount: int) -> tuple[int, int]:
    """How many of the oldest records make up at least `amount` bytes (or all), and how many bytes those are."""
    count = dropped = 0
    for size in sizes:
        if dropped >= amount:
            break
        count += 1
        dropped += size
    return count, dropped
