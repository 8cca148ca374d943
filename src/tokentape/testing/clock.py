"""A clock that moves when told to."""

from __future__ import annotations

START = 1_700_000_000.0
"""14 November 2023, in seconds since the Unix epoch."""


class ManualClock:
    """Stands in for `time.time` (`now`) and `time.monotonic` (`monotonic`); both stand still until moved."""

    def __init__(self, start: float = START) -> None:
        self._wall = start
        self._monotonic = 1000.0

    def __call__(self) -> float:
        """The same as `now`, for whoever takes a clock as a function."""
        return self._wall

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds since some moment; never jumps."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Time passes."""
        if seconds < 0:
            raise ValueError(f"time does not pass backwards: {seconds}. Use jump() to set the wall clock.")
        self._wall += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock, forwards or backwards, while no time passes."""
        self._wall += seconds
