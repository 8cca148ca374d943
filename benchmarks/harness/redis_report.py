"""The Redis benchmark's results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from harness.instances import WATCHERS
from harness.markdown import NOTHING, Table, plain, ranged
from harness.stats import Figure, figure

NAMES: Final = {
    "tokentape": "**tokentape**",
    "naive": "XADD + PUBLISH per token, redis-py",
    "resumable-stream": "npm resumable-stream, which keeps tokens in its process",
}
MOST: Final = 1 / 5
"""Of the naive scheme's commands, as it is required."""
LATENCY_MS: Final = 15.0
"""From one process to another at the 99th percentile, beyond the tick, as it is required."""


def report(found: dict[str, Any]) -> str:
    """The whole file."""
    options, machine = found["options"], found["machine"]
    parts = [
        "# What a token costs Redis",
        (
            "Made by `python benchmarks/redis_work.py`, which says how, from [redis.json](redis.json). "
            f"{options['runs']} runs of {options['rate']} tokens per second in one process; "
            f"{options['rounds']} windows of {options['seconds']:g} s for each line, those of all systems interleaved; "
            "medians, and the range. Redis and who watches on one core, who makes the tokens on the other."
        ),
        (
            f"{found['date']}, Redis {found['redis']}, {machine['cpu']}, {machine['cores']} cores, Linux "
            f"{machine['kernel']}, load before: {machine['load_before'][0]}."
        ),
        "## What is required",
        _required(found["windows"]),
        "## Nobody watches elsewhere",
        _work(found["windows"], "nowhere"),
        "## Each run is watched in another process",
        _work(found["windows"], "elsewhere"),
        (
            "*Commands* are those that clients sent; *calls* are what Redis did for them, also within scripts. "
            "Bytes are Redis's, of both directions. npm resumable-stream asks Redis for nothing while nobody resumes; "
            "its tokens are gone with the process that made them."
        ),
        "## Two instances behind nginx",
        (
            f"{WATCHERS:,} watchers of one channel, half over SSE and half over WebSocket, through nginx as `deploy/` "
            "sets it up (without TLS), which spreads them over two instances. The events are made by one of them. The "
            "instances on one core; nginx, Redis and the load client on the other."
        ),
        _instances(found.get("instances")),
        "## What an append costs a store",
        "One record of 90 bytes for each of so many runs in a batch (1,000 at most).",
        _stores(found["stores"]),
    ]
    return "\n\n".join(parts) + "\n"


def _values(windows: Sequence[dict[str, Any]], system: str, watched: str, name: str) -> Figure | None:
    values = [
        cell[name] for cell in windows if cell["system"] == system and cell["watched"] == watched and name in cell
    ]
    return figure(values) if values else None


def _show(value: Figure | None) -> str:
    return NOTHING if value is None else ranged(value, plain)


def _required(windows: Sequence[dict[str, Any]]) -> str:
    table = Table("what", "measured", "")
    for watched in ("nowhere", "elsewhere"):
        ours, naive = (_values(windows, system, watched, "commands") for system in ("tokentape", "naive"))
        if ours is not None and naive is not None:
            share = ours.median / naive.median
            table.row(
                f"≤ 1/5 of the naive scheme's commands per token, watched {watched}",
                f"1/{1 / share:.0f} ({plain(ours.median)} against {plain(naive.median)})",
                "✅ met" if share <= MOST else "❌ not met",
            )
    own, other = (_values(windows, "tokentape", "at both", name) for name in ("own_p99", "p99"))
    if own is not None and other is not None:
        added = other.median - own.median
        table.row(
            "≤ 15 ms at p99 from one process to another, beyond the tick",
            f"{plain(max(added, 0))} ms ({plain(other.median)} there, {plain(own.median)} where the run is)",
            "✅ met" if added <= LATENCY_MS else "❌ not met",
        )
    return table.render()


def _work(windows: Sequence[dict[str, Any]], watched: str) -> str:
    latency = ("p50", "p99") if watched != "nowhere" else ()
    table = Table(
        "per token", "commands", "calls", "bytes in", "bytes out", "µs of Redis", "µs of the writer",
        *(("µs of the watcher", "p50 ms", "p99 ms") if latency else ()),
    )  # fmt: skip
    names = ["commands", "calls", "bytes_in", "bytes_out", "redis_us", "writer_us"]
    for system, title in NAMES.items():
        if any(cell["system"] == system for cell in windows):
            columns = [*names, *(("watcher_us", *latency) if latency else ())]
            table.row(title, *[_show(_values(windows, system, watched, name)) for name in columns])
        else:
            table.row(title + ": not installed", *[NOTHING] * (len(names) + (3 if latency else 0)))
    return table.render()


def _instances(windows: Sequence[dict[str, Any]] | None) -> str:
    if not windows:
        return "*Not measured: `make bench-setup` builds the load client.*"
    table = Table(
        "events/s", "delivered", "gaps, duplicates", "SSE p50 ms", "p99 ms", "WebSocket p50 ms", "p99 ms",
        "µs of the instances", "µs of nginx", "µs of Redis",
    )  # fmt: skip
    for cell in windows:
        names = ("sse_p50_ms", "sse_p99_ms", "ws_p50_ms", "ws_p99_ms", "instances_us", "nginx_us", "redis_us")
        share = f"{cell['deliveries']:,} of {cell['expected']:,}"
        table.row(f"{cell['rate']:,}", share, f"{cell['wrong']:,}", *[plain(cell[name]) for name in names])
    return table.render() + "\n\nµs of CPU for each delivered event."


def _stores(costs: Sequence[dict[str, Any]]) -> str:
    table = Table("store", "runs", "µs, wall", "µs of this process", "µs of Redis", "p50 ms", "p99 ms")
    for cell in costs:
        values = [cell.get(name) for name in ("wall_us", "cpu_us", "redis_us", "p50_ms", "p99_ms")]
        shown = [NOTHING if value is None else plain(value) for value in values]
        table.row(cell["store"], f"{cell['runs']:,}", *shown)
    return table.render()
