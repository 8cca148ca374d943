"""One figure: events out, all of them in, and what that took of the server's core."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from harness.drive import Report, Server, Watchers
from harness.results import Cell, Key

LATE: Final = 1.1
"""Times the planned length; with `LATE_SECONDS` on top, what takes longer is a system that does not keep up."""
LATE_SECONDS: Final = 0.15
PATIENCE: Final = 2.5
"""Times the planned length that a measurement may take. What is known to need longer is not begun."""
PATIENCE_SECONDS: Final = 4.0
PROBE_SECONDS: Final = 0.2
"""A probe that took this long says how fast a system is."""
FIRST_PROBE: Final = 20_000
"""Deliveries of the first probe: a second of the slowest system that anybody uses."""
LARGEST_STEP: Final = 12
MOST_DELIVERIES: Final = 8_000_000
"""Of one unthrottled measurement: what the load client counts in one and a half seconds when they come merged."""


@dataclass
class Capacity:
    """What was seen of the systems so far: deliveries per second, by system and number of watchers."""

    unthrottled: dict[tuple[str, int], float] = field(default_factory=dict)
    behind: dict[str, float] = field(default_factory=dict)
    """What a system did when it was last asked for more than it could do, by system."""

    def hopeless(self, system: str, watchers: int, rate: int) -> str | None:
        """Why a load is not worth trying, when a lower one already was too much."""
        most = max((speed for (name, _), speed in self.unthrottled.items() if name == system), default=0.0)
        most = max(most, self.behind.get(system, 0.0))
        if not most or not rate or watchers * rate <= most * PATIENCE:
            return None
        return f"{most:,.0f} deliveries/s is the most that was seen of it, and this asks for {watchers * rate:,}"


def steady(server: Server, watchers: Watchers, key: Key, *, round_: int, seconds: float, capacity: Capacity) -> Cell:
    """Events at a fixed rate for a while."""
    count = max(2, round(key.rate * seconds))
    window = _Window(server, watchers)
    server.emit(key.rate, count)
    limit = seconds * PATIENCE + PATIENCE_SECONDS
    missing = watchers.missing(server.emitted, seconds=limit)
    values, report = window.values(missing)
    if missing:
        capacity.behind[server.system.name] = values["per_second"]
        return _incomplete(key, round_, values, report, missing)
    server.all_out(seconds=limit)
    if values["seconds"] > count / key.rate * LATE + LATE_SECONDS:
        capacity.behind[server.system.name] = values["per_second"]
        reason = f"took {values['seconds']:.1f} s for {count / key.rate:.1f} s of events"
        return Cell(key=key, round=round_, status="saturated", reason=reason, values=values)
    return Cell(key=key, round=round_, values=values)


def unthrottled(
    server: Server, watchers: Watchers, key: Key, *, round_: int, seconds: float, capacity: Capacity
) -> Cell:
    """Events as fast as the system makes them, as many as take about `seconds`: probed first, unless known."""
    known = (server.system.name, watchers.watchers)
    speed = capacity.unthrottled.get(known) or _probe(server, watchers, seconds)
    count = max(2, round(min(speed * seconds, MOST_DELIVERIES) / watchers.good))
    window = _Window(server, watchers)
    server.emit(0, count)
    limit = seconds * PATIENCE + PATIENCE_SECONDS
    missing = watchers.missing(server.emitted, seconds=limit)
    values, report = window.values(missing)
    if missing:
        return _incomplete(key, round_, values, report, missing)
    server.all_out(seconds=limit)
    capacity.unthrottled[known] = values["per_second"]
    return Cell(key=key, round=round_, values=values)


def beside(cell: Cell, before: Cell, after: Cell, ratios: Mapping[str, str]) -> Cell:
    """A measurement between two others of something else: with its values in times of the mean of theirs.

    `ratios` are the names of the new values, and of which value each is told. What one of the three lacks is left out.
    """
    found = {
        name: cell.values[of] / ((before.values[of] + after.values[of]) / 2)
        for name, of in ratios.items()
        if all(of in each.values for each in (cell, before, after))
    }
    return replace(cell, values={**cell.values, **found})


class _Window:
    """From now on: CPU, time, and what the watchers see."""

    def __init__(self, server: Server, watchers: Watchers) -> None:
        self._server, self._watchers = server, watchers
        watchers.measure()
        self._cpu = server.cpu()
        self._client = server.client_cpu() + watchers.cpu()
        self._began = time.monotonic()

    def values(self, missing: int) -> tuple[dict[str, float], Report]:
        seconds = time.monotonic() - self._began
        cpu = self._server.cpu() - self._cpu
        client = self._server.client_cpu() + self._watchers.cpu() - self._client
        report = self._watchers.report()
        deliveries = max(1, report.deliveries)
        return {
            "seconds": seconds,
            "deliveries": report.deliveries,
            "per_second": deliveries / seconds,
            "cpu_us": cpu / deliveries * 1e6,
            "core_share": cpu / seconds,
            "client_share": client / seconds,
            "p50_ms": report.p50_us / 1e3,
            "p90_ms": report.p90_us / 1e3,
            "p99_ms": report.p99_us / 1e3,
            "max_ms": report.max_us / 1e3,
            "events_per_read": report.deliveries / max(1, report.reads),
            "gaps": report.gaps,
            "duplicates": report.duplicates,
            "disconnected": report.disconnected + report.ended,
            "missing": missing,
        }, report


KEPT: Final = ("seconds", "deliveries", "gaps", "duplicates", "disconnected", "missing")
"""Of a measurement that was not complete: what went wrong. Its cost and its latency would mean nothing."""


def _incomplete(key: Key, round_: int, values: dict[str, float], report: Report, missing: int) -> Cell:
    lost = f", {report.disconnected + report.ended:,} were disconnected" if report.disconnected + report.ended else ""
    reason = f"{missing:,} watchers did not get every event in {values['seconds']:.1f} s{lost}"
    kept = {name: values[name] for name in KEPT}
    return Cell(key=key, round=round_, status="failed", reason=reason, values=kept)


def _probe(server: Server, watchers: Watchers, seconds: float) -> float:
    """Deliveries per second, from short runs that grow until one is long enough to say it."""
    count = max(2, FIRST_PROBE // watchers.good)
    while True:
        began = time.monotonic()
        server.emit(0, count)
        missing = watchers.missing(server.emitted, seconds=seconds + PATIENCE_SECONDS)
        took = time.monotonic() - began
        speed = max(1, watchers.good - missing) * count / took
        server.all_out(seconds=seconds + PATIENCE_SECONDS)
        if missing or took >= PROBE_SECONDS or count * watchers.good >= MOST_DELIVERIES:
            return speed
        step = min(LARGEST_STEP, max(2.0, 1.3 * PROBE_SECONDS / took))
        count = min(round(count * step), MOST_DELIVERIES // watchers.good)
