"""What is required of tokentape, computed from the results: the figure, the limit, and whether it is met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from harness import dialects, proxies, stalled, storm, turns
from harness.fanout import STREAMING_RATE
from harness.results import Key, Results
from harness.scale import FLOORS, FULL, OUR_PROXY, OURS, PROXY_FLOOR, PROXY_PEER, VARIANTS
from harness.stats import Figure, ratio

Verdict = Literal["met", "not met", "not measured"]

SINGLE: Final = 1.05
"""Events per read up to which a cost is that of single events: what merges more is another comparison."""
KIB: Final = 1024
DIALECT: Final = 1.1
"""What another format may cost, in times of the native one."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One requirement."""

    workload: str
    text: str
    measured: str
    verdict: Verdict


def lines(results: Results) -> list[Line]:
    """All requirements, in the order of their workloads."""
    return [
        *_single_events(results),
        *_unthrottled(results),
        *_latency(results),
        *_proxies(results),
        *_memory(results),
        *_connecting(results),
        *_storm(results),
        *_stalled(results),
        *_dialects(results),
        *_exactness(results),
    ]


def fanout(system: str, watchers: int, rate: int) -> Key:
    return Key(workload="fanout", system=system, watchers=watchers, rate=rate)


def transport_name(system: str) -> str:
    return "WebSocket" if system.endswith("-ws") else "SSE"


def _judge(workload: str, text: str, value: float | None, limit: float, shown: str) -> Line:
    """Met when the value is at most the limit; `shown` is how it is told, when there is one."""
    if value is None:
        return Line(workload=workload, text=text, measured="–", verdict="not measured")
    return Line(workload=workload, text=text, measured=shown, verdict="met" if value <= limit else "not met")


def _single_events(results: Results) -> Iterator[Line]:
    for (watchers, rate), limit in zip(turns.loads(FULL), (1.25, 1.5), strict=True):
        for ours in OURS:
            text = (
                f"without merging, ≤ {limit} × the C floor's µs per delivered event: {transport_name(ours)}, "
                f"{watchers:,} watchers, {rate} events/s, in turns"
            )
            where = turns.key(ours, watchers, rate)
            merged = results.figure(where, "events_per_read")
            if merged is not None and merged.median > SINGLE:
                shown = f"{merged.median:.1f} events per read: they were merged, so this says nothing"
                yield Line(workload="a", text=text, measured=shown, verdict="not measured")
            else:
                yield _in_turns(results, where, "times_floor", text, limit)


def _in_turns(results: Results, where: Key, name: str, text: str, limit: float) -> Line:
    worst = results.worst(where)
    if worst is not None and worst.status == "failed":
        return Line(workload="a", text=text, measured=worst.reason, verdict="not met")
    times = results.figure(where, name)
    shown = f"{times.median:.2f} × ({times.low:.2f}–{times.high:.2f} in {times.rounds} pairs)" if times else "–"
    return _judge("a", text, times.median if times else None, limit, shown)


def peers(results: Results, *, per_message: bool = False) -> list[str]:
    """The fan-out systems that are neither the floor nor ours."""
    return [
        name
        for name, system in results.systems.items()
        if system.kind == "fanout"
        and name not in FLOORS
        and name not in (*OURS, *VARIANTS)
        and (system.per_message or not per_message)
    ]


def best(results: Results, names: list[str], watchers: int) -> tuple[str, Figure] | None:
    """Who of these delivered most, unthrottled."""
    found = [
        (name, speed)
        for name in names
        if (speed := results.figure(fanout(name, watchers, 0), "per_second")) is not None
    ]
    return max(found, key=lambda each: each[1].median, default=None)


def _unthrottled(results: Results) -> Iterator[Line]:
    for watchers in (FULL.watchers, FULL.many):
        for ours in OURS:
            own = results.figure(fanout(ours, watchers, 0), "per_second")
            where = f"unthrottled, {transport_name(ours)}, {watchers:,} watchers"
            for text, names, least in (
                (f"{where}: more events/s than every peer", peers(results), 1.0),
                (f"{where}: ≥ 5 × the best that delivers per message", peers(results, per_message=True), 5.0),
            ):
                first = best(results, names, watchers)
                times = ratio(own, first[1]) if first else None
                if first is None or own is None or times is None:
                    yield Line(workload="a", text=text, measured="–", verdict="not measured")
                    continue
                label = results.systems[first[0]].label
                shown = f"{times:.1f} × ({own.median:,.0f} against {first[1].median:,.0f} of {label})"
                good = times >= least if least > 1 else times > least
                yield Line(workload="a", text=text, measured=shown, verdict="met" if good else "not met")


def _latency(results: Results) -> Iterator[Line]:
    watchers, rate = turns.loads(FULL)[0]
    for ours in OURS:
        how = f"{transport_name(ours)}, {watchers:,} watchers, in turns"
        text = f"p99 at {rate} events/s within 1.5 × the C floor's: {how}"
        yield _in_turns(results, turns.key(ours, watchers, rate), "p99_times_floor", text, 1.5)


def _against(times: float | None, own: Figure | None, other: Figure | None, unit: str) -> str:
    if times is None or own is None or other is None:
        return "–"
    return f"{times:.2f} × ({own.median:.2f} against {other.median:.2f} {unit})"


def sustained(results: Results, system: str) -> int:
    """The highest number of streams that a proxy sustained in most of the rounds in which it was tried; 0 is none."""
    rounds: dict[int, list[bool]] = {}
    for cell in results.cells:
        if cell.key.workload == "proxy" and cell.key.system == system:
            rounds.setdefault(cell.key.watchers, []).append(cell.status == "ok")
    return max((streams for streams, good in rounds.items() if sum(good) * 2 > len(good)), default=0)


def _proxies(results: Results) -> Iterator[Line]:
    yield _per_cpu_second(results)
    text = "≤ 2 × nginx proxy_pass's µs per token at 1,000 streams (aim: 1.5)"
    own = results.figure(proxies.key(OUR_PROXY, 1000), "cpu_us")
    low = results.figure(proxies.key(PROXY_FLOOR, 1000), "cpu_us")
    yield _judge("b", text, ratio(own, low), 2.0, _against(ratio(own, low), own, low, "µs"))
    text = "1,000 private streams at 50 tokens/s on one core, p99 added latency ≤ 50 ms"
    late, direct = (results.figure(proxies.key(name, 1000), "p99_ms") for name in (OUR_PROXY, proxies.DIRECT))
    if late is None or direct is None:
        yield _judge("b", text, None, 50.0, "–")
    elif sustained(results, OUR_PROXY) < 1000:
        yield Line(workload="b", text=text, measured="not sustained", verdict="not met")
    else:
        added = late.median - direct.median
        told = f"{added:.1f} ms ({late.median:.1f}, and {direct.median:.1f} without a proxy)"
        yield _judge("b", text, added, 50.0, told)


def _per_cpu_second(results: Results) -> Line:
    text = "≥ 8 × the tokens per CPU-second of FastAPI + openai SDK, SQLite store on, each at the most it sustains"
    levels = [sustained(results, system) for system in (OUR_PROXY, PROXY_PEER)]
    figures = [
        results.figure(proxies.key(system, level), "tokens_per_cpu_second")
        for system, level in zip((OUR_PROXY, PROXY_PEER), levels, strict=True)
    ]
    times = ratio(*figures)
    if times is None or figures[0] is None or figures[1] is None:
        return Line(workload="b", text=text, measured="–", verdict="not measured")
    shown = (
        f"{times:.1f} × ({figures[0].median:,.0f} at {levels[0]:,} streams "
        f"against {figures[1].median:,.0f} at {levels[1]:,})"
    )
    return Line(workload="b", text=text, measured=shown, verdict="met" if times >= 8 else "not met")


def _memory(results: Results) -> Iterator[Line]:
    for ours in OURS:
        for watchers in (FULL.watchers, FULL.most):
            each = results.figure(Key(workload="idle", system=ours, watchers=watchers), "anonymous_bytes")
            text = f"≤ 12 KiB of user-space memory per silent watcher: {transport_name(ours)}, {watchers:,} watchers"
            size = each.median if each else None
            yield _judge("c", text, size, 12 * KIB, f"{size / KIB:.1f} KiB" if size is not None else "–")


def _connecting(results: Results) -> Iterator[Line]:
    for ours in OURS:
        key = Key(workload="connect", system=ours, watchers=FULL.most, rate=STREAMING_RATE)
        took = results.figure(key, "seconds")
        text = f"{FULL.most:,} connected in ≤ 5 s while a stream is being fanned out: {transport_name(ours)}"
        if took is None and (failed := results.worst(key)) is not None and failed.status == "failed":
            yield Line(workload="c", text=text, measured=failed.reason, verdict="not met")
        else:
            yield _judge("c", text, took.median if took else None, 5.0, f"{took.median:.2f} s" if took else "–")


def _storm(results: Results) -> Iterator[Line]:
    def key(system: str) -> Key:
        return storm.key(system, FULL.storm_watchers, FULL.storm_behind)

    ours = key(OURS[0])
    cells = results.measured(ours)
    text = "all caught up exactly: nothing missing, no gap, no duplicate"
    wrong = sum(cell.values[name] for cell in cells for name in ("gaps", "duplicates", "missing"))
    yield _judge("d", text, wrong if cells else None, 0, f"{wrong:,.0f} wrong")
    for peer in ("nchan-sse", "durable-streams", "durable-streams-file"):
        label = results.systems[peer].label if peer in results.systems else peer
        for value, what, unit in (("seconds", "time", "s"), ("cpu_seconds", "server CPU", "s")):
            own, other = results.figure(ours, value), results.figure(key(peer), value)
            text = f"caught up in less {what} than {label}"
            worst = results.worst(key(peer))
            if own is not None and worst is not None and worst.status == "failed":
                yield Line(workload="d", text=text, measured=f"it failed: {worst.reason}", verdict="met")
                continue
            times = ratio(own, other)
            if times is None or own is None or other is None:
                yield Line(workload="d", text=text, measured="–", verdict="not measured")
                continue
            shown = _against(times, own, other, unit)
            yield Line(workload="d", text=text, measured=shown, verdict="met" if times < 1 else "not met")


def _stalled(results: Results) -> Iterator[Line]:
    for ours in OURS:
        healthy, bad = (
            stalled.key(ours, FULL.stalled_watchers, variant) for variant in (stalled.HEALTHY, stalled.STALLED)
        )
        before, after = results.figure(healthy, "p99_ms"), results.figure(bad, "p99_ms")
        times = ratio(after, before)
        text = f"the good watchers' p99 grows ≤ 10 %: {transport_name(ours)}"
        yield _judge("e", text, times, 1.10, _against(times, after, before, "ms"))
        grown = results.figure(bad, "anonymous_growth")
        count = 2 * (FULL.stalled_watchers // stalled.SHARE)
        text = f"memory bounded: ≤ {PAGE // KIB} KiB (a page of backlog) for each bad watcher: {transport_name(ours)}"
        each = grown.median / count if grown else None
        yield _judge("e", text, each, PAGE, f"{each / KIB:+.1f} KiB" if each is not None else "–")


PAGE: Final = 256 * KIB
"""The bytes that may wait for one connection, as ARCHITECTURE.md bounds them."""


def _dialects(results: Results) -> Iterator[Line]:
    for where in results.keys("dialect"):
        if where.variant != dialects.NATIVE and where.watchers == FULL.watchers:
            found = results.figure(where, "times_native")
            own = found.median if found is not None else None
            shown = f"{own:.2f} ×" if own is not None else "–"
            text = (
                f"≤ {DIALECT} × the native format's µs per delivered event: {where.variant}, {FULL.watchers:,} watchers"
            )
            yield _judge("h", text, own, DIALECT, shown)


def _exactness(results: Results) -> Iterator[Line]:
    ours = (*OURS, *VARIANTS, OUR_PROXY)
    cells = [cell for cell in results.cells if cell.key.system in ours and "gaps" in cell.values]
    wrong = results.total(("gaps", "duplicates"), of=ours)
    text = "no gap and no duplicate at any watcher of tokentape, in any measurement"
    seen = sum(cell.values.get("deliveries", 0) for cell in cells)
    yield _judge("all", text, wrong if cells else None, 0, f"{wrong:,.0f} in {seen:,.0f} deliveries")
