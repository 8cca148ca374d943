"""Real processes: started, pinned, spoken to, ended; and whole measurements with the C programs."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import fanout, proc, proxies, stalled, storm, turns
from harness.child import Child, ChildError
from harness.cores import Cores, Ports, choose
from harness.drive import Server, options
from harness.fanout import Group, Session
from harness.measure import Capacity
from harness.place import Place
from harness.results import Cell, Key
from systems.registry import system
from systems.system import Context, System

ECHO = """
import json, sys
print("a line of a log", flush=True)
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "quit":
        break
    if word == "die":
        print("cannot open /etc/nowhere/x.db", file=sys.stderr)
        sys.exit(3)
    print(json.dumps({"heard": word, "rest": rest}), flush=True)
"""
PARENT = """
import json, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(json.dumps({"child": child.pid}), flush=True)
sys.stdin.read() and None
"""

LAZY_SECONDS = 0.3
LAZY = f"""
import json, os, subprocess, sys, threading, time
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
def pass_on():
    for line in sys.stdin:
        child.stdin.write(line)
threading.Thread(target=pass_on, daemon=True).start()
for line in child.stdout:
    answer = json.loads(line)
    print(json.dumps(answer | ({{"pid": os.getpid()}} if "pid" in answer else {{}})), flush=True)
    until = time.thread_time() + {LAZY_SECONDS}
    while "emitted" in answer and time.thread_time() < until:
        pass
"""
"""A server that sets to work when all of a window is out."""


def core() -> int:
    return max(os.sched_getaffinity(0))


def child(code: str, folder: Path, name: str = "echo") -> Child:
    return Child(name, [sys.executable, "-c", code], core=core(), log=folder / "log")


def test_a_child_answers_in_json_and_the_rest_goes_to_its_log(tmp_path: Path):
    with child(ECHO, tmp_path) as echo:
        assert echo.ask("hello you", seconds=20) == {"heard": "hello", "rest": "you"}
        echo.tell("one")
        echo.tell("two")
        assert echo.answer(seconds=20, key="rest")["heard"] == "one"
        assert echo.answer(seconds=20)["heard"] == "two"
        assert not echo.has_answered()
    assert "a line of a log" in (tmp_path / "log").read_text()


def test_a_child_that_ends_leaves_its_last_words_without_folders(tmp_path: Path):
    with child(ECHO, tmp_path) as echo, pytest.raises(ChildError, match=r"^echo has ended: cannot open x\.db$"):
        echo.ask("die", seconds=20)


def test_a_child_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path):
    with child("import sys; sys.stdin.read()", tmp_path) as mute:
        with pytest.raises(ChildError, match="echo: no sign of an answer to 'x' in time"):
            mute.ask("x", seconds=0.05)
        assert not mute.has_answered()


def test_a_program_that_is_not_there_is_said_to_be(tmp_path: Path):
    with pytest.raises(ChildError, match="gone cannot be started: No such file"):
        Child("gone", [str(tmp_path / "gone")], core=core(), log=tmp_path / "log")


def test_a_child_runs_on_its_core_and_we_stay_where_we_were(tmp_path: Path):
    before = os.sched_getaffinity(0)
    with child(ECHO, tmp_path) as echo:
        assert os.sched_getaffinity(echo.pid) == {core()}
        assert os.sched_getaffinity(0) == before
        os.sched_setaffinity(echo.pid, before)
        proc.pin(echo.pid, min(before))
        assert os.sched_getaffinity(echo.pid) == {min(before)}


def test_what_a_child_has_started_ends_with_it(tmp_path: Path):
    with child(PARENT, tmp_path) as parent:
        grandchild = parent.answer(seconds=20, key="child")["child"]
        assert grandchild in [each.pid for each in proc.tree(parent.pid)]
    states = {each.pid for each in proc.every_stat()}
    stat = Path(f"/proc/{grandchild}/stat")
    assert grandchild not in states or ") Z " in stat.read_text()


def test_proxies_of_the_environment_do_not_reach_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "x")
    monkeypatch.setenv("PYTHONPATH", "/x")
    code = "import json, os; print(json.dumps({'names': sorted(os.environ)}), flush=True); input()"
    with child(code, tmp_path) as asked:
        names = asked.answer(seconds=20)["names"]
    assert not {"HTTPS_PROXY", "no_proxy", "PYTHONPATH"} & set(names)
    assert "NODE_ENV" in names


def test_ports_are_free_and_do_not_come_twice_in_a_row():
    ports = Ports()
    handed = [ports.free() for _ in range(20)]
    assert len(set(handed)) == 20


@pytest.fixture
def place(tmp_path: Path, programs: Path) -> Place:
    """A checkout in which only the C programs are set up."""
    (tmp_path / ".bench").mkdir()
    (tmp_path / ".bench" / "bin").symlink_to(programs)
    return Place(root=tmp_path, cores=choose(os.sched_getaffinity(0)))


def session(tested: System, *groups: Group) -> Session:
    return Session(system=tested, round=2, groups=groups, seconds=0.2)


@pytest.mark.parametrize("name", ["floor-sse", "floor-ws"])
def test_a_session_measures_every_group_and_every_event_arrives(place: Place, name: str):
    cells: list[Cell] = []
    groups = Group(watchers=20, rates=(0, 50), idle=True), Group(watchers=30, rates=(20,), streaming=True)
    wanted = session(system(name), *groups)
    fanout.run(place, wanted, Capacity(), cells.append)
    assert [cell.key for cell in cells] == list(wanted.keys())
    assert {cell.round for cell in cells} == {2}
    measured = [cell for cell in cells if cell.key.workload == "fanout"]
    for cell in measured:
        assert cell.status != "failed", cell.reason
        assert cell.values["missing"] == cell.values["gaps"] == cell.values["duplicates"] == 0
        assert cell.values["deliveries"] % cell.key.watchers == 0
        assert cell.values["cpu_us"] > 0
    assert measured[1].values["deliveries"] == 20 * 10
    assert list((place.home / "work").iterdir()) == []


def test_two_systems_are_measured_in_turns(place: Place):
    ours = replace(system("floor-sse"), name="ours")
    cells = list(turns.measure(place, ours, system("floor-sse"), (20, 50), rounds=range(4, 6), seconds=0.2))
    assert [(cell.key.system, cell.round) for cell in cells] == [
        (name, round_) for round_ in (4, 5) for name in ("ours", "floor-sse")
    ]
    for cell in cells:
        assert (cell.status, cell.values["missing"], cell.values["deliveries"]) == ("ok", 0, 20 * 10)
    assert all(cell.values["times_floor"] > 0 and cell.values["p99_times_floor"] > 0 for cell in cells[::2])
    assert not any("times_floor" in cell.values for cell in cells[1::2])
    assert list((place.home / "work").iterdir()) == []


def test_a_turn_counts_what_a_server_puts_off_until_that_of_the_other(place: Place):
    floor = system("floor-sse")
    lazy = replace(floor, name="lazy", command=lambda context: [sys.executable, "-c", LAZY, *floor.command(context)])
    cell, _ = turns.measure(place, lazy, floor, (20, 50), rounds=range(1), seconds=0.6)
    assert cell.values["cpu_us"] * cell.values["deliveries"] > LAZY_SECONDS / 2 * 1e6


def test_a_system_that_dies_ends_its_turns_with_the_reason(place: Place):
    dies = broken([sys.executable, "-c", "raise SystemExit('the port is taken')"])
    [cell] = turns.measure(place, dies, system("floor-sse"), (20, 50), rounds=range(3), seconds=0.2)
    assert (cell.key, cell.status) == (turns.key("broken", 20, 50), "failed")
    assert cell.reason == "broken has ended: the port is taken"


def broken(command: list[str]) -> System:
    return replace(system("floor-sse"), name="broken", command=lambda _context: command)


def test_a_system_that_does_not_start_is_reported_and_the_rest_is_left_out(place: Place):
    cells: list[Cell] = []
    dies = [sys.executable, "-c", "raise SystemExit('the port is taken')"]
    fanout.run(place, session(broken(dies), Group(watchers=5, rates=(0, 50))), Capacity(), cells.append)
    assert [(cell.status, cell.reason) for cell in cells] == [
        ("failed", "broken has ended: the port is taken"),
        ("skipped", "not tried after this failure: broken has ended: the port is taken"),
    ]
    assert not any(cell.values for cell in cells)


def test_what_is_hopeless_is_skipped_with_the_reason(place: Place):
    cells: list[Cell] = []
    capacity = Capacity(unthrottled={("floor-sse", 10): 40.0})
    fanout.run(place, session(system("floor-sse"), Group(watchers=10, rates=(50,))), capacity, cells.append)
    assert [cell.status for cell in cells] == ["skipped"]
    assert "40 deliveries/s is the most that was seen of it, and this asks for 500" in cells[0].reason


def test_a_server_that_cannot_resume_fails_the_storm_with_a_reason(place: Place):
    """The floor keeps nothing: whoever comes back misses what was sent meanwhile."""
    measured = storm.measure(place, replace(system("floor-sse"), command=mute), watchers=3, behind=5, round_=0)
    assert measured.status == "failed"
    assert measured.key == Key(workload="storm", system="floor-sse", watchers=3, variant="5 behind")
    assert measured.reason


def mute(context: Context) -> list[str]:
    """Says that it is ready and closes every connection."""
    code = (
        "import json, os, socket, sys, threading\n"
        f"s = socket.create_server(('127.0.0.1', {context.port}))\n"
        f"print(json.dumps({{'ready': True, 'port': {context.port}, 'pid': os.getpid()}}), flush=True)\n"
        "threading.Thread(target=lambda: [s.accept()[0].close() for _ in iter(int, 1)], daemon=True).start()\n"
        "sys.stdin.readline()\n"
    )
    return [sys.executable, "-c", code]


def test_stalled_watchers_are_left_out_of_the_count(place: Place):
    cell = stalled.measure(place, system("floor-sse"), stalled.STALLED, watchers=20, round_=0, seconds=0.2)
    assert cell.status != "failed", cell.reason
    assert cell.values["deliveries"] == 16 * 20  # 20 events in 0.2 s for the 16 who read
    assert {"anonymous_growth", "rss_growth", "kernel_growth"} <= set(cell.values)


def test_the_provider_alone_is_measured_like_a_proxy(place: Place):
    cell = proxies.measure_direct(place, system("nginx-proxy"), 5, round_=0, seconds=0.3)
    assert cell.status in {"ok", "saturated"}, cell.reason
    assert cell.values["deliveries"] > 0
    assert cell.values["gaps"] == cell.values["duplicates"] == 0
    assert "cpu_us" not in cell.values


def test_a_proxy_that_ends_the_streams_has_failed(place: Place):
    cell = proxies.measure(place, replace(system("nginx-proxy"), command=mute), 3, round_=0, seconds=0.1)
    assert cell.status == "failed"
    assert "watchers could connect" in cell.reason


def test_a_server_cleans_up_after_itself(place: Place):
    with Server(place, system("floor-sse")) as server:
        pid = server.pid
        assert os.sched_getaffinity(pid) == {place.cores.server}
        assert server.memory().rss > 0
    assert not Path(f"/proc/{pid}").exists()
    assert list((place.home / "work").iterdir()) == []


def test_the_load_client_is_told_how_a_system_wants_to_be_spoken_to():
    arguments = options(system("nats-ws"))
    assert arguments.count("--hello") == 1
    assert "--hello-binary" in arguments
    assert options(system("tokentape-sse")) == [
        *("--header", "Accept: text/event-stream", "--resume", "last-event-id"),
    ]
    assert "--engineio" in options(system("socketio"))


def test_one_core_alone_is_used_for_both():
    assert not Cores(server=0, client=0).apart
