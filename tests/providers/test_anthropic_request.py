import msgspec
import pytest

from tokentape.providers.anthropic_request import DEFAULT_MAX_TOKENS, Unsendable, to_request
from tokentape.providers.base import Generation

HELLO = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
PIXEL = "iVBORw0KGgo="


def request(*messages, **parameters) -> dict:
    return to_request(Generation(model="claude-x", messages=messages or (HELLO,), parameters=parameters))


def content(*parts) -> list:
    return request({"role": "user", "content": list(parts)})["messages"][0]["content"]


def test_the_least_request():
    assert request() == {
        "model": "claude-x",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "stream": True,
    }


def test_the_system_prompt_has_its_own_place():
    made = request(
        {"role": "system", "content": "Be brief."},
        HELLO,
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
    )
    assert made["system"] == "Be brief.\n\nBe kind."
    assert [turn["role"] for turn in made["messages"]] == ["user"]


def test_parameters_in_anthropics_words():
    made = request(
        max_tokens=100, temperature=1.7, top_p=0.9, stop="END", user="u1", seed=7, logit_bias={"1": 2}, top_k=5
    )
    assert {name: made[name] for name in made.keys() - {"model", "messages", "stream"}} == {
        "max_tokens": 100,
        "temperature": 1.0,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
    }
    assert request(stop=["a", "b"])["stop_sequences"] == ["a", "b"]
    assert request(max_completion_tokens=5)["max_tokens"] == 5


def test_tools():
    made = request(tools=[TOOL, {"type": "web_search_20250305", "name": "web_search"}])
    assert made["tools"] == [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    assert "tool_choice" not in made
    bare = request(tools=[{"type": "function", "function": {"name": "now"}}])
    assert bare["tools"] == [{"name": "now", "input_schema": {"type": "object", "properties": {}}}]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"tool_choice": "auto"}, None),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"type": "tool", "name": "f"}),
        ({"tool_choice": {"type": "any"}}, {"type": "any"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_the_choice_of_tools(parameters, expected):
    assert request(tools=[TOOL], **parameters).get("tool_choice") == expected
    assert "tool_choice" not in request(**parameters)


def test_effort_turns_thinking_on():
    made = request(reasoning_effort="minimal")
    assert made["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert made["output_config"] == {"effort": "low"}
    assert "thinking" not in request(reasoning_effort="none")
    own = {"type": "enabled", "budget_tokens": 1024}
    assert request(reasoning_effort="high", thinking=own)["thinking"] == own


def test_a_schema_for_the_answer():
    schema = {"type": "object", "properties": {}}
    made = request(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}})
    assert made["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert "output_config" not in request(response_format={"type": "json_object"})


def test_parts_of_a_message():
    assert content(
        {"type": "text", "text": "Look:"},
        {"type": "text", "text": ""},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
        {"type": "file", "file": {"file_id": "file_1"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
    ) == [
        {"type": "text", "text": "Look:"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
    ]


def test_calls_of_tools_and_their_results():
    made = request(
        HELLO,
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "one"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": "And?"},
    )
    assert made["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "one"}]},
                {"type": "tool_result", "tool_use_id": "b"},
                {"type": "text", "text": "And?"},
            ],
        },
    ]


def test_turns_alternate_and_empty_ones_vanish():
    made = request(HELLO, HELLO, {"role": "assistant", "content": ""}, {"role": "assistant", "content": None})
    assert [(turn["role"], len(turn["content"])) for turn in made["messages"]] == [("user", 2)]


def test_the_callers_messages_are_not_touched():
    messages = ({"role": "user", "content": [{"type": "text", "text": "a"}]}, HELLO)
    before = msgspec.json.encode(messages)
    request(*messages)
    assert msgspec.json.encode(messages) == before


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"role": "judge", "content": "x"}, "role"),
        ({"role": "user", "content": 7}, "neither text"),
        ({"role": "user", "content": ["x"]}, "no type"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "input_audio"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}, "data URL"),
        ({"role": "assistant", "tool_calls": [{"id": "a", "function": {"arguments": "{"}}]}, "'a'"),
        ({"role": "assistant", "tool_calls": [{"id": "a", "function": {"arguments": "[]"}}]}, "'a'"),
        ({"role": "assistant", "tool_calls": ["x"]}, "OpenAI's form"),
        ({"role": "assistant", "tool_calls": 7}, "OpenAI's form"),
    ],
)
def test_what_has_no_form_here_is_refused(message, says):
    with pytest.raises(Unsendable, match=says):
        request(message)


@pytest.mark.parametrize("parameters", [{"tools": ["x"]}, {"tools": 7}, {"temperature": "hot"}])
def test_parameters_of_no_known_form_are_refused(parameters):
    with pytest.raises(Unsendable):
        request(**parameters)
