"""The plots, as SVG and PNG: run with a Python that has matplotlib.

    cd benchmarks && python -m harness.plots FOLDER     reads FOLDER/results.json, writes FOLDER/plots/

Every plot has a white ground of its own, so that it reads the same on a light page and on a dark one. Colours are
those of Okabe and Ito, which colour-blind people can tell apart; each line has a marker of its own besides.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt

from harness import proxies
from harness.acceptance import fanout, sustained
from harness.results import Key, Results, load
from harness.scale import CURVE_SYSTEMS, FULL, LATENCY_SYSTEMS, OUR_PROXY, OURS
from harness.stats import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

OUR_COLOUR: Final = "#d55e00"
OTHER_COLOUR: Final = "#8a8a8a"
STYLES: Final[dict[str, tuple[str, str]]] = {
    "floor-sse": ("#000000", "s"),
    "tokentape-sse": (OUR_COLOUR, "o"),
    "nchan-sse": ("#0072b2", "^"),
    "node-ws": ("#009e73", "D"),
    "fastapi-stream": ("#cc79a7", "v"),
}
STYLE: Final[dict[str, Any]] = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "legend.frameon": False,
    "svg.hashsalt": "tokentape",  # the same results make the same file
    "svg.fonttype": "path",
}


def draw(results: Results, folder: Path) -> list[str]:
    """Draws what there are results for; gives the names of the plots."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with mpl.rc_context(STYLE):
        for name, make in PLOTS.items():
            drawing = make(results)
            if drawing is None:
                continue
            if results.mode != "full":
                drawing.text(0.995, 0.005, f"{results.mode} run", ha="right", va="bottom", color=OUR_COLOUR, size=9)
            drawing.savefig(folder / f"{name}.svg", metadata={"Date": None})
            drawing.savefig(folder / f"{name}.png", dpi=144, metadata={"Software": None})
            plt.close(drawing)
            drawn.append(name)
    return drawn


def latency(results: Results) -> Drawing | None:
    """Two panels over the rate at 1,000 watchers."""
    rates = (50, *FULL.rates)
    lines = _lines(results, LATENCY_SYSTEMS, rates, lambda system, rate: fanout(system, FULL.watchers, rate))
    title = f"Latency against load: {FULL.watchers:,} watchers of one stream"
    panels = (("p50_ms", "median, ms"), ("p99_ms", "99th percentile, ms"))
    return _panels(results, lines, panels, title, "events per second")


def scaling(results: Results) -> Drawing | None:
    """Two panels over the number of watchers at 50 events/s."""
    counts = tuple(sorted({*FULL.curve, FULL.watchers, FULL.most}))
    lines = _lines(results, CURVE_SYSTEMS, counts, lambda system, count: fanout(system, count, 50))
    panels = (("cpu_us", "server CPU per delivered event, µs"), ("p99_ms", "99th percentile of latency, ms"))
    return _panels(results, lines, panels, "Scaling: one stream, 50 events per second", "watchers")


def throughput(results: Results) -> Drawing | None:
    """One bar for each system, unthrottled."""
    rows = [
        (results.systems[system].label, figure, system in OURS)
        for system in results.systems
        if (figure := results.figure(fanout(system, FULL.watchers, 0), "per_second")) is not None
    ]
    title = f"Throughput: {FULL.watchers:,} watchers of one stream, unthrottled"
    return _bars(rows, title, "delivered events per second on one core (logarithmic)", "{:,.0f}".format, log=True)


def memory(results: Results) -> Drawing | None:
    """One bar for each system: what a silent watcher takes."""
    rows = []
    for system in results.systems:
        each = results.figure(Key(workload="idle", system=system, watchers=FULL.watchers), "anonymous_bytes")
        if each is not None:
            scaled = Figure(median=each.median / 1024, low=each.low / 1024, high=each.high / 1024, rounds=each.rounds)
            rows.append((results.systems[system].label, scaled, system in OURS))
    title = f"Memory of a silent watcher ({FULL.watchers:,} connected)"
    return _bars(rows, title, "KiB of the server's user-space memory", "{:.1f}".format, falling=False, limit=12)


def proxy(results: Results) -> Drawing | None:
    """One bar for each proxy, at the highest load that it sustains."""
    rows = []
    for system, described in results.systems.items():
        streams = sustained(results, system) if described.kind == "proxy" else 0
        figure = results.figure(proxies.key(system, streams), "tokens_per_cpu_second")
        if streams and figure is not None:
            rows.append((f"{described.label}\n{streams:,} streams", figure, system == OUR_PROXY))
    title = "Proxies: private streams at 50 tokens per second"
    return _bars(rows, title, "tokens per second of CPU, each at the highest load it sustains", "{:,.0f}".format)


Point = tuple[float, Key]


def _lines(
    results: Results, systems: Sequence[str], loads: Sequence[int], key: Callable[[str, int], Key]
) -> dict[str, list[Point]]:
    """The points of each system; one that can do only the lowest load is a point alone."""
    lines = {}
    for system in systems:
        points = [(float(value), key(system, value)) for value in loads if results.measured(key(system, value))]
        if points:
            lines[system] = points
    return lines


def _panels(
    results: Results, lines: dict[str, list[Point]], panels: Sequence[tuple[str, str]], title: str, axis: str
) -> Drawing | None:
    if not any(len(points) > 1 for points in lines.values()):
        return None
    drawing, places = plt.subplots(1, len(panels), figsize=(10, 4.6), layout="constrained")
    for place, (name, text) in zip(places, panels, strict=True):
        for system, points in lines.items():
            _line(place, results, system, points, name)
        place.set(xscale="log", yscale="log", xlabel=axis, title=text)
        ticks = sorted({value for points in lines.values() for value, _ in points})
        place.set_xticks(ticks, [f"{value:,.0f}" for value in ticks])
        place.xaxis.set_minor_locator(mpl.ticker.NullLocator())
        place.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
        place.yaxis.set_minor_locator(mpl.ticker.NullLocator())
        place.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    drawing.suptitle(title, x=0.01, ha="left", weight="bold")
    handles, labels = places[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)))
    drawing.text(0.99, 0.965, "hollow: does not keep up", ha="right", va="center", size=9, color="#555555")
    return drawing


def _line(place: Axes, results: Results, system: str, points: list[Point], name: str) -> None:
    """A line with its range; points at which the system did not keep up are hollow."""
    colour, marker = STYLES.get(system, (OTHER_COLOUR, "x"))
    found = [(load_, key, figure) for load_, key in points if (figure := results.figure(key, name)) is not None]
    loads = [load_ for load_, _, _ in found]
    medians = [figure.median for _, _, figure in found]
    own = system in OURS
    place.plot(loads, medians, color=colour, zorder=3 if own else 2, linewidth=2.4 if own else 1.6)
    place.plot([], [], color=colour, marker=marker, label=results.systems[system].label)
    place.fill_between(
        loads, [each.low for *_, each in found], [each.high for *_, each in found], color=colour, alpha=0.12
    )
    for load_, key, figure in found:
        worst = results.worst(key)
        behind = worst is not None and worst.status == "saturated"
        face = "white" if behind else colour
        place.plot([load_], [figure.median], color=colour, marker=marker, markerfacecolor=face, zorder=4)


def _bars(
    rows: list[tuple[str, Figure, bool]],
    title: str,
    axis: str,
    show: Callable[[float], str],
    *,
    log: bool = False,
    falling: bool = True,
    limit: float | None = None,
) -> Drawing | None:
    if not rows:
        return None
    rows = sorted(rows, key=lambda row: row[1].median, reverse=not falling)
    lines = 1 + max(label.count("\n") for label, *_ in rows)
    drawing, place = plt.subplots(figsize=(9, 1.3 + (0.22 + 0.16 * lines) * len(rows)), layout="constrained")
    values = [figure.median for _, figure, _ in rows]
    colours = [OUR_COLOUR if own else OTHER_COLOUR for *_, own in rows]
    errors = [
        [figure.median - figure.low for _, figure, _ in rows],
        [figure.high - figure.median for _, figure, _ in rows],
    ]
    bars = place.barh([label for label, *_ in rows], values, color=colours, xerr=errors, ecolor="#333333", height=0.66)
    place.bar_label(bars, [f" {show(value)}" for value in values], padding=4, size=9)
    if log:
        place.set_xscale("log")
        place.set_xlim(min(values) / 3, max(figure.high for _, figure, _ in rows) * 5)
    else:
        place.set_xlim(0, max(figure.high for _, figure, _ in rows) * 1.16)
    if limit is not None:
        place.axvline(limit, color="#0072b2", linestyle="--", linewidth=1.4)
        place.annotate(
            f" required of tokentape: ≤ {limit:g}",
            (limit, 1),
            xycoords=("data", "axes fraction"),
            color="#0072b2",
            va="bottom",
            size=9,
        )
    place.set_xlabel(axis)
    place.grid(visible=False, axis="y")
    place.tick_params(axis="y", length=0)
    drawing.suptitle(title, x=0.01, ha="left", weight="bold")
    return drawing


PLOTS: Final[dict[str, Callable[[Results], Drawing | None]]] = {
    "latency": latency,
    "throughput": throughput,
    "memory": memory,
    "scaling": scaling,
    "proxies": proxy,
}


def main(folder: Path) -> None:
    mpl.use("Agg")
    drawn = draw(load(folder / "results.json"), folder / "plots")
    print(f"plots: {', '.join(drawn) or 'nothing to draw'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
