"""Numbers that are counted where something happens, and read by whoever looks: counters are plain integers, and
durations go into histograms.

A histogram has fixed buckets, sixteen to each factor of ten. An observation is noted, and sorted into its bucket
together with hundreds of others, or when somebody looks; a window over the last seconds is the difference of two
snapshots, so nothing is kept per observation; and buckets of all processes can be added up, which percentiles and
reservoirs cannot. It is also what a Prometheus histogram is made of. What that costs is precision: a percentile is
known to some 7 %.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

PER_DECADE: Final = 16
LOWEST: Final = 1e-5
DECADES: Final = 8
BOUNDS: Final = tuple(LOWEST * 10 ** (step / PER_DECADE) for step in range(DECADES * PER_DECADE + 1))
"""Upper bounds of the buckets, in seconds: from 10 µs to 1000 s; one more bucket has what is longer."""
AT_ONCE: Final = 512
"""Observations that are sorted into their buckets together: for each, a fifth of what one alone takes."""


class Percentiles(NamedTuple):
    """Of so many observations, in seconds; None of none."""

    observations: int
    p50: float | None
    p90: float | None
    p99: float | None


class Histogram:
    """How long something took, over the life of the process."""

    __slots__ = ("_counts", "_new", "_total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._total = 0.0
        self._new: list[float] = []
        """What is in no bucket yet."""

    def add(self, seconds: float) -> None:
        """One observation; a clock that was set back counts as no time."""
        new = self._new
        new.append(seconds)
        if len(new) >= AT_ONCE:
            self._sort()

    @property
    def counts(self) -> Sequence[int]:
        """Of each bucket alone, not of those below it."""
        self._sort()
        return self._counts

    @property
    def count(self) -> int:
        """Of all observations."""
        return sum(self.counts)

    @property
    def total(self) -> float:
        """The sum of all, in seconds."""
        self._sort()
        return self._total

    def _sort(self) -> None:
        new, self._new = self._new, []
        if not new:
            return
        new.sort()
        self._total += sum(new[bisect_right(new, 0.0) :])
        # Only those buckets are gone through that have any.
        first, last = bisect_left(BOUNDS, new[0]), bisect_left(BOUNDS, new[-1])
        below = 0
        for place in range(first, last):
            reached = bisect_right(new, BOUNDS[place], below)
            self._counts[place] += reached - below
            below = reached
        self._counts[last] += len(new) - below


class Window:
    """The percentiles of a histogram over the last few looks at it."""

    def __init__(self, histogram: Histogram, *, looks: int) -> None:
        self._histogram = histogram
        self._before: deque[list[int]] = deque([list(histogram.counts)], maxlen=looks)

    def look(self) -> Percentiles:
        """What came since so many looks ago; for one to be called in a steady beat."""
        now = list(self._histogram.counts)
        before = self._before[0]
        self._before.append(now)
        return percentiles([count - old for count, old in zip(now, before, strict=True)])


def percentiles(counts: Sequence[int]) -> Percentiles:
    """Of the observations in such buckets."""
    below = list(accumulate(counts))
    count = below[-1]
    if not count:
        return Percentiles(0, None, None, None)
    return Percentiles(count, *(_at(share, counts, below) for share in (0.5, 0.9, 0.99)))


def _at(share: float, counts: Sequence[int], below: Sequence[int]) -> float:
    """Where so much of the observations lies below, as if those of a bucket were spread evenly over it."""
    wanted = share * below[-1]
    place = bisect_left(below, wanted)
    if place >= len(BOUNDS):
        return BOUNDS[-1]
    low, high = (BOUNDS[place - 1] if place else 0.0), BOUNDS[place]
    within = (wanted - (below[place] - counts[place])) / counts[place]
    return low + (high - low) * within
