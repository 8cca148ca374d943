"""Ctrl-C, SIGTERM and closed pipes, with real processes."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ("--simulated", "rate=50,tokens=5000")


def state_of(spawn, url: str, run: str) -> dict:
    code, out, _ = spawn("runs", "--json", "--limit", "1000", url=url).end()
    assert code == 0
    return next(found for found in json.loads(out) if found["id"] == run)


def stopped(spawn, url: str, run: str) -> None:
    assert spawn("stop", run, url=url).end()[0] == 0


def test_ctrl_c_lets_go_and_the_run_goes_on(spawn, url):
    send = spawn("send", "Hello", *SLOW, url=url)
    shown = send.read(32)
    send.interrupt()
    code, rest, err = send.end()
    assert code == 130
    assert "Traceback" not in err
    run = err.split()[1]
    assert state_of(spawn, url, run)["state"] == "running"

    # The printed commands work as they are: the answer goes on at the very next character.
    back, stop = (line.partition("tokentape ")[2] for line in err.splitlines()[-2:])
    again = spawn(*shlex.split(back), url=url)
    more = again.read(40)
    code, _, err = spawn(*shlex.split(stop), url=url).end()
    assert code == 0, err
    code, tail, _ = again.end()
    assert code == 6
    code, whole, _ = spawn("watch", run, url=url).end()
    assert code == 6
    first = shown.decode() + rest.removesuffix("\n")
    assert first + (more + tail.encode()).decode() == whole


def test_stop_on_interrupt(spawn, url):
    send = spawn("send", "Hello", "--stop-on-interrupt", *SLOW, url=url)
    send.read(32)
    send.interrupt()
    code, _, err = send.end()
    assert code == 6
    assert "stopped" in err.splitlines()[-1]
    assert state_of(spawn, url, err.split()[1])["reason"] == "stopped"


def test_ctrl_c_in_watch_says_how_to_go_on(spawn, url):
    send = spawn("send", "Hello", "--json", *SLOW, url=url)
    run = json.loads(send.line())["run"]["id"]
    watch = spawn("watch", run, "--json", url=url)
    while (line := json.loads(watch.line()))["event"]["type"] != "token":
        pass
    watch.interrupt()
    code, rest, err = watch.end()
    last = json.loads((rest.splitlines() or [json.dumps(line)])[-1])
    assert code == 130
    assert f"--from {last['cursor']}" in err
    stopped(spawn, url, run)
    assert send.end()[0] == 6


def test_whoever_reads_the_output_may_leave(spawn, url):
    # As in `tokentape send … | head -c 20`.
    send = spawn("send", "Hello", *SLOW, url=url)
    send.read(20)
    send.process.stdout.close()
    send.process.stdout = None
    code, _, err = send.end()
    assert code == 141
    assert err.splitlines() == [err.splitlines()[0]]
    run = err.split()[1]
    assert state_of(spawn, url, run)["state"] == "running"
    stopped(spawn, url, run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_ends_in_order(spawn, tmp_path, number):
    server = spawn("serve", "--port", "0", "--store", f"sqlite:///{tmp_path}/tape.db", "--json")
    assert json.loads(server.line())["url"].startswith("http://127.0.0.1:")
    server.process.send_signal(number)
    code, out, err = server.end()
    assert (code, out) == (0, "")
    assert "Traceback" not in err


def test_a_demo_ends_in_order_and_leaves_nothing(spawn):
    demo = spawn("demo", "--json")
    said = json.loads(demo.line())
    assert Path(said["folder"]).is_dir()
    demo.interrupt()
    code, out, err = demo.end()
    assert (code, out, err) == (0, "", "")
    assert not Path(said["folder"]).exists()


def test_the_commands_of_the_demo_work_as_printed(tmp_path):
    # From another folder, where the program is not on the path.
    script = Path(sys.executable).parent / "tokentape"
    env = {name: value for name, value in os.environ.items() if not name.startswith("TOKENTAPE_")}
    with subprocess.Popen(
        [script, "demo", "--json", "--keep", "k"], stdout=subprocess.PIPE, cwd=tmp_path, env=env
    ) as demo:
        send, watch, send_there = json.loads(demo.stdout.readline())["commands"]

        def shell(line: str) -> bytes:
            done = subprocess.run(line, shell=True, cwd=tmp_path, env=env, capture_output=True, check=True, timeout=60)
            return done.stdout

        assert len(shell(send)) > 100
        # With --json it says when it is there.
        with subprocess.Popen([*shlex.split(watch), "--json"], cwd=tmp_path, env=env, stdout=subprocess.PIPE) as follow:
            assert json.loads(follow.stdout.readline())["event"]["type"] == "ready"
            answer = shell(f"{send_there} --simulated rate=0,tokens=20").decode()
            heard = ""
            while (event := json.loads(follow.stdout.readline())["event"])["type"] != "done":
                heard += event["data"] if event["type"] == "token" else ""
            assert heard == answer.removesuffix("\n")
            follow.kill()
        demo.send_signal(signal.SIGINT)
    assert demo.returncode == 0
    assert (tmp_path / "k" / "tape.db").exists()
