"""Medians with their ranges, and ratios of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One quantity over the rounds in which it was measured."""

    median: float
    low: float
    high: float
    rounds: int

    def to_json(self) -> dict[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high, "rounds": self.rounds}

    @classmethod
    def from_json(cls, value: Mapping[str, float]) -> Figure:
        return cls(median=value["median"], low=value["low"], high=value["high"], rounds=int(value["rounds"]))


def figure(values: Iterable[float]) -> Figure:
    """The median and the range; of an even number of rounds the median is the mean of the two in the middle."""
    measured = sorted(values)
    if not measured:
        raise ValueError("no values to take a median of")
    return Figure(median=statistics.median(measured), low=measured[0], high=measured[-1], rounds=len(measured))


def ratio(numerator: Figure | None, denominator: Figure | None) -> float | None:
    """How many times the second the first is, by medians; None when one is missing or the second is zero."""
    if numerator is None or denominator is None or denominator.median == 0:
        return None
    return numerator.median / denominator.median
