import msgspec
import pytest
from upstreams import asking, said

from tokentape.providers import prose
from tokentape.providers.base import Generation, Part
from tokentape.providers.script import plan
from tokentape.providers.simulation import Fault, Options


def planned(parameters: dict | None = None, messages: list | None = None, **options):
    generation = Generation(
        model="m", messages=messages or [{"role": "user", "content": "Hello there"}], parameters=parameters or {}
    )
    play = plan(generation, Options.read(options))
    return list(play.steps), play


def texts(steps) -> list[str]:
    return [step.data for step in steps if isinstance(step, Part) and step.type == "token"]


def test_a_plain_answer_has_a_token_in_each_part_and_counts_them():
    steps, play = planned(tokens=120, seed=2)
    assert texts(steps) == list(prose.answer("Hello there", seed=2, length=120))
    assert (play.finish, play.usage) == ("stop", {"input_tokens": 2, "output_tokens": 120})


def test_without_a_word_it_is_three_hundred():
    assert len(planned()[0]) == 300


def test_reasoning_comes_first_and_counts():
    steps, play = planned(tokens=5, reasoning=40)
    assert [step.type for step in steps] == ["reasoning"] * 40 + ["token"] * 5
    assert play.usage == {"input_tokens": 2, "output_tokens": 45, "reasoning_tokens": 40}


def test_given_text_is_said_as_it_is():
    steps, play = planned(text="Just this, 京都.")
    assert "".join(texts(steps)) == "Just this, 京都."
    assert play.usage["output_tokens"] == len(steps)
    assert len(planned(text="one two three", tokens=2)[0]) == 2


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_cuts_it_short_and_says_so(name):
    whole, _ = planned(tokens=50)
    steps, play = planned({name: 10}, tokens=50, tool=True)
    assert steps == whole[:10]
    assert (play.finish, play.usage["output_tokens"]) == ("length", 10)
    assert planned({name: 50}, tokens=50)[1].finish == "stop"


def test_all_messages_count_as_input():
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look at that"}, {"type": "image_url"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "x"},
    ]
    steps, play = planned(messages=messages, tokens=60)
    assert play.usage["input_tokens"] == 3 + 3 + 1
    assert "“Look at that”" in "".join(texts(steps))


FIELDS = {
    "city": {"type": "string"},
    "unit": {"enum": ["C", "F"]},
    "days": {"type": "integer"},
    "exact": {"type": "boolean"},
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": FIELDS}}}


def test_a_call_streams_and_is_whole_at_the_end():
    steps, play = planned({"tools": [TOOL]}, tokens=3, tool=True)
    deltas = [step.data for step in steps if step.type == "tool_call_delta"]
    assert steps[-1].type == "tool_call"
    call = steps[-1].data
    assert (call["name"], deltas[0]["name"]) == ("f", "f")
    assert "".join(delta["arguments"] for delta in deltas) == call["arguments"]
    arguments = msgspec.json.decode(call["arguments"])
    assert arguments == {"city": "example", "unit": "C", "days": 3, "exact": True}
    assert (play.finish, play.usage["output_tokens"]) == ("tool_calls", 3 + len(deltas))


def test_a_call_needs_no_tools_in_the_request():
    assert planned(tool=True)[0][-1].data["name"] == "get_weather"
    assert planned(tool="mine")[0][-1].data["name"] == "mine"
    assert planned({"tools": [{"type": "web_search"}, 7]}, tool=True)[0][-1].data["name"] == "get_weather"


def test_faults_stand_after_their_tokens_and_late_ones_at_the_end():
    steps, _ = planned(tokens=4, fault="stall@2:1s+cut@99+status:429+slow-start:1s")
    kinds = [step.name if isinstance(step, Fault) else "-" for step in steps]
    assert kinds == ["slow-start", "-", "-", "stall", "-", "-", "cut"]


def test_line_ends_are_in_the_text_and_change_no_count():
    steps, _ = planned(tokens=60, fault="line-ends")
    text = "".join(texts(steps))
    assert all(end in text for end in ("\r", "\u0085", "\u2028", "\r\n"))
    assert len(texts(steps)) == 60


def test_the_same_request_gives_the_same():
    options = Options.read({"seed": 5, "tool": True, "reasoning": 9})
    first, second = (list(plan(asking("Why?"), options).steps) for _ in range(2))
    assert first == second
    assert said(first)
