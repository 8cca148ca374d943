import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.sse import encode_sse
from tokentape.providers import openai_stream
from tokentape.providers.base import Part
from tokentape.providers.decoding import Speech
from tokentape.providers.documents import Documents
from tokentape.providers.failures import Failures
from tokentape.providers.openai_stream import ChatDecoder
from tokentape.providers.secret import Redactor

MAX_LINE = 65_536
FINISH = Part("finish", {"reason": "stop"})


def decoder() -> ChatDecoder:
    return ChatDecoder(Failures("openai", Redactor([])))


def chunk(*, finish=None, index=0, **delta) -> dict:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def call(index=0, **fields) -> dict:
    return chunk(tool_calls=[{"index": index, **fields}])


def events(*documents) -> list[str]:
    return [d if isinstance(d, str) else json.dumps(d) for d in documents]


def read(*documents) -> tuple[list[Part], ChatDecoder]:
    reader = decoder()
    parts = reader.receive(events(*documents))
    return [Part(*pair) for pair in parts + reader.receive_eof()], reader


def parts_of(*documents) -> list[Part]:
    parts, reader = read(*documents)
    assert reader.error is None
    assert reader.ended
    return parts


def test_text_in_pieces_then_usage_then_the_end():
    assert parts_of(
        chunk(role="assistant", content=""),
        chunk(content="Hel"),
        chunk(content="lo"),
        chunk(finish="stop"),
        {
            "id": "x",
            "choices": [],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
        },
        "[DONE]",
    ) == [
        Part("token", "Hel"),
        Part("token", "lo"),
        Part("usage", {"input_tokens": 9, "output_tokens": 2, "cached_input_tokens": 4, "reasoning_tokens": 1}),
        FINISH,
    ]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", [FINISH]),
        ("length", [Part("finish", {"reason": "length"})]),
        ("tool_calls", [Part("finish", {"reason": "tool_calls"})]),
        ("function_call", [Part("finish", {"reason": "tool_calls"})]),
        ("content_filter", [Part("metadata", {"finish_reason": "content_filter"}), FINISH]),
        ("eos", [FINISH]),
    ],
)
def test_reasons(reason, expected):
    assert parts_of(chunk(finish=reason), "[DONE]") == expected


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_under_either_name(field):
    assert parts_of(chunk(**{field: "hm"}), chunk(content="ok", finish="stop")) == [
        Part("reasoning", "hm"),
        Part("token", "ok"),
        FINISH,
    ]


def test_a_refusal_is_the_answer():
    assert parts_of(chunk(refusal="No."), chunk(finish="stop")) == [Part("token", "No."), FINISH]


def test_calls_of_tools_stream_and_are_whole_at_the_end():
    assert parts_of(
        call(id="a", type="function", function={"name": "f", "arguments": ""}),
        call(function={"arguments": '{"x"'}),
        call(index=1, id="b", type="function", function={"name": "g", "arguments": "{}"}),
        call(function={"arguments": ":1}"}),
        chunk(finish="tool_calls"),
        "[DONE]",
    ) == [
        Part("tool_call_delta", {"id": "a", "name": "f", "arguments": ""}),
        Part("tool_call_delta", {"id": "a", "arguments": '{"x"'}),
        Part("tool_call_delta", {"id": "b", "name": "g", "arguments": "{}"}),
        Part("tool_call_delta", {"id": "a", "arguments": ":1}"}),
        Part("tool_call", {"id": "a", "name": "f", "arguments": '{"x":1}'}),
        Part("tool_call", {"id": "b", "name": "g", "arguments": "{}"}),
        Part("finish", {"reason": "tool_calls"}),
    ]


def test_calls_without_index_or_id_are_told_apart_all_the_same():
    first = chunk(tool_calls=[{"function": {"name": "f", "arguments": "{}"}}])
    second = chunk(tool_calls=[{"id": "own", "function": {"name": "g", "arguments": "{}"}}])
    calls = [part.data for part in parts_of(first, second, chunk(finish="tool_calls")) if part.type == "tool_call"]
    assert calls == [
        {"id": "call_chatcmpl-1_0", "name": "f", "arguments": "{}"},
        {"id": "own", "name": "g", "arguments": "{}"},
    ]


@pytest.mark.parametrize(
    "oddity",
    [
        {"choices": []},
        {"choices": None},
        {"id": "x", "object": "chat.completion.chunk", "choices": [], "prompt_filter_results": [{"index": 0}]},
        chunk(content=None),
        chunk(content=None, reasoning_content=None, tool_calls=None),
        {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
        {"choices": [{"index": 0, "finish_reason": ""}]},
        {"usage": None, "choices": []},
        chunk(index=1, content="the other choice"),
        {"unheard": "of"},
    ],
)
def test_oddities_of_those_who_speak_the_format_bring_nothing(oddity):
    assert parts_of(chunk(content="a"), oddity, chunk(content="b", finish="stop"), oddity, "[DONE]") == [
        Part("token", "a"),
        Part("token", "b"),
        FINISH,
    ]


def test_usage_in_every_chunk_is_told_once():
    counted = [{**chunk(content="a"), "usage": {"prompt_tokens": 1, "completion_tokens": n}} for n in (1, 2)]
    assert parts_of(*counted, chunk(finish="stop")) == [
        Part("token", "a"),
        Part("token", "a"),
        Part("usage", {"input_tokens": 1, "output_tokens": 2}),
        FINISH,
    ]


def test_the_end_of_the_stream_will_do_for_an_end_mark():
    assert parts_of(chunk(content="a"), chunk(finish="stop")) == [Part("token", "a"), FINISH]


def test_a_finish_reason_completes_the_answer_before_its_trailer():
    reader = decoder()
    reader.receive(events(chunk(content="a")))
    assert not reader.complete
    reader.receive(events(chunk(finish="stop")))
    assert reader.complete
    assert not reader.ended


@pytest.mark.parametrize("ending", [(), ("[DONE]",)])
def test_without_a_finish_reason_it_was_cut(ending):
    parts, reader = read(chunk(content="a"), *ending)
    assert parts == [Part("token", "a")]
    assert reader.error.subcode == "provider_cut"
    assert reader.error.can_retry


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"error": {"message": "Oh.", "type": "server_error", "code": None}}, "provider_overloaded"),
        ({"error": {"message": "Oh.", "type": "invalid_request_error"}}, "provider_refused"),
        ({**chunk(finish="error"), "error": {"code": 429, "message": "Oh."}}, "provider_rate_limited"),
        (chunk(finish="error"), "provider_overloaded"),
        ({"choices": [{"delta": {"content": 7}}]}, "provider_protocol"),
        ({"choices": {}}, "provider_protocol"),
        ("{not json", "provider_protocol"),
        ("[1]", "provider_protocol"),
    ],
)
def test_a_fault_comes_after_the_parts_before_it_and_ends_the_answer(fault, code):
    parts, reader = read(chunk(content="a"), fault, chunk(content="b", finish="stop"), "[DONE]")
    assert parts == [Part("token", "a")]
    assert reader.error.subcode == code
    assert reader.ended


def test_an_answer_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(openai_stream, "Speech", lambda: Speech(10))
    parts, reader = read(chunk(content="12345"), chunk(content="67890"), chunk(content="x"))
    assert len(parts) == 2
    assert reader.error.subcode == "provider_protocol"


def test_calls_without_end_are_refused():
    parts, reader = read(*(call(index=n, function={"name": "f"}) for n in range(200)))
    assert len(parts) == 128
    assert reader.error.subcode == "provider_protocol"


def test_an_upstream_may_cut_its_text_inside_a_character():
    parts = parts_of(chunk(content="a\ud83d"), chunk(content="\ude80b", finish="stop"))
    assert [part.data for part in parts if part.type == "token"] == ["a", "🚀b"]


# How the bytes are cut changes nothing

texts = st.text(st.sampled_from('aé京👩\u2028\u0085\r\n"\\ '), max_size=6)
fragments = st.builds(
    lambda index, name, arguments: call(index, id=f"c{index}", function={"name": name, "arguments": arguments}),
    st.integers(0, 2),
    st.sampled_from([None, "f"]),
    texts,
)
documents = st.one_of(
    texts.map(lambda text: chunk(content=text)),
    texts.map(lambda text: chunk(reasoning=text)),
    fragments,
    st.sampled_from(
        [
            {"choices": []},
            chunk(content=None),
            chunk(finish="stop"),
            {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
            {"error": {"message": "Oh."}},
            "[DONE]",
            "{",
        ]
    ),
)
framings = st.sampled_from([(b"\n", False), (b"\r\n", False), (b"\r", False), (b"\n", True)])


def decoded(pieces: list[bytes]) -> tuple[list[Part], str | None, bool]:
    reader = decoder()
    lines = Documents(MAX_LINE, MAX_LINE)
    parts = []
    for piece in pieces:
        parts += reader.receive(lines.receive_data(piece))
    parts += reader.receive_eof()
    return [Part(*pair) for pair in parts], reader.error.message if reader.error else None, reader.complete


@given(st.lists(documents, max_size=8), framings, st.booleans(), st.lists(st.integers(0, 2000), max_size=10))
def test_an_answer_means_the_same_however_it_is_cut(said, framing, ascii_only, places):
    end, commented = framing
    blocks = [encode_sse(d if isinstance(d, str) else json.dumps(d, ensure_ascii=ascii_only)) for d in said]
    stream = b": keep-alive\n\n".join(blocks) if commented else b"".join(blocks)
    stream = stream.replace(b"\n", end)
    whole = decoded([stream])
    assert decoded([stream[place : place + 1] for place in range(len(stream))]) == whole
    bounds = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    assert decoded([stream[a:b] for a, b in itertools.pairwise(bounds)]) == whole
    # And the text is exact: what was said before the first fault or end.
    spoken = []
    for document in said:
        if isinstance(document, str) or "error" in document:
            break
        spoken += [c["delta"].get("content") or "" for c in document["choices"]]
    assert "".join(part.data for part in whole[0] if part.type == "token") == "".join(spoken)
