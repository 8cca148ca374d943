"""Anthropic's Messages, without a server: what goes in, what comes out. tests/clients/anthropic has the SDKs."""

import json

import msgspec
import pytest
from readers import frames
from stories import placed

from tokentape.core.errors import BadRequest
from tokentape.dialects import anthropic
from tokentape.dialects.anthropic_errors import failure_of
from tokentape.dialects.anthropic_request import MessagesBody, run_fields
from tokentape.dialects.story import NOTHING, tell
from tokentape.providers.anthropic_request import to_request
from tokentape.providers.base import Generation

START = ("start", {"message_id": "m_1", "model": "claude", "provider": "anthropic"})


def events(*told, last: bool = True) -> list[dict]:
    entries = placed([START, *told])
    end = entries[-1].offset if last else None
    content = anthropic.sse.encode("runs/r_1", "e", entries, None, last=end).content
    return [json.loads(frame.data) for frame in frames(content)]


def done(reason: str, **usage) -> tuple:
    return ("done", {"reason": reason, "usage": {"input_tokens": 10, "output_tokens": 4, **usage}})


@pytest.mark.parametrize(
    ("reason", "told"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("tool_calls", "tool_use"), ("stopped", "end_turn")],
)
def test_reasons_have_the_words_of_the_api(reason, told):
    *_, delta, stop = events(("token", "Hi"), done(reason))
    assert delta["delta"] == {"stop_reason": told, "stop_sequence": None}
    assert stop == {"type": "message_stop"}


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        ("provider_overloaded", "overloaded_error", 529),
        ("provider_rate_limited", "rate_limit_error", 429),
        ("provider_timeout", "timeout_error", 504),
        ("provider_refused", "invalid_request_error", 400),
        ("provider_cut", "api_error", 500),
    ],
)
def test_failures_have_the_types_of_the_api(code, kind, status):
    error = {"code": code, "message": "It broke.", "retryable": True}
    told = events(("token", "Hi"), ("error", error), done("error"))
    assert told[-1] == {"type": "error", "error": {"type": kind, "message": "It broke."}}
    assert "message_stop" not in {event["type"] for event in told}
    assert failure_of(code, "It broke.").status == status


def test_an_interrupted_answer_is_no_whole_one():
    assert events(("token", "Hi"), done("interrupted"))[-1]["type"] == "error"


def test_a_record_that_ends_too_soon_is_no_whole_answer():
    assert events(("token", "Hi"))[-1]["type"] == "error"


def test_what_came_from_a_cache_is_counted_apart():
    *_, delta, _ = events(done("stop", cached_input_tokens=7))
    assert delta["usage"] == {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 7}


def test_a_call_that_was_cut_short_has_no_input():
    _, story = tell(
        NOTHING,
        placed([START, ("tool_call_delta", {"id": "t", "name": "look", "arguments": '{"a":'}), done("stopped")]),
    )
    assert anthropic.message(story)["content"] == [{"type": "tool_use", "id": "t", "name": "look", "input": {}}]


# Requests

FULL = {
    "model": "claude",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
    "temperature": 0.5,
    "top_p": 0.9,
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u1"},
    "tools": [
        {"name": "look", "description": "Looks", "input_schema": {"type": "object", "properties": {}}},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See:"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
                    "title": "A",
                },
                {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "theirs"},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": ["é", 1]}},
                {"type": "tool_use", "id": "t2", "name": "look", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "warm"}]},
                {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "cold"}]},
                {"type": "text", "text": "Well?"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "It is"}]},
    ],
}


def read(body: dict) -> dict:
    return run_fields(msgspec.convert(body, MessagesBody))


def test_a_request_comes_back_as_it_was_from_the_provider_of_the_same_api():
    fields = read(FULL)
    model, messages = fields.pop("model"), fields.pop("messages")
    written = to_request(Generation(model=model, messages=messages, parameters=fields))
    assert written.pop("stream") is True
    # Asked for by an effort, it is said as the newest models want it.
    assert written.pop("thinking") == {"type": "adaptive", "display": "summarized"}
    assert written == {**FULL, "system": "Be brief.\n\nBe kind."}


def test_turns_become_those_of_openai():
    messages = read(FULL)["messages"]
    assert [message["role"] for message in messages] == [
        "system", "user", "assistant", "tool", "tool", "user", "assistant",
    ]  # fmt: skip
    assert messages[3] == {"role": "tool", "tool_call_id": "t1", "content": "warm"}
    assert messages[2]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":["é",1]}'}


def test_our_own_thinking_is_taken_back_as_nothing():
    turn = {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": ""}]}
    assert read({"model": "m", "messages": [turn]})["messages"] == [{"role": "assistant", "content": ""}]


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, "low"),
        ({"type": "enabled", "budget_tokens": 10_000}, "medium"),
        ({"type": "enabled", "budget_tokens": 32_000}, "high"),
        ({"type": "adaptive"}, "medium"),
        ({"type": "disabled"}, None),
    ],
)
def test_a_budget_of_thinking_is_an_effort(thinking, effort):
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "thinking": thinking}
    assert read(body).get("reasoning_effort") == effort


@pytest.mark.parametrize("choice", ["auto", "any", "none"])
def test_choices_of_tools_are_those_of_openai(choice):
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tool_choice": {"type": choice}}
    assert read(body)["tool_choice"] == {"any": "required"}.get(choice, choice)


def test_documents_of_text_are_text():
    blocks = [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Body"}, "title": "Title"},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "Part"}]}},
        {"type": "search_result", "title": "x", "cache_control": {"type": "ephemeral"}},
    ]
    [turn] = read({"model": "m", "messages": [{"role": "user", "content": blocks}]})["messages"]
    assert turn["content"] == [
        {"type": "text", "text": "Title\n\nBody"},
        {"type": "text", "text": "Part"},
        {"type": "search_result", "title": "x"},
    ]


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"top_k": 3}, "top_k"),
        ({"mcp_servers": [{"name": "x"}]}, "mcp_servers"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, r"messages\.0\.role"),
        ({"messages": [{"role": "user", "content": 7}]}, r"messages\.0\.content"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "type"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(fields, at):
    with pytest.raises(BadRequest, match=at):
        read({"model": "m", "messages": [], **fields})
