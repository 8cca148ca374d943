"""Every command that speaks to a server, against a real one."""

import io
import json
import sys

import pytest

from tokentape.cli import main
from tokentape.cli.exits import Exit

QUICK = ("--simulated", "rate=0,tokens=20,seed=3")


@pytest.fixture
def call(url, capfd):
    """Runs a command in this process; returns its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([*arguments, "--url", url])
        out, err = capfd.readouterr()
        return code, out, err

    return run


def lines(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def a_run(call, *arguments: str) -> str:
    code, out, _ = call("send", "Hello", "--json", *QUICK, *arguments)
    assert code == Exit.OK
    return lines(out)[0]["run"]["id"]


def test_send_prints_the_answer_and_only_that(call):
    code, out, err = call("send", "Hello", "there", *QUICK)
    assert code == Exit.OK
    assert len(out.split()) > 5
    assert err.startswith("run r_")
    assert err.splitlines()[-1].startswith(("stop", "length"))


@pytest.mark.parametrize("transport", ["sse", "ws", "poll"])
def test_send_json(call, transport):
    code, out, err = call("send", "Hello", "--json", "--transport", transport, *QUICK)
    first, *events = lines(out)
    assert (code, err) == (Exit.OK, "")
    assert first["run"]["stream"] == f"runs/{first['run']['id']}"
    assert [events[0]["event"]["type"], events[-1]["event"]["type"]] == ["ready", "done"]
    assert events[0]["cursor"] is None
    assert all(event["cursor"] for event in events[1:])


def test_send_reads_a_prompt_from_a_pipe(call, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("From a pipe\n"))
    assert call("send", "--channel", "piped", *QUICK)[0] == Exit.OK
    monkeypatch.setattr(sys, "stdin", io.StringIO("  \n"))
    code, _, err = call("send", "-")
    assert code == Exit.USAGE
    assert "empty" in err


def test_send_with_a_key_twice_is_one_run(call):
    assert a_run(call, "--key", "k-cli") == a_run(call, "--key", "k-cli")
    code, _, err = call("send", "Something else", "--key", "k-cli")
    assert code == Exit.FAILURE
    assert "Idempotency-Key" in err


def test_a_run_that_fails_is_exit_5(call):
    code, _, err = call("send", "Hello", *QUICK, "--simulated", "fault=error@5")
    assert code == Exit.RUN_FAILED
    assert "error" in err


def test_what_is_not_there_is_exit_4(call):
    for arguments in (["stop", "r_nothing"], ["watch", "r_nothing"], ["send", "x", "--model", "gpt-99"]):
        code, out, err = call(*arguments)
        assert (code, out) == (Exit.NOT_FOUND, "")
        assert err.count("\n") == 1


def test_a_value_that_the_server_refuses_is_exit_2(call):
    code, out, err = call("send", "x", "--channel", "runs/mine")
    assert (code, out) == (Exit.USAGE, "")
    assert "'runs/mine' belongs to a run" in err


@pytest.mark.parametrize("transport", ["sse", "ws", "poll"])
def test_watch_plays_a_run_again(call, transport):
    run = a_run(call)
    _, answer, _ = call("watch", run)
    code, again, _ = call("watch", f"runs/{run}", "--transport", transport)
    assert (code, again) == (Exit.OK, answer)


def test_watch_from_a_cursor(call):
    run = a_run(call)
    _, out, _ = call("watch", run, "--json", "--no-merge")
    events = [line for line in lines(out) if line["cursor"]]
    code, out, _ = call("watch", run, "--json", "--no-merge", "--from", events[5]["cursor"])
    assert code == Exit.OK
    assert [line for line in lines(out) if line["cursor"]] == events[6:]


def test_watch_raw_prints_events_alone(call):
    run = a_run(call)
    _, with_cursors, _ = call("watch", run, "--json")
    _, bare, _ = call("watch", run, "--raw")
    assert lines(bare) == [line["event"] for line in lines(with_cursors)]


def test_stop_of_a_run_that_has_ended_is_a_success(call):
    run = a_run(call)
    assert call("stop", run)[:2] == (Exit.OK, f"{run} stop\n")
    code, out, _ = call("stop", f"runs/{run}", "--json")
    assert code == Exit.OK
    assert json.loads(out)["id"] == run


def test_runs(call):
    older, newer = a_run(call), a_run(call)
    code, out, err = call("runs", "--limit", "2")
    assert (code, err) == (Exit.OK, "")
    head, *rows = out.splitlines()
    assert head.split() == ["RUN", "STATE", "MODEL", "STARTED", "STREAM"]
    assert [row.split()[0] for row in rows] == [newer, older]
    _, out, _ = call("runs", "--before", newer, "--limit", "1", "--json")
    assert [run["id"] for run in json.loads(out)] == [older]


def test_streams(call):
    a_run(call, "--channel", "cli/streams")
    code, out, _ = call("streams", "--prefix", "cli/streams")
    assert code == Exit.OK
    assert out.splitlines()[1].startswith("cli/streams")
    _, out, _ = call("streams", "--prefix", "cli/streams", "--json")
    assert [stream["name"] for stream in json.loads(out)] == ["cli/streams"]


def test_nothing_to_list_is_said_on_stderr(call):
    code, out, err = call("streams", "--prefix", "nothing-starts-so")
    assert (code, out) == (Exit.OK, "")
    assert err.startswith("No streams")


def test_models_of_a_server(call):
    code, out, _ = call("models")
    assert code == Exit.OK
    assert out.splitlines()[1].split()[:2] == ["*", "simulated"]


def test_models_without_a_server(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-not-a-key")
    assert main(["models", "--json"]) == Exit.OK
    out, _ = capfd.readouterr()
    assert "simulated" in [model["name"] for model in json.loads(out)]
    assert "openai" in [model["provider"] for model in json.loads(out)]
    assert "sk-test" not in out
