import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.sse import encode_sse
from tokentape.providers import anthropic_stream
from tokentape.providers.anthropic_stream import MessagesDecoder
from tokentape.providers.base import Part
from tokentape.providers.decoding import Speech
from tokentape.providers.documents import Documents
from tokentape.providers.failures import Failures
from tokentape.providers.secret import Redactor

START = {
    "type": "message_start",
    "message": {"id": "msg_1", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}},
}
PING = {"type": "ping"}
STOP = {"type": "message_stop"}
USAGE = Part("usage", {"input_tokens": 9, "output_tokens": 5})
MAX_LINE = 65_536
FINISH = Part("finish", {"reason": "stop"})


def begin(index, **block) -> dict:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index, kind, **fields) -> dict:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def end(index) -> dict:
    return {"type": "content_block_stop", "index": index}


def ended(reason="end_turn", **usage) -> dict:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5, **usage}}


def text(index, *pieces) -> list[dict]:
    deltas = [delta(index, "text_delta", text=piece) for piece in pieces]
    return [begin(index, type="text", text=""), *deltas, end(index)]


def decoder() -> MessagesDecoder:
    return MessagesDecoder(Failures("anthropic", Redactor([])))


def events(*documents) -> list[str]:
    return [d if isinstance(d, str) else json.dumps(d) for d in documents]


def read(*documents) -> tuple[list[Part], MessagesDecoder]:
    reader = decoder()
    parts = reader.receive(events(*documents))
    return [Part(*pair) for pair in parts + reader.receive_eof()], reader


def parts_of(*documents) -> list[Part]:
    parts, reader = read(*documents)
    assert reader.error is None
    return parts


def test_text_in_pieces_then_usage_then_the_end():
    assert parts_of(START, PING, *text(0, "Hel", "lo"), ended(), STOP) == [
        Part("token", "Hel"),
        Part("token", "lo"),
        USAGE,
        FINISH,
    ]


def test_thinking_is_reasoning_and_its_signature_is_not():
    assert parts_of(
        START,
        begin(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="c2ln"),
        end(0),
        begin(1, type="redacted_thinking", data="eA=="),
        end(1),
        *text(2, "ok"),
        ended(),
        STOP,
    ) == [Part("reasoning", "hm"), Part("token", "ok"), USAGE, FINISH]


def test_a_block_may_begin_with_its_text():
    block = [begin(0, type="text", text="He"), delta(0, "text_delta", text="y"), end(0)]
    assert [part.data for part in parts_of(START, *block, ended(), STOP)[:2]] == ["He", "y"]


def test_calls_of_tools_stream_and_are_whole_when_their_block_ends():
    assert parts_of(
        START,
        begin(0, type="tool_use", id="a", name="f", input={}),
        delta(0, "input_json_delta", partial_json=""),
        delta(0, "input_json_delta", partial_json='{"x"'),
        delta(0, "input_json_delta", partial_json=":1}"),
        end(0),
        begin(1, type="tool_use", id="b", name="g", input={}),
        end(1),
        ended("tool_use"),
        STOP,
    ) == [
        Part("tool_call_delta", {"id": "a", "name": "f", "arguments": ""}),
        Part("tool_call_delta", {"id": "a", "arguments": '{"x"'}),
        Part("tool_call_delta", {"id": "a", "arguments": ":1}"}),
        Part("tool_call", {"id": "a", "name": "f", "arguments": '{"x":1}'}),
        Part("tool_call_delta", {"id": "b", "name": "g", "arguments": ""}),
        Part("tool_call", {"id": "b", "name": "g", "arguments": "{}"}),
        USAGE,
        Part("finish", {"reason": "tool_calls"}),
    ]


def test_tools_of_the_provider_are_its_own_affair():
    search = [
        begin(0, type="server_tool_use", id="s", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"query":"x"}'),
        end(0),
        begin(1, type="web_search_tool_result", tool_use_id="s", content=[]),
        end(1),
    ]
    assert parts_of(START, *search, *text(2, "ok"), ended(), STOP) == [Part("token", "ok"), USAGE, FINISH]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", [FINISH]),
        ("stop_sequence", [FINISH]),
        ("max_tokens", [Part("finish", {"reason": "length"})]),
        ("model_context_window_exceeded", [Part("finish", {"reason": "length"})]),
        ("tool_use", [Part("finish", {"reason": "tool_calls"})]),
        ("yet_unknown", [FINISH]),
    ],
)
def test_reasons(reason, expected):
    assert parts_of(START, ended(reason), STOP) == [USAGE, *expected]


@pytest.mark.parametrize("reason", ["refusal", "pause_turn"])
def test_reasons_that_the_reader_should_know_are_told(reason):
    assert parts_of(START, ended(reason), STOP) == [Part("metadata", {"finish_reason": reason}), USAGE, FINISH]


def test_usage_counts_the_cache_as_input_and_the_last_word_counts():
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "cache_read_input_tokens": 100}}}
    last = ended(cache_creation_input_tokens=20, input_tokens=10, output_tokens=7)
    assert parts_of(start, last, STOP)[0] == Part(
        "usage", {"input_tokens": 130, "output_tokens": 7, "cached_input_tokens": 100}
    )


def test_no_usage_is_told_when_none_came():
    silent = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    assert parts_of({"type": "message_start", "message": {}}, silent, STOP) == [FINISH]


def test_events_that_are_yet_to_be_invented_are_passed_over():
    new = [{"type": "content_block_shimmer", "index": 0, "sparkle": [1]}, delta(0, "citations_delta", citation={})]
    assert parts_of(START, *new, *text(0, "ok"), ended(), STOP) == [Part("token", "ok"), USAGE, FINISH]


def test_the_end_of_the_stream_will_do_for_an_end_mark():
    assert parts_of(START, *text(0, "a"), ended()) == [Part("token", "a"), USAGE, FINISH]


def test_a_stop_reason_completes_the_answer_before_its_end():
    reader = decoder()
    reader.receive(events(START, *text(0, "a")))
    assert not reader.complete
    reader.receive(events(ended()))
    assert reader.complete
    assert not reader.ended


@pytest.mark.parametrize("ending", [(), (STOP,)])
def test_without_a_stop_reason_it_was_cut(ending):
    parts, reader = read(START, *text(0, "a"), *ending)
    assert parts == [Part("token", "a")]
    assert reader.error.subcode == "provider_cut"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "provider_overloaded"),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}, "provider_rate_limited"),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "No"}}, "provider_refused"),
        ({"type": "error"}, "provider_overloaded"),
        ("{not json", "provider_protocol"),
        ('{"no":"type"}', "provider_protocol"),
        (delta(0, "text_delta", text=7), "provider_protocol"),
    ],
)
def test_a_fault_comes_after_the_parts_before_it_and_ends_the_answer(fault, code):
    parts, reader = read(START, *text(0, "a"), fault, *text(1, "b"), ended(), STOP)
    assert parts == [Part("token", "a")]
    assert reader.error.subcode == code
    assert reader.ended


def test_an_answer_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(anthropic_stream, "Speech", lambda: Speech(10))
    parts, reader = read(START, *text(0, "12345", "67890", "x"))
    assert len(parts) == 2
    assert reader.error.subcode == "provider_protocol"


def test_calls_without_end_are_refused():
    parts, reader = read(START, *(begin(n, type="tool_use", id=f"c{n}", name="f") for n in range(200)))
    assert len(parts) == 128
    assert reader.error.subcode == "provider_protocol"


def test_an_upstream_may_cut_its_text_inside_a_character():
    parts = parts_of(START, *text(0, "a\ud83d", "\ude80b"), ended(), STOP)
    assert [part.data for part in parts if part.type == "token"] == ["a", "🚀b"]


# How the bytes are cut changes nothing

pieces = st.text(st.sampled_from('aé京👩\u2028\u0085\r\n"\\ '), max_size=6)
indexes = st.integers(0, 2)
documents = st.one_of(
    st.builds(lambda i, t: delta(i, "text_delta", text=t), indexes, pieces),
    st.builds(lambda i, t: delta(i, "thinking_delta", thinking=t), indexes, pieces),
    st.builds(lambda i, t: delta(i, "input_json_delta", partial_json=t), indexes, pieces),
    st.builds(lambda i: begin(i, type="tool_use", id=f"c{i}", name="f"), indexes),
    st.builds(end, indexes),
    st.sampled_from([START, PING, ended(), STOP, {"type": "error", "error": {"type": "api_error"}}]),
)


def decoded(chunks: list[bytes]) -> tuple[list[Part], str | None]:
    reader = decoder()
    lines = Documents(MAX_LINE, MAX_LINE)
    parts = []
    for chunk in chunks:
        parts += reader.receive(lines.receive_data(chunk))
    parts += reader.receive_eof()
    return [Part(*pair) for pair in parts], reader.error.message if reader.error else None


@given(
    st.lists(documents, max_size=8),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.booleans(),
    st.lists(st.integers(0, 2000), max_size=10),
)
def test_an_answer_means_the_same_however_it_is_cut(said, line_end, ascii_only, places):
    blocks = [encode_sse(json.dumps(d, ensure_ascii=ascii_only), event=d["type"]) for d in said]
    stream = b"".join(blocks).replace(b"\n", line_end)
    whole = decoded([stream])
    assert decoded([stream[place : place + 1] for place in range(len(stream))]) == whole
    bounds = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    assert decoded([stream[a:b] for a, b in itertools.pairwise(bounds)]) == whole
    spoken = []
    for document in said:
        if document["type"] in ("error", "message_stop"):
            break
        spoken.append(document.get("delta", {}).get("text", ""))
    assert "".join(part.data for part in whole[0] if part.type == "token") == "".join(spoken)
