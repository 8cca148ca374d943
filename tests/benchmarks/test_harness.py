"""What the harness computes: statistics, what /proc says, the search for a proxy's limit, the plan, the progress."""

import io
import os
import time
from pathlib import Path

import pytest

from harness import cores, dialects, machine, plan, proc, proxies, scale
from harness.child import without_paths
from harness.measure import Capacity
from harness.place import Place
from harness.progress import Progress, outcome, where
from harness.results import Cell, Key
from harness.runner import UsageError, Wanted, chosen_systems, chosen_workloads
from harness.stats import Figure, figure, ratio
from systems.registry import SYSTEMS
from tokentape.dialects.formats import FORMATS

PLACE = Place(root=Path("/nowhere"), cores=cores.Cores(server=0, client=1))


def test_the_median_stands_with_its_range():
    assert figure([5.0, 1.0, 3.0]) == Figure(median=3.0, low=1.0, high=5.0, rounds=3)
    assert figure([4.0, 1.0, 2.0, 3.0]).median == 2.5
    assert figure([7.0]) == Figure(median=7.0, low=7.0, high=7.0, rounds=1)
    with pytest.raises(ValueError, match="no values"):
        figure([])


def test_a_ratio_is_of_medians_and_missing_when_one_is():
    assert ratio(figure([6.0, 5.0, 100.0]), figure([2.0, 3.0, 0.1])) == 3.0
    assert ratio(None, figure([1.0])) is None
    assert ratio(figure([1.0]), None) is None
    assert ratio(figure([1.0]), figure([0.0])) is None


STAT = (
    "4242 (ng) (inx: w) S 17 4242 4242 0 -1 4194560 917 0 0 0 120 34 5 6 20 0 3 0 987654 1000 200 1844674407370955 1 1"
)


def test_a_stat_line_is_read_whatever_the_name_holds():
    stat = proc.parse_stat(STAT)
    assert stat == proc.Stat(pid=4242, parent=17, own_ticks=154, reaped_ticks=11, started=987654)


def stat(pid: int, parent: int) -> proc.Stat:
    return proc.Stat(pid=pid, parent=parent, own_ticks=0, reaped_ticks=0, started=pid)


def test_a_tree_is_a_process_and_all_below_it():
    every = [stat(9, 5), stat(1, 0), stat(5, 2), stat(2, 1), stat(3, 1), stat(6, 2)]
    assert [each.pid for each in proc.descendants(2, every)] == [2, 5, 6, 9]
    assert proc.descendants(77, every) == []


def test_memory_is_read_in_bytes():
    text = "55d0-7ffd ---p 00:00 0    [rollup]\nRss:    1764 kB\nPss_Anon: 9 kB\nAnonymous: 112 kB\nLocked: 0 kB"
    assert proc.parse_rollup(text) == proc.Memory(rss=1764 * 1024, anonymous=112 * 1024)
    assert proc.Memory(rss=5, anonymous=3) - proc.Memory(rss=1, anonymous=2) == proc.Memory(rss=4, anonymous=1)


def test_the_kernel_says_what_tcp_holds():
    text = "sockets: used 4622\nTCP: inuse 46 orphan 0 tw 59 alloc 46 mem 1221\nUDP: inuse 0 mem 7\n"
    assert proc.parse_tcp_pages(text) == 1221
    with pytest.raises(ValueError, match="no line for TCP"):
        proc.parse_tcp_pages("UDP: inuse 0 mem 7\n")
    assert proc.tcp_bytes() >= 0


def test_the_cpu_time_of_a_process_is_the_one_that_it_sees_itself():
    (own,) = [each for each in proc.every_stat() if each.pid == os.getpid()]
    before = time.process_time()
    seen = proc.own_seconds(own)
    assert before <= seen <= time.process_time()
    assert proc.cpu_seconds(os.getpid()) >= seen


def test_memory_that_is_taken_is_seen():
    before = proc.memory(os.getpid())
    taken = bytearray(os.urandom(32 << 20))
    grown = proc.memory(os.getpid()) - before
    assert grown.anonymous >= len(taken) // 2
    assert grown.rss >= len(taken) // 2


def test_a_machine_is_described_without_naming_it():
    assert machine.parse_cpu_model("processor : 0\nmodel name\t: An EPYC: 7\nmodel name\t: other\n") == "An EPYC: 7"
    assert machine.parse_memory_total("MemTotal:       2048 kB\nMemFree: 1 kB\n") == 2048 * 1024
    described = machine.describe(cores.Cores(server=0, client=1), 1024)
    assert os.uname().nodename not in [str(value) for value in described.values()]


@pytest.mark.parametrize(("available", "server", "client"), [({1, 0}, 0, 1), ({7, 3, 5}, 3, 5), ({2}, 2, 2)])
def test_the_server_has_a_core_for_itself_when_there_are_two(available: set[int], server: int, client: int):
    chosen = cores.choose(available)
    assert (chosen.server, chosen.client, chosen.apart) == (server, client, server != client)


def test_reasons_name_no_folder_of_this_machine():
    text = "cannot open '/srv/user/project/.bench/x.db': see /var/log/a.log (http://127.0.0.1:8000/v1/runs is up)"
    assert without_paths(text) == "cannot open 'x.db': see a.log (http://127.0.0.1:8000/v1/runs is up)"


def search(limit: int) -> dict[int, bool]:
    """What is tried when a proxy sustains `limit` streams and no more."""
    tried: dict[int, bool] = {}
    while (level := proxies.next_level(tried)) is not None:
        assert level not in tried
        tried[level] = level <= limit
    return tried


@pytest.mark.parametrize(
    ("limit", "tried", "found"),
    [
        (5000, [200, 1000, 3000], 3000),
        (1200, [200, 1000, 3000, 2000, 1500], 1000),
        (1600, [200, 1000, 3000, 2000, 1500], 1500),
        (600, [200, 1000, 500, 700], 500),
        (120, [200, 50, 150, 100], 100),
        (15, [200, 50, 20, 10], 10),
        (0, [200, 50, 20, 10], 0),
    ],
)
def test_the_highest_sustained_load_is_looked_for(limit: int, tried: list[int], found: int):
    levels = search(limit)
    assert list(levels) == tried
    assert max((level for level, good in levels.items() if good), default=0) == found


def test_a_load_far_above_what_was_seen_is_left_out():
    capacity = Capacity()
    assert capacity.hopeless("x", 1000, 50) is None
    capacity.unthrottled["x", 1000] = 16_000.0
    assert "16,000 deliveries/s" in (capacity.hopeless("x", 1000, 50) or "")
    assert capacity.hopeless("x", 100, 50) is None
    assert capacity.hopeless("x", 1000, 0) is None
    capacity.unthrottled["x", 5000] = 40_000.0  # the best of all is what counts
    assert capacity.hopeless("x", 1000, 50) is None


def planned(workloads: str, size: scale.Scale = scale.FULL) -> plan.Plan:
    return plan.Plan(place=PLACE, systems=SYSTEMS, workloads=list(workloads), scale=size)


def test_the_floor_is_measured_at_both_ends_and_rounds_are_interleaved():
    labels = [step.label for step in planned("a").steps()]
    assert (labels[0], labels[-1]) == ("floor-sse", "floor-sse")
    first, second = [index for index, label in enumerate(labels) if label == "nchan-sse"]
    between = labels[first + 1 : second]
    assert {"floor-sse", "tokentape-sse", "floor-ws", "tokentape-ws", "node-ws"} <= set(between)
    assert labels.count("tokentape-sse") == 3 + 3 * 2, "three rounds, and as many in turns with the floor at two loads"
    assert "durable-streams-file" not in labels


def test_a_session_begins_with_the_watchers_whose_memory_is_measured():
    first, *others = planned("aclg").groups("tokentape-sse", 0)
    assert (first.watchers, first.idle, first.rates) == (1000, True, (0, 50, 200, 500, 1000, 2000))
    assert [group.watchers for group in others] == [5000, 10, 100, 3000, 10_000]
    assert others[-1].streaming
    assert planned("a").groups("nchan-sse", 2) == ()
    assert not planned("g").groups("sse-starlette", 0)


@pytest.mark.parametrize("workload", list(scale.WORKLOADS))
def test_every_workload_alone_has_steps_besides_the_check_of_the_noise(workload: str):
    assert len(planned(workload).steps()) > 2


def test_the_whole_run_is_estimated_at_no_more_than_nineteen_minutes_and_the_quick_one_at_five():
    assert sum(step.estimate for step in planned("abcdefghl").steps()) < 19 * 60
    chosen = [each for each in SYSTEMS if each.name in (scale.QUICK.systems or ())]
    quick = plan.Plan(place=PLACE, systems=chosen, workloads=list(scale.WORKLOADS), scale=scale.QUICK)
    assert sum(step.estimate for step in quick.steps()) < 5 * 60


def test_the_names_that_the_plan_and_the_acceptance_speak_of_are_in_the_registry():
    known = {each.name for each in SYSTEMS}
    named = {*scale.FLOORS, *scale.OURS, *scale.CURVE_SYSTEMS, *scale.STORM_SYSTEMS, *scale.STALLED_SYSTEMS}
    named |= {*scale.STORM_ONLY, scale.OUR_PROXY, scale.PROXY_FLOOR, scale.PROXY_PEER, *(scale.QUICK.systems or ())}
    assert named <= known


def test_rounds_can_be_asked_for():
    assert [step.label for step in planned("a", scale.FULL.with_rounds(3)).steps()].count("nchan-sse") == 3


def test_only_a_run_of_everything_is_full():
    assert Wanted().mode == "full"
    assert Wanted(quick=True).mode == "quick"
    assert {Wanted(only=("a",)).mode, Wanted(systems=("x",)).mode, Wanted(rounds=1).mode} == {"partial"}


def test_what_does_not_exist_is_refused_with_what_does():
    with pytest.raises(UsageError, match=r"no workload z; there are: a \(one stream"):
        chosen_workloads(["a", "z"])
    with pytest.raises(UsageError, match="no system nope; there are: floor-sse, "):
        chosen_systems(SYSTEMS, ["nope"])
    assert chosen_workloads([]) == tuple(scale.WORKLOADS)
    names = {each.name for each in chosen_systems(SYSTEMS, ["node-ws"])}
    assert names == {"node-ws", *scale.FLOORS, scale.PROXY_FLOOR}


def test_without_the_setup_it_says_what_to_do(tmp_path: Path):
    place = Place(root=tmp_path, cores=cores.Cores(server=0, client=1))
    assert place.not_ready() == "there is no .bench folder: run `make bench-setup` first"
    place.bin.mkdir(parents=True)
    (place.bin / "load").touch()
    assert place.not_ready() == "not built: floor, upstream: run `make bench-setup` first"
    (system,) = [each for each in SYSTEMS if each.name == "node-ws"]
    assert place.unavailable(system) == f"not installed: {', '.join(system.requires)} is missing"


def test_the_time_left_follows_the_pace_of_what_is_done():
    now = [0.0]
    progress = Progress(100, io.StringIO(), clock=lambda: now[0])
    assert progress.left() == 100
    now[0] = 40.0
    progress.step_done(20)
    assert progress.left() == 160  # twice as slow as estimated: 200 in all
    progress.step_done(80)
    assert progress.left() == 0


def test_a_cell_is_one_line():
    out = io.StringIO()
    key = Key(workload="fanout", system="x", watchers=1000, rate=50)
    values = {"cpu_us": 4.3144, "p99_ms": 4.06, "gaps": 2.0}
    cell = Cell(key=key, round=0, status="saturated", reason="took 3 s", values=values)
    Progress(10, out).cell(cell)
    assert out.getvalue().count("\n") == 1
    assert outcome(cell) == "4.31 µs · p99 4.1 ms · 2 gaps or duplicates · saturated: took 3 s"
    assert where(key) == "1,000 × 50/s"
    assert where(Key(workload="store", system="memory", variant="batches of 1")) == "batches of 1"


def test_every_format_is_measured():
    assert set(dialects.FORMATS) == set(FORMATS)
