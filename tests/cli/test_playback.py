import msgspec
import pytest

from tokentape.cli.console import Console
from tokentape.cli.playback import playback, tell_connection
from tokentape.client import Item, Opened, Unreachable, Wait
from tokentape.core.cursor import Cursor
from tokentape.core.events import Event, encode_event


def item(kind, data=None, *, offset=None, run="r_1"):
    event = Event(type=kind, run=run, data=data)
    return Item(Cursor("e1", offset) if offset else None, event, encode_event(event))


def shown(capsys, *items, **options):
    play = playback(Console(as_json=options.pop("as_json", False)), **options)
    for one in items:
        play.show(one)
    play.close()
    captured = capsys.readouterr()
    return captured.out, captured.err, play.reason


ANSWER = (
    item("ready", {"outcome": "replayed", "cursor": "e1-0"}),
    item("start", {"model": "m"}, offset=1),
    item("token", "Hello, ", offset=2),
    item("token", "world", offset=3),
    item("usage", {"input_tokens": 3, "output_tokens": 4}, offset=4),
    item("done", {"reason": "stop", "usage": {"input_tokens": 3, "output_tokens": 4}}, offset=5),
)


def test_the_answer_and_nothing_else_is_on_stdout(capsys):
    assert shown(capsys, *ANSWER) == ("Hello, world\n", "stop · 3 tokens in, 4 out\n", "stop")


def test_json_lines_have_every_item_with_its_cursor(capsys):
    out, err, reason = shown(capsys, *ANSWER, as_json=True)
    lines = [msgspec.json.decode(line) for line in out.splitlines()]
    assert lines[0] == {"cursor": None, "event": msgspec.json.decode(ANSWER[0].record)}
    assert lines[2] == {"cursor": "e1-2", "event": {"type": "token", "run": "r_1", "data": "Hello, "}}
    assert (len(lines), err, reason) == (6, "", "stop")


def test_raw_lines_are_the_records(capsys):
    out, _, _ = shown(capsys, *ANSWER, bare=True)
    assert out.encode() == b"".join(one.record + b"\n" for one in ANSWER)


def test_reasoning_is_beside_the_answer(capsys):
    out, err, _ = shown(capsys, item("reasoning", "let me "), item("reasoning", "think"), item("token", "4"))
    assert (out, err) == ("4\n", "let me think\n")


def test_reasoning_that_is_the_last_word_ends_its_line(capsys):
    assert shown(capsys, item("reasoning", "hm"))[1] == "hm\n"


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (item("tool_call", {"id": "1", "name": "add", "arguments": '{"a":1}'}), 'calls add({"a":1})'),
        (item("tool_result", {"id": "1", "output": {"sum": 2}}), 'result: {"sum":2}'),
        (item("status", {"state": "searching"}), 'status: {"state":"searching"}'),
        (item("error", {"code": "provider_cut", "message": "It broke."}), "error: It broke. (provider_cut)"),
        (item("reset", {"reason": "failover"}), "the answer starts anew (failover):"),
        (item("presence", {"action": "join", "id": "ann"}), 'presence: {"action":"join","id":"ann"}'),
        (item("done", {"reason": "stopped"}), "stopped"),
        (
            item("done", {"reason": "stop", "usage": {"output_tokens": 9, "estimated": True}}),
            "stop · about ? tokens in, 9 out",
        ),
    ],
)
def test_what_is_not_the_answer_is_on_stderr(capsys, event, said):
    assert shown(capsys, event)[:2] == ("", said + "\n")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (item("message", {"role": "user", "content": "Hi"}), "user: Hi"),
        (item("message", {"role": "user", "content": [{"type": "text", "text": "Hi"}]}), 'user: [{"type":"text"'),
        (item("chat:typing", {"who": "ann"}), 'chat:typing: {"who":"ann"}'),
    ],
)
def test_what_a_channel_is_for_is_on_stdout(capsys, event, said):
    out, err, _ = shown(capsys, event)
    assert out.startswith(said)
    assert err == ""


@pytest.mark.parametrize("kind", ["token", "reasoning", "done", "message", "error", "tool_call", "usage", "ready"])
@pytest.mark.parametrize("data", [None, 1, "x", [], {}, {"usage": 3, "reason": None, "content": None}])
def test_any_data_that_a_publisher_may_choose_can_be_shown(capsys, kind, data):
    shown(capsys, item(kind, data))


def test_a_view_that_starts_over_says_so(capsys):
    gone = item("ready", {"outcome": "gone", "cursor": "e2-0", "reason": "epoch"})
    out, err, _ = shown(capsys, *ANSWER[:3], gone, item("token", "Again"))
    assert (out, err) == ("Hello, Again\n", "from the beginning again (epoch):\n")


def test_a_view_that_begins_says_nothing(capsys):
    assert shown(capsys, item("ready", {"outcome": "snapshot", "cursor": "e1-0"})) == ("", "", None)


def test_the_connection_is_told_of_when_it_is_lost_and_when_it_is_back(capsys):
    tell = tell_connection(Console())
    tell(Opened())
    tell(Wait(0.5, Unreachable("It broke.")))
    tell(Wait(1.25, Unreachable("Still away.")))
    tell(Opened())
    assert capsys.readouterr().err.splitlines() == [
        "It broke. Trying again in 0.5 s.",
        "Still away. Trying again in 1.2 s.",
        "Connected again.",
    ]
