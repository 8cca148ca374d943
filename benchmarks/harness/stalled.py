"""Watchers that do not read, or slowly: what the good ones notice of them, and by what the process grows."""

from __future__ import annotations

from typing import Final

from harness import proc
from harness.child import ChildError
from harness.drive import Server, Watchers
from harness.measure import Capacity, steady
from harness.place import Place
from harness.results import Cell, Key
from systems.system import System

SHARE: Final = 10
"""One watcher in ten is stalled, and another one in ten reads 1 KB/s."""
RATE: Final = 100
FILLING: Final = 2000
"""Events before the window, some 300 KB for each watcher: more than the small buffers (64 KiB of the server's socket,
twice that in the kernel's accounting, 8 KiB of the client's), so that the stalled ones do block."""
FILLING_PER_MESSAGE: Final = 700
"""For systems that write each event alone, and would need ten seconds for more. Their sockets keep the default buffers
of some megabytes, which no run of this length fills: what is held then is held by the kernel, and shown."""
FILLING_SECONDS: Final = 30

Variant = str
HEALTHY: Final = "healthy"
ALONE: Final = "alone"
STALLED: Final = "stalled"
"""`healthy`: all read. `alone`: the good ones of `stalled`, without the others."""


def key(system: str, watchers: int, variant: Variant) -> Key:
    return Key(workload="stalled", system=system, watchers=watchers, rate=RATE, variant=variant)


def measure(place: Place, system: System, variant: Variant, *, watchers: int, round_: int, seconds: float) -> Cell:
    """One fresh server: filled, then measured at a rate that it sustains."""
    where = key(system.name, watchers, variant)
    bad = watchers // SHARE if variant == STALLED else 0
    count = watchers - 2 * (watchers // SHARE) if variant == ALONE else watchers
    try:
        with Server(place, system) as server, Watchers(place, server, count, stalled=bad, slow=bad) as load:
            return _measured(where, server, load, round_, seconds)
    except ChildError as error:
        return Cell(key=where, round=round_, status="failed", reason=str(error))


def _measured(where: Key, server: Server, load: Watchers, round_: int, seconds: float) -> Cell:
    load.connect()
    server.pin()
    before, kernel = server.memory(), proc.tcp_bytes()
    server.emit(0, FILLING_PER_MESSAGE if server.system.per_message else FILLING)
    if missing := load.missing(server.emitted, seconds=FILLING_SECONDS):
        raise ChildError(f"{missing:,} good watchers did not get every event in {FILLING_SECONDS} s")
    server.all_out(seconds=FILLING_SECONDS)
    cell = steady(server, load, where, round_=round_, seconds=seconds, capacity=Capacity())
    grown = server.memory() - before
    values = {
        **cell.values,
        "anonymous_growth": grown.anonymous,
        "rss_growth": grown.rss,
        "kernel_growth": proc.tcp_bytes() - kernel,
    }
    return Cell(key=where, round=round_, status=cell.status, reason=cell.reason, values=values)
