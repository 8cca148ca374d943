"""The tables of the README, out of the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from harness import acceptance, proxies, stalled, storm, turns
from harness.acceptance import fanout, sustained
from harness.fanout import STREAMING_RATE
from harness.markdown import NOTHING, Table, plain, ranged, times
from harness.plan import NOISE
from harness.results import Key, Results
from harness.scale import FLOORS, FULL, OUR_PROXY, OURS, PROXY_FLOOR, VARIANTS
from harness.stats import ratio

KIB: Final = 1024
MIB: Final = 1024 * KIB


def kib(value: float) -> str:
    return f"{value / KIB:.1f}"


def mib(value: float) -> str:
    return f"{value / MIB:+.1f}"


def whole(value: float) -> str:
    return f"{value:,.0f}"


def floor_of(results: Results, system: str) -> str:
    return FLOORS[1] if results.systems[system].transport == "ws" else FLOORS[0]


def ours_of(results: Results, system: str) -> str:
    return OURS[1] if results.systems[system].transport == "ws" else OURS[0]


def label(results: Results, system: str) -> str:
    text = results.systems[system].label if system in results.systems else system
    return f"**{text}**" if system in (*OURS, OUR_PROXY) else text


def of_workload(results: Results, workload: str, **fixed: int) -> Iterator[str]:
    """The systems, in the registry's order, of which something was tried."""
    tried = {
        key.system
        for key in results.keys(workload)
        if all(getattr(key, name) == value for name, value in fixed.items())
    }
    yield from (name for name in results.systems if name in tried)


def one_stream(results: Results, watchers: int) -> str:
    table = Table(
        "system",
        "µs per event, 50/s",
        "× floor",
        "× tokentape",
        "p50 ms",
        "p99 ms",
        "unthrottled, events/s",
        "tokentape does",
        "µs per event",
        "events per read",
    )
    for system in of_workload(results, "fanout", watchers=watchers):
        slow, fast = fanout(system, watchers, 50), fanout(system, watchers, 0)
        cost, speed = results.figure(slow, "cpu_us"), results.figure(fast, "per_second")
        low = results.figure(fanout(floor_of(results, system), watchers, 50), "cpu_us")
        own = fanout(ours_of(results, system), watchers, 50)
        table.row(
            label(results, system),
            table.figure(results, slow, "cpu_us"),
            times(ratio(cost, low)),
            times(ratio(cost, results.figure(own, "cpu_us"))),
            table.figure(results, slow, "p50_ms"),
            table.figure(results, slow, "p99_ms"),
            table.figure(results, fast, "per_second", whole),
            times(ratio(results.figure(fanout(ours_of(results, system), watchers, 0), "per_second"), speed)),
            table.figure(results, fast, "cpu_us"),
            table.figure(results, fast, "events_per_read"),
        )
    return table.render()


def in_turns(results: Results) -> str:
    """Single events, ours between the floor's."""
    table = Table("system", "watchers", "events/s", "µs per event", "× floor", "p99 ms", "× floor", "events per read")
    for watchers, rate in turns.loads(FULL):
        for system in of_workload(results, "turns", watchers=watchers, rate=rate):
            key = turns.key(system, watchers, rate)
            table.row(
                label(results, system),
                f"{watchers:,}",
                f"{rate}",
                table.figure(results, key, "cpu_us"),
                table.figure(results, key, "times_floor"),
                table.figure(results, key, "p99_ms"),
                table.figure(results, key, "p99_times_floor"),
                table.figure(results, key, "events_per_read"),
            )
    return table.render()


def proxy(results: Results) -> str:
    table = Table(
        "proxy",
        "streams sustained",
        "tokens per CPU-second there",
        "tokentape does",
        "µs per token at 1,000",
        "× nginx",
        "p50 ms at 1,000",
        "p99 ms at 1,000",
        "KiB per stream",
    )
    ours = results.figure(proxies.key(OUR_PROXY, sustained(results, OUR_PROXY)), "tokens_per_cpu_second")
    nginx = results.figure(proxies.key(PROXY_FLOOR, 1000), "cpu_us")
    for system in of_workload(results, "proxy"):
        most = sustained(results, system)
        top, thousand = proxies.key(system, most), proxies.key(system, 1000)
        table.row(
            label(results, system),
            whole(most),
            table.figure(results, top, "tokens_per_cpu_second", whole) if most else NOTHING,
            times(ratio(ours, results.figure(top, "tokens_per_cpu_second"))),
            table.figure(results, thousand, "cpu_us"),
            times(ratio(results.figure(thousand, "cpu_us"), nginx)),
            table.figure(results, thousand, "p50_ms"),
            table.figure(results, thousand, "p99_ms"),
            table.figure(results, top, "anonymous_bytes", kib),
        )
    return table.render()


def proxy_levels(results: Results) -> str:
    table = Table("proxy", "streams", "delivered", "µs per token", "core", "p50 ms", "p99 ms", "tokens per read")
    for system in [*of_workload(results, "proxy"), proxies.DIRECT]:
        for key in sorted(key for key in results.keys("proxy") if key.system == system):
            table.row(
                "no proxy: the provider itself" if system == proxies.DIRECT else label(results, system),
                whole(key.watchers),
                table.figure(results, key, "delivered_share", "{:.0%}".format),
                table.figure(results, key, "cpu_us"),
                table.figure(results, key, "core_share", "{:.0%}".format),
                table.figure(results, key, "p50_ms"),
                table.figure(results, key, "p99_ms"),
                table.figure(results, key, "events_per_read"),
            )
    return table.render()


def idle(results: Results) -> str:
    table = Table(
        "system",
        "KiB each, 1,000",
        "× tokentape",
        f"KiB each, {FULL.most:,}",
        "resident KiB each, 1,000",
        "1,000 connect, s",
        f"{FULL.most:,} connect during a stream, s",
    )
    for system in of_workload(results, "idle"):
        few, many = (Key(workload="idle", system=system, watchers=count) for count in (FULL.watchers, FULL.most))
        during = Key(workload="connect", system=system, watchers=FULL.most, rate=STREAMING_RATE)
        own = Key(workload="idle", system=ours_of(results, system), watchers=FULL.watchers)
        each = results.figure(few, "anonymous_bytes")
        table.row(
            label(results, system),
            table.figure(results, few, "anonymous_bytes", kib),
            times(ratio(each, results.figure(own, "anonymous_bytes"))),
            table.figure(results, many, "anonymous_bytes", kib),
            table.figure(results, few, "rss_bytes", kib),
            table.figure(results, few, "connect_seconds"),
            table.figure(results, during, "seconds"),
        )
    return table.render()


def storms(results: Results) -> str:
    table = Table(
        "system", "watchers", "seconds", "× tokentape", "server CPU, s", "× tokentape", "events per read", "wrong"
    )
    for key in results.keys("storm"):
        own = Key(workload="storm", system=OURS[0], watchers=key.watchers, variant=key.variant)
        cells = results.measured(key)
        wrong = sum(cell.values[name] for cell in cells for name in ("gaps", "duplicates", "missing"))
        table.row(
            label(results, key.system),
            f"{key.watchers:,}, {key.variant}",
            table.figure(results, key, "seconds"),
            times(ratio(results.figure(key, "seconds"), results.figure(own, "seconds"))),
            table.figure(results, key, "cpu_seconds"),
            times(ratio(results.figure(key, "cpu_seconds"), results.figure(own, "cpu_seconds"))),
            table.figure(results, key, "events_per_read"),
            whole(wrong) if cells else NOTHING,
        )
    return table.render()


def stalls(results: Results) -> str:
    table = Table(
        "system",
        "p99 ms, all read",
        "p99 ms, the good ones alone",
        "p99 ms, with the bad ones",
        "grows to",
        "process MiB, all read",
        "process MiB, with the bad ones",
        "kernel MiB, with the bad ones",
    )
    for system in of_workload(results, "stalled"):
        watchers = next(key.watchers for key in results.keys("stalled") if key.system == system)
        healthy, alone, bad = (
            stalled.key(system, watchers, variant) for variant in (stalled.HEALTHY, stalled.ALONE, stalled.STALLED)
        )
        table.row(
            label(results, system),
            table.figure(results, healthy, "p99_ms"),
            table.figure(results, alone, "p99_ms"),
            table.figure(results, bad, "p99_ms"),
            times(ratio(results.figure(bad, "p99_ms"), results.figure(healthy, "p99_ms"))),
            table.figure(results, healthy, "anonymous_growth", mib),
            table.figure(results, bad, "anonymous_growth", mib),
            table.figure(results, bad, "kernel_growth", mib),
        )
    return table.render()


def stores(results: Results) -> str:
    table = Table("store", "appends", "wall µs each", "CPU µs each", "p50 ms", "p99 ms")
    for key in results.keys("store"):
        figures = [table.figure(results, key, name) for name in ("wall_us", "cpu_us", "p50_ms", "p99_ms")]
        table.row(key.system, key.variant, *figures)
    return table.render()


def curve(results: Results, columns: tuple[int, ...], key: Callable[[str, int], Key], head: str, *names: str) -> str:
    """A table with one column per load: values of `names`, separated by a slash."""
    table = Table("system", *(head.format(f"{column:,}") for column in columns))
    for system in results.systems:
        keys = [key(system, column) for column in columns]
        if sum(results.worst(each) is not None for each in keys) > 2:
            table.row(
                label(results, system),
                *(" / ".join(table.figure(results, each, name) for name in names) for each in keys),
            )
    return table.render()


def scaling(results: Results) -> str:
    counts = tuple(sorted({*FULL.curve, FULL.watchers, FULL.most}))
    return curve(results, counts, lambda system, count: fanout(system, count, 50), "{}", "cpu_us", "p99_ms")


def latency(results: Results) -> str:
    rates = (50, *FULL.rates)
    return curve(results, rates, lambda system, rate: fanout(system, FULL.watchers, rate), "{}/s", "p50_ms", "p99_ms")


def formats(results: Results) -> str:
    """What each format costs beside the native one."""
    table = Table("format", "µs per event, 50/s", "× native", "p50 ms", "p99 ms", "events per read")
    for where in results.keys("dialect"):
        table.row(
            f"`{where.variant}`",
            table.figure(results, where, "cpu_us"),
            table.figure(results, where, "times_native"),
            table.figure(results, where, "p50_ms"),
            table.figure(results, where, "p99_ms"),
            table.figure(results, where, "events_per_read"),
        )
    return table.render()


def requirements(results: Results) -> str:
    table = Table("", "what is required", "measured", "")
    marks = {"met": "✅ met", "not met": "❌ not met", "not measured": "not measured"}
    for line in acceptance.lines(results):
        table.row(line.workload, line.text, line.measured, marks[line.verdict])
    return table.render().replace("| --- | --: | --: | --: |", "| --- | --- | --- | --- |")


AHEAD: Final[tuple[tuple[str, Callable[[str], Key], str, bool], ...]] = (
    ("µs per event, 1,000 watchers, 50/s", lambda system: fanout(system, FULL.watchers, 50), "cpu_us", False),
    ("µs per event, 5,000 watchers, 50/s", lambda system: fanout(system, FULL.many, 50), "cpu_us", False),
    ("p99 ms, 1,000 watchers, 50/s", lambda system: fanout(system, FULL.watchers, 50), "p99_ms", False),
    ("p99 ms, 5,000 watchers, 50/s", lambda system: fanout(system, FULL.many, 50), "p99_ms", False),
    ("events/s, 1,000 watchers", lambda system: fanout(system, FULL.watchers, 0), "per_second", True),
    ("events/s, 5,000 watchers", lambda system: fanout(system, FULL.many, 0), "per_second", True),
    (
        "bytes per idle watcher",
        lambda system: Key(workload="idle", system=system, watchers=FULL.watchers),
        "anonymous_bytes",
        False,
    ),
    (
        f"seconds for {FULL.most:,} to connect during a stream",
        lambda system: Key(workload="connect", system=system, watchers=FULL.most, rate=STREAMING_RATE),
        "seconds",
        False,
    ),
    ("µs per token, 1,000 private streams", lambda system: proxies.key(system, 1000), "cpu_us", False),
    ("p99 ms, 1,000 private streams", lambda system: proxies.key(system, 1000), "p99_ms", False),
    (
        "seconds of a resume storm",
        lambda system: storm.key(system, FULL.storm_watchers, FULL.storm_behind),
        "seconds",
        False,
    ),
    (
        "CPU seconds of a resume storm",
        lambda system: storm.key(system, FULL.storm_watchers, FULL.storm_behind),
        "cpu_seconds",
        False,
    ),
)
"""What is compared: name, key, value, and whether more is better."""


def ahead(results: Results) -> str:
    """Where the floor or a peer is ahead of tokentape, by medians."""
    table = Table("what", "tokentape", "ahead of it", "by")
    for what, key, name, more in AHEAD:
        for system, described in results.systems.items():
            if system in (*OURS, *VARIANTS, OUR_PROXY):
                continue
            ours = OUR_PROXY if described.kind == "proxy" else ours_of(results, system)
            own, other = results.figure(key(ours), name), results.figure(key(system), name)
            times_better = ratio(other, own) if more else ratio(own, other)
            if own is None or other is None or times_better is None or times_better <= 1:
                continue
            show = kib if name == "anonymous_bytes" else plain
            unit = " KiB" if name == "anonymous_bytes" else ""
            transport = f", {acceptance.transport_name(ours)}" if described.kind == "fanout" else ""
            table.row(
                what + transport,
                ranged(own, show) + unit,
                f"{described.label}: {ranged(other, show)}{unit}",
                times(times_better),
            )
    return table.render() if not table.empty else "*Nowhere in this run.*"


def machine(results: Results) -> str:
    found: dict[str, Any] = results.machine
    if not found:
        return "*Not measured yet.*"
    minutes = f"{results.seconds / 60:.0f} minutes" if results.seconds >= 90 else f"{results.seconds:.0f} seconds"
    kind = {"full": "the whole benchmark", "quick": "**`--quick`: a short run that shows only that it works**"}
    what = kind.get(results.mode, "**a part of the benchmark**")
    lines = [
        f"- {results.started[:10]}, {what}, {minutes}{', **interrupted**' if results.interrupted else ''}",
        f"- {found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB, Linux {found['kernel']}",
        f"- Python {found['python']}, {found['descriptors']:,} descriptors",
        f"- server on core {found['server_core']}, load client, provider and publisher on core {found['client_core']}",
        f"- load average before: {', '.join(str(value) for value in found['load_before'])}",
    ]
    return "\n".join(lines)


def noise(results: Results) -> str:
    """How far the floor moved between the beginning and the end."""
    table = Table("the floor", "at the beginning", "at the end", "moved by")
    for rate, name, text in ((50, "cpu_us", "µs per event, 50/s"), (50, "p99_ms", "p99 ms, 50/s")):
        _noise_row(results, table, rate, name, text)
    _noise_row(results, table, 0, "per_second", "events/s, unthrottled")
    return table.render()


def _noise_row(results: Results, table: Table, rate: int, name: str, text: str) -> None:
    keys = [
        Key(workload=NOISE, system=FLOORS[0], watchers=FULL.watchers, rate=rate, variant=variant)
        for variant in ("before", "after")
    ]
    before, after = (results.figure(key, name) for key in keys)
    moved = ratio(after, before)
    if moved is not None:
        table.row(text, *(table.figure(results, key, name) for key in keys), f"{moved - 1:+.0%}")


def systems(results: Results) -> str:
    table = Table("system", "", "version")
    for name, described in results.systems.items():
        kind = "proxy" if described.kind == "proxy" else described.transport.replace("ws", "WebSocket")
        version = f"not measured: {described.unavailable}" if described.unavailable else described.version or "here"
        table.row(label(results, name), kind.replace("sse", "SSE"), version)
    return table.render()


PARTS: Final[dict[str, Callable[[Results], str]]] = {
    "requirements": requirements,
    "machine": machine,
    "noise": noise,
    "one-stream-1000": lambda results: one_stream(results, FULL.watchers),
    "one-stream-5000": lambda results: one_stream(results, FULL.many),
    "in-turns": in_turns,
    "latency": latency,
    "scaling": scaling,
    "proxies": proxy,
    "proxy-levels": proxy_levels,
    "idle": idle,
    "storm": storms,
    "stalled": stalls,
    "stores": stores,
    "formats": formats,
    "ahead": ahead,
    "systems": systems,
}
"""The generated parts of the README, by the name in its markers."""
