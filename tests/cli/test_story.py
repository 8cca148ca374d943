import json
import re

import psutil
import pytest

from tokentape.cli.audit import Finding
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit
from tokentape.cli.script import conclude
from tokentape.cli.story import Account, Outcome


def test_the_story_comes_true(spawn):
    story = spawn("demo", "--script", "--json")
    code, out, err = story.end()
    assert code == 0, err
    outcome = json.loads(out)
    first, second = outcome["tapes"]
    assert outcome["equal"]
    assert len(outcome["watchers"]) == 5
    assert {(w["run"], w["sha256"], w["lost"], w["repeated"]) for w in outcome["watchers"]} == {
        (first["run"], first["sha256"], 0, 0),
        (second["run"], second["sha256"], 0, 0),
    }
    assert [(w["watcher"], w["reason"]) for w in outcome["watchers"]] == [
        ("SSE", "interrupted"),
        ("WebSocket", "interrupted"),
        ("late joiner", "interrupted"),
        ("SSE", "stopped"),
        ("WebSocket", "stopped"),
    ]
    # One was cut and lost its server, the others lost their server: none of them merely stayed connected.
    assert [w["connections"] for w in outcome["watchers"][:3]] == [3, 2, 2]
    assert len(err.splitlines()) == 7


def test_ctrl_c_leaves_no_server_behind(spawn):
    story = spawn("demo", "--script")
    started = story.line().decode()
    server = int(re.search(r"process (\d+)", started)[1])
    assert psutil.pid_exists(server)
    story.interrupt()
    code, _, err = story.end()
    assert (code, err) == (130, "")
    assert not psutil.pid_exists(server)


WHOLE = Finding(10, 0, 0, "ab" * 32)


def outcome(finding: Finding) -> Outcome:
    return Outcome(
        [Account("r_1", "SSE", "stop", 1, WHOLE), Account("r_1", "late", "stop", 1, finding)], {"r_1": WHOLE}
    )


def test_equal_is_success(capsys):
    assert conclude(Console(), outcome(WHOLE)) == Exit.OK
    shown = capsys.readouterr().out
    assert "Equal: all 2 watchers have the bytes of the tape; lost 0, repeated 0." in shown
    assert max(map(len, shown.splitlines())) <= 72


@pytest.mark.parametrize(
    "finding", [WHOLE._replace(lost=1), WHOLE._replace(repeated=1), WHOLE._replace(digest="cd" * 32)]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_any_difference_is_a_failure(finding, as_json, capsys):
    assert conclude(Console(as_json=as_json), outcome(finding)) == Exit.FAILURE
    shown = capsys.readouterr().out
    assert ('"equal":false' if as_json else "NOT equal") in shown
