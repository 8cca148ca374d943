"""Private streams: one run at the provider and one watcher each, through a proxy, up to what it sustains."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from harness.child import ChildError
from harness.drive import Provider, Report, Server, Target, Upstream, Watchers
from harness.place import Place
from harness.results import Cell, Key
from systems.system import System

RATE: Final = 50
"""Tokens per second of each run."""
LEVELS: Final = (200, 1000, 3000)
LADDER: Final = (10, 20, 50, 100, 150, 200, 350, 500, 700, 1000, 1500, 2000, 2500, 3000)
"""Where the highest load is looked for that a proxy sustains."""
SUSTAINED: Final = 0.95
"""Of the offered tokens, delivered within the window."""
TRIES: Final = 2
TRIES_FROM_ZERO: Final = 3
RAMP_WINDOW: Final = 128
"""Runs that are being started at a time."""
CONNECT_SECONDS: Final = 12
"""A proxy that does not answer all within this time is overwhelmed by those that it did answer."""
RAMP_SECONDS: Final = 1.0
"""Between the last run's start and the window."""
LONGEST_RUN: Final = 90
"""Seconds of tokens in a run: more than connecting, ramp and window may take together."""
DIRECT: Final = "direct"
"""The name under which the provider alone, without a proxy, is in the results."""


def key(system: str, streams: int) -> Key:
    return Key(workload="proxy", system=system, watchers=streams, rate=RATE)


def next_level(tried: Mapping[int, bool]) -> int | None:
    """The number of streams to try next; None when the highest sustained one is known well enough.

    First the levels, upwards, until one is too much; then some steps of the ladder between the two, by halves.
    """
    for level in LEVELS:
        if level not in tried:
            return level
        if not tried[level]:
            break
    else:
        return None
    good = max((level for level, sustained in tried.items() if sustained), default=0)
    bad = min(level for level, sustained in tried.items() if not sustained)
    between = [level for level in LADDER if good < level < bad]
    extra = len([level for level in tried if level not in LEVELS])
    from_zero = not any(tried.get(level) for level in LEVELS)
    if not between or extra >= (TRIES_FROM_ZERO if from_zero else TRIES):
        return None
    return between[len(between) // 2]


def measure(place: Place, system: System, streams: int, *, round_: int, seconds: float) -> Cell:
    """One level of one proxy, each with a fresh provider and a fresh proxy: no run is left over from the last."""
    where = key(system.name, streams)
    try:
        with ExitStack() as stack:
            upstream = stack.enter_context(Upstream(place, rate=RATE, tokens=RATE * LONGEST_RUN))
            server = stack.enter_context(Server(place, system, upstream=upstream.origin))
            before = server.memory()
            watchers = stack.enter_context(_runs(place, server, streams))
            watchers.connect()
            server.pin()
            time.sleep(RAMP_SECONDS)
            values, report = _window(server, upstream, watchers, seconds)
            values["anonymous_bytes"] = (server.memory() - before).anonymous / streams
    except ChildError as error:
        return Cell(key=where, round=round_, status="failed", reason=str(error))
    return _judged(where, round_, values, report)


def measure_direct(place: Place, like: System, streams: int, *, round_: int, seconds: float) -> Cell:
    """The same without a proxy: its latency is the harness's own, and its throughput what can be offered."""
    where = key(DIRECT, streams)
    try:
        with ExitStack() as stack:
            upstream = stack.enter_context(Upstream(place, rate=RATE, tokens=RATE * LONGEST_RUN))
            target = Provider(system=replace(like, name=DIRECT), port=upstream.port)
            watchers = stack.enter_context(_runs(place, target, streams))
            watchers.connect()
            time.sleep(RAMP_SECONDS)
            values, report = _window(None, upstream, watchers, seconds)
    except ChildError as error:
        return Cell(key=where, round=round_, status="failed", reason=str(error))
    return _judged(where, round_, values, report)


def _runs(place: Place, target: Target, streams: int) -> Watchers:
    return Watchers(place, target, streams, window=RAMP_WINDOW, connect_seconds=CONNECT_SECONDS)


def _window(
    server: Server | None, upstream: Upstream, watchers: Watchers, seconds: float
) -> tuple[dict[str, float], Report]:
    def client_cpu() -> float:
        return upstream.cpu() + watchers.cpu()

    def server_cpu() -> float:
        return server.cpu() if server else 0.0

    watchers.measure()
    began, cpu, client = time.monotonic(), server_cpu(), client_cpu()
    time.sleep(seconds)
    report = watchers.report()
    took, cpu, client = time.monotonic() - began, server_cpu() - cpu, client_cpu() - client
    tokens = max(1, report.deliveries)
    offered = watchers.watchers * RATE
    values = {
        "seconds": took,
        "deliveries": report.deliveries,
        "offered_per_second": offered,
        "per_second": report.deliveries / took,
        "delivered_share": report.deliveries / took / offered,
        "client_share": client / took,
        "p50_ms": report.p50_us / 1e3,
        "p99_ms": report.p99_us / 1e3,
        "max_ms": report.max_us / 1e3,
        "events_per_read": report.deliveries / max(1, report.reads),
        "gaps": report.gaps,
        "duplicates": report.duplicates,
        "disconnected": report.disconnected + report.ended,
        "upstream_late_p99_ms": upstream.late_p99_us() / 1e3,
    }
    if server is not None:
        values |= {"cpu_us": cpu / tokens * 1e6, "tokens_per_cpu_second": tokens / cpu, "core_share": cpu / took}
    return values, report


def _judged(where: Key, round_: int, values: dict[str, float], report: Report) -> Cell:
    if report.disconnected + report.ended:
        reason = f"{report.disconnected + report.ended:,} of {where.watchers:,} streams ended or were cut"
        return Cell(key=where, round=round_, status="failed", reason=reason)
    if values["delivered_share"] < SUSTAINED:
        reason = f"delivered {values['delivered_share']:.0%} of {values['offered_per_second']:,.0f} tokens/s"
        return Cell(key=where, round=round_, status="saturated", reason=reason, values=values)
    return Cell(key=where, round=round_, values=values)
