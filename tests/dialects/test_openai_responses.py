from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from assembled import frames
from hypothesis import given
from hypothesis import strategies as st
from stories import answers, placed

from tokentape.core.errors import BadRequest
from tokentape.core.merge import Entry, merge
from tokentape.dialects.openai_responses.items import listed, messages_of
from tokentape.dialects.openai_responses.objects import Echo, response_object
from tokentape.dialects.openai_responses.request import ResponsesRequest, echo_of, run_fields
from tokentape.dialects.openai_responses.stream import ResponsesSse, sse
from tokentape.dialects.openai_responses.telling import NOTHING_TOLD, Told, take

DONE = ("done", {"reason": "stop", "usage": {"input_tokens": 3, "output_tokens": 7}})


def events_of(dialect: ResponsesSse, entries: Sequence[Entry], state: Told | None = None) -> list[dict[str, Any]]:
    return [json.loads(frame.data) for frame in frames(dialect.encode("runs/r_1", "e1", entries, state).content)]


def told_of(*events: tuple[str, Any]) -> Told:
    return take(NOTHING_TOLD, placed(events))[1]


def object_of(told: Told) -> dict[str, Any]:
    return response_object(told, Echo(), run="r_1", model="m", at=0)


@given(entries=answers(), data=st.data())
def test_numbers_are_the_same_however_the_run_was_cut_and_merged(entries: list[Entry], data: st.DataObject) -> None:
    whole = {event["sequence_number"]: event for event in events_of(sse, entries)}
    state: Any = None
    at = 0
    while at < len(entries):
        size = data.draw(st.integers(1, len(entries) - at))
        part: Sequence[Entry] = entries[at : at + size]
        part = merge(part) if data.draw(st.booleans()) else part
        for event in events_of(sse, part, state):
            alone = whole[event["sequence_number"]]
            if "delta" in event:
                assert event["delta"].endswith(alone["delta"])
            else:
                assert event == alone
        state = sse.encode("runs/r_1", "e1", part, state).state
        at += size


@given(entries=answers(resets=True), data=st.data())
def test_a_reset_never_gives_a_number_out_again(entries: list[Entry], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(entries) - 1))
    whole = sse.encode("runs/r_1", "e1", entries, None).state
    first = sse.encode("runs/r_1", "e1", entries[:cut], None)
    rest = sse.encode("runs/r_1", "e1", entries[cut:], first.state)
    assert rest.state.number == whole.number
    seen = [json.loads(frame.data)["sequence_number"] for frame in frames(first.content + rest.content)]
    assert seen == sorted(set(seen))
    anew = [event["sequence_number"] for event in events_of(sse, entries[cut:], first.state)]
    if rest.over:
        assert min(anew) > max((e["sequence_number"] for e in events_of(sse, entries[:cut])), default=-1)


@given(entries=answers(), data=st.data())
def test_who_was_cut_among_the_events_of_one_gets_those_after_it(entries: list[Entry], data: st.DataObject) -> None:
    whole = events_of(sse, entries)
    number = data.draw(st.integers(-1, whole[-1]["sequence_number"]))
    rest = [event for event in whole if event["sequence_number"] > number]
    assert events_of(ResponsesSse(after=number), entries) == rest


def test_views_are_shared_by_those_who_would_see_the_same() -> None:
    assert ResponsesSse(Echo(instructions="a")) == ResponsesSse(Echo(instructions="a"))
    assert len({ResponsesSse(), ResponsesSse(Echo(instructions="a")), ResponsesSse(after=3), sse}) == 3


@pytest.mark.parametrize(
    ("reason", "status", "item"),
    [
        ("stop", "completed", "completed"),
        ("tool_calls", "completed", "completed"),
        ("length", "incomplete", "incomplete"),
        ("stopped", "cancelled", "incomplete"),
        ("interrupted", "failed", "incomplete"),
        ("error", "failed", "incomplete"),
    ],
)
def test_how_it_ended(reason: str, status: str, item: str) -> None:
    told = told_of(("token", "Hi"), ("done", {"reason": reason}))
    made = object_of(told)
    assert (made["status"], made["output"][0]["status"]) == (status, item)
    assert (made["error"] is not None) == (status == "failed")
    assert (made["incomplete_details"] is not None) == (status == "incomplete")


def test_a_content_filter_is_told() -> None:
    made = object_of(told_of(("token", "Hi"), ("metadata", {"finish_reason": "content_filter"}), DONE))
    assert (made["status"], made["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})


def test_a_run_that_goes_on_is_told_as_far_as_it_has_come() -> None:
    made = object_of(told_of(("token", "Hi")))
    assert (made["status"], made["usage"], made["output"][0]["status"]) == ("in_progress", None, "in_progress")
    queued = response_object(NOTHING_TOLD, Echo(), run="r_1", model="m", at=5000, queued=True)
    assert (queued["status"], queued["created_at"], queued["model"]) == ("queued", 5, "m")


def test_what_is_asked_becomes_a_run() -> None:
    request = ResponsesRequest(
        instructions="Be brief.",
        max_output_tokens=9,
        reasoning={"effort": "low"},
        tools=[{"type": "function", "name": "look", "parameters": {}, "strict": True, "description": None}],
        tool_choice={"type": "function", "name": "look"},
        text={"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}},
        metadata={"a": "b"},
    )
    assert run_fields(request, [{"role": "user", "content": "Hi"}]) == {
        "model": "",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "max_tokens": 9,
        "reasoning_effort": "low",
        "metadata": {"a": "b"},
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {}, "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True},
        },
    }
    assert echo_of(request).reasoning == {"effort": "low", "summary": None}
    assert echo_of(ResponsesRequest(text={"verbosity": "low"})).text["format"] == {"type": "text"}


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("tools", [{"type": "web_search"}], "tools[0].type"),
        ("tool_choice", {"type": "mcp"}, "tool_choice"),
        ("conversation", "conv_1", "conversation"),
        ("prompt", {"id": "p"}, "prompt"),
        ("top_logprobs", 2, "top_logprobs"),
        ("text", {"format": {"type": "xml"}}, "text.format"),
    ],
)
def test_what_cannot_be_had_is_refused_by_its_name(field: str, value: Any, path: str) -> None:
    with pytest.raises(BadRequest) as refused:
        run_fields(ResponsesRequest(**{field: value}), [])
    assert refused.value.details["path"] == path


def test_items_become_turns() -> None:
    given: list[dict[str, Any]] = [
        {"role": "developer", "content": "Look."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                {"type": "input_file", "file_data": "data:…", "filename": "a.pdf"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A cat."}]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "a cat"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "a dog"}]},
    ]
    call = {"type": "function", "function": {"name": "look", "arguments": "{}"}}
    assert messages_of(given) == [
        {"role": "developer", "content": "Look."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                {"type": "file", "file": {"file_data": "data:…", "filename": "a.pdf"}},
            ],
        },
        {"role": "assistant", "content": "A cat.", "tool_calls": [{"id": "c1", **call}, {"id": "c2", **call}]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "a dog"}]},
    ]
    ids = [item["id"] for item in listed(given, "r_1")]
    assert ids[:3] == ["msg_r_1_in0", "msg_r_1_in1", "rs_1"]
    assert len(set(ids)) == len(given)


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "input[0].type"),
        ({"role": "robot", "content": "Hi"}, "input[0].role"),
        ({"role": {}, "content": "Hi"}, "input[0].role"),
        ({"type": "function_call", "name": "f", "arguments": {}}, "input[0].arguments"),
        ({"type": "function_call_output", "output": "x"}, "input[0].call_id"),
        ({"role": "user", "content": 7}, "input[0].content"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}, "input[0].content[0]"),
        ({"role": "user", "content": ["Hi"]}, "input[0].content[0]"),
    ],
)
def test_items_that_cannot_be_passed_on_are_refused_by_their_place(item: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest) as refused:
        messages_of([item])
    assert refused.value.details["path"] == path
