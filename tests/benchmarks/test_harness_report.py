"""What the harness says of results: acceptance, tables, README."""

import json
import os
import re
from pathlib import Path

import pytest
from bench_results import Builder, everything_met

import run as command
from harness import acceptance, readme, results, tables, turns
from harness.markdown import Table, plain, ranged, times
from harness.results import Key
from harness.stats import figure

ROOT = Path(__file__).parents[2]
README = ROOT / "benchmarks" / "README.md"


def verdicts(build: Builder) -> dict[str, str]:
    return {line.text: line.verdict for line in acceptance.lines(build.results)}


def line(build: Builder, part: str) -> acceptance.Line:
    found = [each for each in acceptance.lines(build.results) if part in each.text]
    assert found, part
    return found[0]


def test_a_run_that_does_all_that_is_required_says_so():
    assert set(verdicts(everything_met()).values()) == {"met"}


def test_nothing_measured_is_nothing_claimed():
    assert set(verdicts(Builder()).values()) == {"not measured"}


def test_the_cost_of_single_events_is_the_median_of_pairs():
    assert line(everything_met(), "SSE, 1,000 watchers, 50 events/s").measured == "1.20 × (1.10–1.24 in 3 pairs)"
    build = everything_met()
    for _ in range(4):
        build.turns("tokentape-sse", 1000, 50, times=1.26)
    assert line(build, "SSE, 1,000 watchers, 50 events/s").verdict == "not met"
    assert line(build, "WebSocket, 1,000 watchers, 50 events/s").verdict == "met"


def test_merged_events_do_not_count_as_single_ones():
    build = everything_met()
    for _ in range(4):
        build.turns("tokentape-ws", 5000, 10, times=0.3, events_per_read=4)
    found = line(build, "WebSocket, 5,000 watchers, 10 events/s")
    assert found.verdict == "not measured"
    assert "4.0 events per read" in found.measured


def test_a_faster_peer_and_a_merging_one_are_told_apart():
    build = everything_met()
    build.fanout("durable-streams", 1000, 0, per_second=2_500_000, events_per_read=30)
    more = line(build, "unthrottled, SSE, 1,000 watchers: more events/s than every peer")
    assert (more.verdict, more.measured) == ("not met", "0.8 × (2,000,000 against 2,500,000 of Durable Streams)")
    assert line(build, "unthrottled, SSE, 1,000 watchers: ≥ 5 ×").verdict == "met"
    build.fanout("node-ws", 1000, 0, per_second=700_000)
    build.fanout("node-ws", 1000, 0, per_second=700_000)
    assert line(build, "unthrottled, SSE, 1,000 watchers: ≥ 5 ×").verdict == "not met"


def test_proxies_are_compared_each_at_the_most_that_it_sustains():
    build = everything_met()
    assert acceptance.sustained(build.results, "fastapi-openai") == 100
    assert acceptance.sustained(build.results, "tokentape-proxy") == 3000
    assert line(build, "1,000 private streams").measured == "19.5 ms (20.0, and 0.5 without a proxy)"
    assert line(build, "FastAPI + openai SDK").measured == "12.0 × (100,000 at 3,000 streams against 8,333 at 100)"
    for _ in range(2):
        build.proxy("tokentape-proxy", 3000, status="saturated", cpu_us=9)
    assert acceptance.sustained(build.results, "tokentape-proxy") == 1000
    assert line(build, "FastAPI + openai SDK").verdict == "not met"  # 120 / 16
    for _ in range(2):
        build.proxy("tokentape-proxy", 1000, status="saturated", cpu_us=16, p99_ms=20)
    assert line(build, "1,000 private streams").measured == "not sustained"


def test_an_inexact_storm_is_not_met_and_a_peer_that_fails_is_beaten():
    build = everything_met()
    build.storm("tokentape-sse", 2.0, 1.5, wrong=3)
    build.storm("nchan-sse", 60.0, 50.0, status="failed")
    assert line(build, "all caught up exactly").measured == "3 wrong"
    assert line(build, "all caught up exactly").verdict == "not met"
    found = line(build, "caught up in less time than nchan")
    assert (found.verdict, found.measured) == ("met", "it failed: 12 watchers were not caught up after 60 s")


@pytest.mark.parametrize(
    ("text", "spoil"),
    [
        ("p99 at 50 events/s", lambda b: [b.turns("tokentape-sse", 1000, 50, p99_times_floor=1.6) for _ in range(4)]),
        ("KiB of user-space memory", lambda b: [b.idle("tokentape-sse", 1000, 13.0) for _ in range(2)]),
        ("connected in ≤ 5 s", lambda b: [b.connect("tokentape-sse", 10_000, 6.0) for _ in range(2)]),
        ("p99 grows ≤ 10 %", lambda b: [b.stalled("tokentape-sse", "stalled", 5.6, 4) for _ in range(2)]),
        ("memory bounded", lambda b: [b.stalled("tokentape-sse", "stalled", 5.0, 60) for _ in range(2)]),
        ("≤ 2 × nginx", lambda b: [b.proxy("tokentape-proxy", 1000, cpu_us=21) for _ in range(2)]),
        ("p99 added latency", lambda b: [b.proxy("tokentape-proxy", 1000, cpu_us=16, p99_ms=51) for _ in range(2)]),
        ("no gap and no duplicate", lambda b: b.fanout("tokentape-ws", 3000, 50, gaps=1)),
    ],
)
def test_each_requirement_can_be_missed(text: str, spoil: object):
    build = everything_met()
    assert callable(spoil)
    spoil(build)
    assert line(build, text).verdict == "not met"


def test_who_fails_in_its_turns_has_not_met_what_the_others_would_say():
    build = everything_met()
    build.add(turns.key("tokentape-sse", 1000, 50), status="failed", reason="3 watchers did not get every event")
    found = line(build, "SSE, 1,000 watchers, 50 events/s")
    assert (found.verdict, found.measured) == ("not met", "3 watchers did not get every event")
    assert line(build, "WebSocket, 1,000 watchers, 50 events/s").verdict == "met"


def test_a_server_that_does_not_get_all_connected_has_not_met_it():
    build = everything_met()
    build.results.cells = [cell for cell in build.results.cells if cell.key.workload != "connect"]
    key = Key(workload="connect", system="tokentape-sse", watchers=10_000, rate=50)
    build.add(key, status="failed", reason="only 7 of 10,000 watchers could connect")
    found = line(build, "10,000 connected in ≤ 5 s while a stream is being fanned out: SSE")
    assert (found.verdict, found.measured) == ("not met", "only 7 of 10,000 watchers could connect")


def test_results_are_the_same_when_they_are_read_again(tmp_path: Path):
    build = everything_met()
    results.save(build.results, tmp_path / "results.json")
    again = results.load(tmp_path / "results.json")
    assert again == build.results
    value = json.loads((tmp_path / "results.json").read_text("utf-8"))
    (summary,) = [
        each for each in value["summary"] if each["key"] == {**each["key"], "system": "floor-sse", "rate": 50}
    ]
    assert summary["values"]["cpu_us"] == {"median": 4.0, "low": 3.9, "high": 4.1, "rounds": 3}
    with pytest.raises(ValueError, match="format 99"):
        results.from_json({**value, "format": 99})


def test_values_keep_five_digits():
    assert [results.rounded(value) for value in (3_417_777.0, 0.123456789, 50_000, 0.0)] == [
        3_417_777.0,
        0.12346,
        50_000,
        0,
    ]


def test_figures_are_shown_as_one_reads_them():
    assert [plain(value) for value in (0, 0.1182, 4.314, 98.44, 123.4, 1234.6)] == [
        "0",
        "0.118",
        "4.31",
        "98.4",
        "123",
        "1,235",
    ]
    assert ranged(figure([4.0])) == "4.00"
    assert ranged(figure([4.0, 3.5, 5.25])) == "4.00 (3.50–5.25)"
    assert ranged(figure([4.001, 4.002])) == "4.00"
    assert [times(value) for value in (None, 1.254, 38.2)] == ["–", "1.25 ×", "38 ×"]


def test_a_table_escapes_shares_its_notes_and_refuses_a_short_row():
    table = Table("a", "b")
    assert table.render() == "*Not measured in this run.*"
    table.row("x|y", "1" + table.note("why"))
    table.row("z", "2" + table.note("other") + table.note("why"))
    assert table.render().splitlines() == [
        "| a | b |",
        "| --- | --: |",
        "| x\\|y | 1<sup>1</sup> |",
        "| z | 2<sup>2</sup><sup>1</sup> |",
        "",
        "<sup>1</sup> why<br>",
        "<sup>2</sup> other",
    ]
    with pytest.raises(ValueError, match="1 cells in a table of 2"):
        table.row("alone")


def rows(text: str) -> dict[str, list[str]]:
    cells = [
        [cell.strip() for cell in row.strip("| ").split(" | ")] for row in text.splitlines() if row.startswith("|")
    ]
    return {row[0]: row[1:] for row in cells[2:]}


def test_the_first_table_has_ratios_to_the_floor_and_to_ours():
    found = rows(tables.one_stream(everything_met().results, 1000))
    assert found["C loop, SSE"][:3] == ["4.00 (3.90–4.10)", "1.00 ×", "0.83 ×"]
    assert found["**tokentape, SSE**"] == [
        *("4.80", "1.20 ×", "1.00 ×", "2.00", "5.00", "2,000,000", "1.00 ×", "0.200", "20.0")
    ]
    assert found["nchan, SSE"][:3] == ["6.00", "1.50 ×", "1.25 ×"]
    assert found["nchan, SSE"][6] == "10 ×"


def test_what_is_missing_and_what_fell_behind_has_its_reason_below_the_table():
    build = everything_met()
    key = Key(workload="fanout", system="durable-streams", watchers=1000, rate=50)
    build.add(key, status="failed", reason="durable-streams has ended")
    key = Key(workload="fanout", system="node-ws", watchers=5000, rate=50)
    build.add(key, status="saturated", reason="took 3.0 s for 1.2 s of events", cpu_us=6.5, client_share=0.99)
    text = tables.one_stream(build.results, 1000)
    assert rows(text)["Durable Streams"][0] == "–<sup>1</sup>"
    assert "<sup>1</sup> durable-streams has ended" in text
    text = tables.one_stream(build.results, 5000)
    assert rows(text)["Node ws"][0] == "6.50<sup>1</sup><sup>2</sup>"
    assert "the client's core was full" in text


def test_where_others_are_ahead_is_told():
    build = everything_met()
    build.idle("floor-sse", 1000, 0.1)
    text = tables.ahead(build.results)
    assert "| µs per event, 1,000 watchers, 50/s, SSE | 4.80 | C loop, SSE: 4.00 (3.90–4.10) | 1.20 × |" in text
    assert "| bytes per idle watcher, SSE | 9.5 KiB | C loop, SSE: 0.1 KiB | 95 × |" in text
    assert "nchan" not in text
    assert tables.ahead(Builder().results) == "*Nowhere in this run.*"


@pytest.mark.parametrize("mode", ["quick", "partial"])
def test_a_run_of_less_is_marked_as_such(mode: str):
    build = everything_met()
    build.results.mode = mode
    assert {"quick": "--quick", "partial": "a part of"}[mode] in tables.machine(build.results)


@pytest.mark.parametrize("name", list(tables.PARTS))
@pytest.mark.parametrize("build", [Builder, everything_met])
def test_every_part_can_be_made_of_any_results(name: str, build: type[Builder]):
    assert tables.PARTS[name](build().results).strip()


def test_only_what_is_between_markers_is_made_anew():
    text = "by hand\n<!-- begin: noise -->\nold\n<!-- end: noise -->\nmore by hand\n"
    made = readme.filled(text, everything_met().results)
    assert made.startswith("by hand\n<!-- begin: noise -->\n")
    assert made.endswith("\n<!-- end: noise -->\nmore by hand\n")
    assert "old" not in made
    assert readme.filled(made, everything_met().results) == made
    with pytest.raises(ValueError, match="no part 'nope'"):
        readme.filled(text.replace("noise", "nope"), everything_met().results)


def test_the_readme_has_a_place_for_every_part():
    text = README.read_text("utf-8")
    assert sorted(re.findall(r"<!-- begin: ([a-z0-9-]+) -->", text)) == sorted(tables.PARTS)
    assert re.findall(r"<!-- begin: (\S+)", text) == re.findall(r"<!-- end: (\S+)", text)


def test_the_readme_shows_the_results_that_are_beside_it():
    path = README.with_name("results.json")
    if not path.exists():
        pytest.skip("there are no results yet: make bench")
    assert readme.filled(README.read_text("utf-8"), results.load(path)) == README.read_text("utf-8")
    assert os.uname().nodename not in path.read_text("utf-8")


def test_a_report_is_made_of_results_without_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert command.main(["--report", "--no-plots", "--out", str(tmp_path)]) == 2
    assert "no results in" in capsys.readouterr().err
    results.save(everything_met().results, tmp_path / "results.json")
    assert command.main(["--report", "--no-plots", "--out", str(tmp_path)]) == 0
    assert "✅ met" in (tmp_path / "README.md").read_text("utf-8")
    assert "met           (a) without merging" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--rounds", "x"], ["--nope"]])
def test_arguments_that_mean_nothing_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as raised:
        command.main(arguments)
    assert raised.value.code == 2
    assert "usage: run.py" in capsys.readouterr().err


def test_a_workload_that_does_not_exist_is_refused_before_anything_is_measured(capsys: pytest.CaptureFixture[str]):
    assert command.main(["--only", "z"]) == 2
    assert "no workload z" in capsys.readouterr().err
