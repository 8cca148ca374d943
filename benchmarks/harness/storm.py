"""A resume storm: all watchers are cut at once, and come back behind by some thousand events."""

from __future__ import annotations

import time
from typing import Final

from harness.child import ChildError
from harness.drive import Server, Watchers
from harness.place import Place
from harness.results import Cell, Key
from systems.system import System

SEEN_EVENTS: Final = 20
"""Before the cut, so that each watcher has a position."""
SEEN_RATE: Final = 50
LIMIT_SECONDS: Final = 60
"""In which all must be published, and all must be caught up."""


def key(system: str, watchers: int, behind: int) -> Key:
    return Key(workload="storm", system=system, watchers=watchers, variant=f"{behind} behind")


def measure(place: Place, system: System, *, watchers: int, behind: int, round_: int) -> Cell:
    """From the first connection of those who come back to the last event of the last one."""
    where = key(system.name, watchers, behind)
    try:
        with Server(place, system) as server, Watchers(place, server, watchers, connect_seconds=LIMIT_SECONDS) as load:
            return _storm(where, server, load, behind, round_)
    except ChildError as error:
        return Cell(key=where, round=round_, status="failed", reason=str(error))


def _storm(where: Key, server: Server, load: Watchers, behind: int, round_: int) -> Cell:
    load.connect()
    server.pin()
    server.emit(SEEN_RATE, SEEN_EVENTS)
    if missing := load.missing(server.emitted, seconds=LIMIT_SECONDS):
        raise ChildError(f"{missing:,} watchers did not get {SEEN_EVENTS} events before the cut")
    server.all_out(seconds=LIMIT_SECONDS)
    load.cut()
    server.emit(0, behind)
    server.all_out(seconds=LIMIT_SECONDS)
    load.measure()
    cpu, client, began = server.cpu(), load.cpu(), time.monotonic()
    connected = load.resume()
    missing = load.missing(server.emitted, seconds=LIMIT_SECONDS)
    took = time.monotonic() - began
    cpu, client = server.cpu() - cpu, load.cpu() - client
    report = load.report()
    values: dict[str, float] = {
        "seconds": took,
        "connect_seconds": connected.seconds,
        "cpu_seconds": cpu,
        "cpu_us": cpu / max(1, report.deliveries) * 1e6,
        "client_share": client / took,
        "deliveries": report.deliveries,
        "per_second": report.deliveries / took,
        "events_per_read": report.deliveries / max(1, report.reads),
        "gaps": report.gaps,
        "duplicates": report.duplicates,
        "disconnected": report.disconnected + report.ended,
        "missing": missing,
    }
    if missing:
        reason = f"{missing:,} watchers were not caught up after {took:.0f} s"
        return Cell(key=where, round=round_, status="failed", reason=reason, values=values)
    return Cell(key=where, round=round_, values=values)
