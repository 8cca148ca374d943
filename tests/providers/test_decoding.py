import itertools
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.providers.base import ProviderError
from tokentape.providers.decoding import MAX_ARGUMENTS, MAX_CALLS, Halves, Speech, ToolCalls, decode
from tokentape.providers.failures import Failures
from tokentape.providers.secret import Redactor

FAILURES = Failures("x", Redactor([]))


class Point(msgspec.Struct):
    x: int


def test_json_is_decoded_by_its_type():
    assert decode(msgspec.json.Decoder(Point), '{"x":1,"more":[]}', FAILURES) == Point(1)


@pytest.mark.parametrize("data", ["", "{", '{"x":"secret words"}', '{"x":1,"y":' + "[" * 100_000, '{"x":1}\ud800'])
def test_json_that_is_not_so_is_an_error_that_does_not_repeat_it(data):
    error = decode(msgspec.json.Decoder(Point), data, FAILURES)
    assert isinstance(error, ProviderError)
    assert error.subcode == "provider_protocol"
    assert "secret words" not in error.message


class Said(msgspec.Struct):
    text: str


def test_half_a_character_can_be_read():
    assert decode(msgspec.json.Decoder(Said), '{"text":"a\\uD83D"}', FAILURES) == Said("a\ud83d")


@pytest.mark.parametrize("data", ['{"text":"\\ud83d"', '{"text":7,"more":"\\ud83d"}', "[" * 100_000 + '"\\ud83d"'])
def test_half_a_character_excuses_nothing_else(data):
    assert isinstance(decode(msgspec.json.Decoder(Said), data, FAILURES), ProviderError)


@given(st.text(st.sampled_from("aé京👩🚀"), max_size=12), st.sets(st.integers(0, 24)))
def test_text_that_was_cut_anywhere_becomes_whole_again(text, places):
    units = text.encode("utf-16-le")
    bounds = sorted({0, len(units), *(2 * place for place in places if 2 * place < len(units))})
    pieces = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in itertools.pairwise(bounds)]
    halves = Halves()
    wholes = [halves.whole(piece) for piece in pieces]
    assert "".join(wholes) == text
    assert all(json.loads(json.dumps(whole)).encode() for whole in wholes if whole)


def test_a_half_that_stays_alone_is_marked():
    halves = Halves()
    assert halves.whole("a\udc00b") == "a\ufffdb"
    assert halves.whole("a\ud83d") == "a"
    assert halves.whole("b") == "\ufffdb"


def test_speech_is_made_of_whole_characters_of_either_kind():
    speech, parts = Speech(), []
    for kind, piece in [("token", "a\ud83d"), ("reasoning", "é\ud83d"), ("token", "\ude80"), ("reasoning", "b")]:
        assert speech.say(kind, piece, parts)
    assert parts == [("token", "a"), ("reasoning", "é"), ("token", "🚀"), ("reasoning", "\ufffdb")]


def test_speech_is_bounded_and_empty_pieces_are_none():
    speech, parts = Speech(5), []
    assert speech.say("token", "abc", parts)
    assert speech.say("token", "", parts)
    assert speech.say("reasoning", "de", parts)
    assert not speech.say("token", "f", parts)
    assert [text for _, text in parts] == ["abc", "de"]


def test_calls_build_up_side_by_side():
    calls = ToolCalls()
    assert calls.add(0, identity="a", name="first", arguments="") == (
        "tool_call_delta",
        {"id": "a", "name": "first", "arguments": ""},
    )
    calls.add(1, identity="b", name="second", arguments='{"x"')
    assert calls.add(0, identity="", name=None, arguments="{}") == ("tool_call_delta", {"id": "a", "arguments": "{}"})
    calls.add(1, identity="", name=None, arguments=":1}")
    assert [part.data for part in calls.close_all()] == [
        {"id": "a", "name": "first", "arguments": "{}"},
        {"id": "b", "name": "second", "arguments": '{"x":1}'},
    ]
    assert calls.close_all() == []


def test_a_call_closes_once_and_without_arguments_has_none():
    calls = ToolCalls()
    calls.add(3, identity="a", name="now", arguments="")
    assert [part.data for part in calls.close(3)] == [{"id": "a", "name": "now", "arguments": "{}"}]
    assert calls.close(3) == []


def test_arguments_may_be_cut_inside_a_character():
    calls = ToolCalls()
    deltas = [calls.add(0, identity="a", name="f", arguments=piece) for piece in ('{"x":"\ud83d', '\ude80"}')]
    assert [delta.data["arguments"] for delta in deltas] == ['{"x":"', '🚀"}']
    assert calls.close_all()[0].data["arguments"] == '{"x":"🚀"}'


def test_a_fragment_without_an_index_belongs_to_the_last_call_or_begins_one():
    calls = ToolCalls()
    assert calls.place(None, "a") == 0
    calls.add(0, identity="a", name="x", arguments="")
    assert calls.place(None, None) == 0
    assert calls.place(None, "a") == 0
    assert calls.place(None, "b") == 1
    assert calls.place(7, "a") == 7


def test_calls_and_arguments_are_bounded():
    calls = ToolCalls()
    assert all(calls.add(place, identity="i", name="n", arguments="") for place in range(MAX_CALLS))
    assert calls.add(MAX_CALLS, identity="i", name="n", arguments="") is None
    assert calls.add(0, identity="i", name=None, arguments="x" * MAX_ARGUMENTS)
    assert calls.add(0, identity="i", name=None, arguments="x") is None
