from __future__ import annotations

import json
from typing import Any

import pytest
from assembled import frames
from reading_openai import openai_chat
from stories import placed

from tokentape.core.errors import BadRequest
from tokentape.core.merge import merge
from tokentape.dialects.openai_chat import sse, sse_with_usage
from tokentape.dialects.openai_chat.completion import completion
from tokentape.dialects.openai_chat.request import ChatRequest, StreamOptions, run_fields
from tokentape.dialects.openai_chat.stream import ChatSse
from tokentape.dialects.openai_chat.telling import NOTHING_TOLD, take

START = ("start", {"message_id": "m_1", "model": "gpt", "provider": "openai"})


def chunks_of(*events: tuple[str, Any], dialect: ChatSse = sse) -> list[dict[str, Any]]:
    entries = placed([START, *events])
    body = dialect.encode("runs/r_1", "e1", entries, None, last=entries[-1].offset).content
    return [json.loads(frame.data) for frame in frames(body) if frame.data != "[DONE]"]


@pytest.mark.parametrize(
    ("reason", "told"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "tool_calls"), ("stopped", "stop")],
)
def test_how_it_ended(reason: str, told: str) -> None:
    assert chunks_of(("token", "Hi"), ("done", {"reason": reason}))[-1]["choices"][0]["finish_reason"] == told


def test_a_content_filter_is_told() -> None:
    said = (("token", "Hi"), ("metadata", {"finish_reason": "content_filter"}), ("done", {"reason": "stop"}))
    assert chunks_of(*said)[-1]["choices"][0]["finish_reason"] == "content_filter"
    _, told = take(NOTHING_TOLD, placed(said))
    made = completion(told, run="r_1", model="m", at=0)
    assert made["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("reason", ["interrupted", "error"])
def test_what_is_not_whole_is_an_error(reason: str) -> None:
    last = chunks_of(("token", "Hi"), ("done", {"reason": reason}))[-1]
    assert last["error"]["code"] in ("interrupted", "internal_error")
    assert last["error"]["type"] == "server_error"


def test_a_view_that_ends_without_an_end_is_an_error() -> None:
    entries = placed([START, ("token", "Hi")])
    body = sse.encode("runs/r_1", "e1", entries, None, last=2).content
    read = openai_chat(body)
    assert read.error is not None
    assert not read.ended


def test_usage_comes_last_for_who_asked() -> None:
    usage = {"input_tokens": 3, "output_tokens": 7, "cached_input_tokens": 2, "reasoning_tokens": 1}
    ending = ("done", {"reason": "stop", "usage": usage})
    *chunks, last = chunks_of(("token", "Hi"), ending, dialect=sse_with_usage)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert (last["usage"]["total_tokens"], last["usage"]["prompt_tokens_details"]["cached_tokens"]) == (10, 2)
    assert all("usage" not in chunk for chunk in chunks_of(("token", "Hi"), ending))


def test_a_call_that_is_named_late_is_named_once() -> None:
    entries = placed(
        [
            START,
            ("tool_call_delta", {"id": "c", "arguments": "{"}),
            ("tool_call_delta", {"id": "c", "arguments": "}"}),
            ("tool_call", {"id": "c", "name": "add", "arguments": "{}"}),
            ("done", {"reason": "tool_calls"}),
        ]
    )
    first = sse.encode("runs/r_1", "e1", entries[:2], None)
    rest = sse.encode("runs/r_1", "e1", merge(entries[2:]), first.state, last=5)
    assert openai_chat(first.content + rest.content).calls == [("c", "add", "{}")]


def test_when_it_was_made_is_when_it_began() -> None:
    assert {chunk["created"] for chunk in chunks_of(("token", "Hi"), ("done", {"reason": "stop"}))} == {1_700_000_000}


def test_what_is_asked_becomes_a_run() -> None:
    message = {"role": "developer", "content": [{"type": "image_url", "image_url": {"url": "data:…"}}]}
    request = ChatRequest(
        messages=[message],
        model="gpt",
        max_tokens=5,
        max_completion_tokens=9,
        stop=["a"],
        reasoning_effort="low",
        response_format={"type": "json_object"},
        user="u",
        n=1,
        modalities=["text"],
        stream_options=StreamOptions(include_usage=True),
    )
    assert request.include_usage
    assert run_fields(request) == {
        "messages": [message],
        "model": "gpt",
        "max_tokens": 9,
        "stop": ["a"],
        "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
        "user": "u",
    }


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("n", 2, "n"),
        ("logprobs", True, "logprobs"),
        ("top_logprobs", 3, "top_logprobs"),
        ("modalities", ["audio"], "modalities"),
        ("audio", {"voice": "x"}, "modalities"),
        ("functions", [{"name": "f"}], "functions"),
        ("web_search_options", {}, "web_search_options"),
    ],
)
def test_what_cannot_be_had_is_refused_by_its_name(field: str, value: Any, path: str) -> None:
    with pytest.raises(BadRequest) as refused:
        run_fields(ChatRequest(messages=[], **{field: value}))
    assert refused.value.details["path"] == path
