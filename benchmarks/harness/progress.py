"""What one sees while it runs: a line per measurement, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TextIO

from harness.results import Cell, Key

SLOWEST: Final = 3.0
FASTEST: Final = 0.4


def rate_text(rate: int) -> str:
    return f"{rate}/s" if rate else "unthrottled"


def where(key: Key) -> str:
    """A key as one reads it: `1,000 × 50/s`."""
    if not key.watchers:
        return key.variant
    parts = [f"{key.watchers:,}"]
    if key.workload not in ("idle", "storm"):
        parts.append(f"× {rate_text(key.rate)}")
    return " ".join([*parts, key.variant]).strip()


SHOWN: Final[dict[str, tuple[tuple[str, str, float], ...]]] = {
    "fanout": (
        ("cpu_us", "{:.2f} µs", 1),
        ("p99_ms", "p99 {:.1f} ms", 1),
        ("per_second", "{:,.0f}/s", 1),
        ("events_per_read", "{:.1f} per read", 1),
    ),
    "turns": (
        ("cpu_us", "{:.2f} µs", 1),
        ("times_floor", "{:.2f} × the floor", 1),
        ("p99_ms", "p99 {:.1f} ms", 1),
        ("events_per_read", "{:.1f} per read", 1),
    ),
    "idle": (("anonymous_bytes", "{:.1f} KiB each", 1 / 1024), ("connect_seconds", "connected in {:.2f} s", 1)),
    "connect": (("seconds", "connected in {:.2f} s", 1),),
    "proxy": (
        ("cpu_us", "{:.2f} µs", 1),
        ("p99_ms", "p99 {:.1f} ms", 1),
        ("delivered_share", "{:.0%} delivered", 1),
    ),
    "storm": (("seconds", "{:.2f} s", 1), ("cpu_seconds", "{:.2f} s CPU", 1)),
    "stalled": (("p99_ms", "p99 {:.1f} ms", 1), ("anonymous_growth", "{:+.1f} MiB", 1 / 2**20)),
    "store": (("cpu_us", "{:.2f} µs", 1), ("p99_ms", "p99 {:.2f} ms", 1)),
}
"""Which values of a workload are worth a glance: name, format, factor."""


def outcome(cell: Cell) -> str:
    shown = SHOWN.get(cell.key.workload, SHOWN["fanout"])
    figures = [text.format(cell.values[name] * factor) for name, text, factor in shown if name in cell.values]
    problems = [f"{cell.status}: {cell.reason}"] if cell.status != "ok" else []
    lost = cell.values.get("gaps", 0) + cell.values.get("duplicates", 0)
    return " · ".join([*figures, *([f"{lost:,.0f} gaps or duplicates"] if lost else []), *problems])


class Progress:
    """Prints the cells, and learns from the steps so far how long the others take."""

    def __init__(self, estimate: float, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._estimate = estimate
        self._out = out
        self._clock = clock
        self._began = clock()
        self._done = 0.0

    def cell(self, cell: Cell) -> None:
        key = cell.key
        place = f"{key.workload:8} {key.system:20} {where(key):28}"
        print(f"{duration(self.left()):>6} left  {place} {outcome(cell)}", file=self._out, flush=True)

    def step_done(self, estimate: float) -> None:
        self._done += estimate

    def left(self) -> float:
        """Seconds: what is estimated for the rest, at the pace of what is done."""
        spent = self._clock() - self._began
        pace = min(SLOWEST, max(FASTEST, spent / self._done)) if self._done else 1.0
        return max(0.0, self._estimate * pace - spent)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
