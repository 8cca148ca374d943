"""The OpenAI provider against the simulator, whose faithfulness tests/server/test_simulate.py checks."""

import msgspec
import pytest
from upstreams import KEY, STREAM_HEAD, Simulator, over_http, played, raw_upstream, said, says

from tokentape.providers.base import Generation
from tokentape.providers.openai import OpenAIProvider
from tokentape.providers.secret import Secret
from tokentape.providers.simulated import SimulatedProvider

FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": {"type": "integer"}}}}}


@pytest.fixture(scope="module")
def simulator():
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def provider(simulator):
    provider = OpenAIProvider(base_url=f"{simulator.url}/v1", api_key=Secret(KEY))
    yield provider
    await provider.aclose()


async def body_of(generation: Generation, **settings) -> dict:
    async with raw_upstream(says(STREAM_HEAD, FINISH)) as upstream:
        provider = OpenAIProvider(base_url=upstream.url, **settings)
        await played(provider, generation)
        await provider.aclose()
        return msgspec.json.decode(upstream.connections[0].body)


async def test_messages_and_parameters_pass_through():
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            ],
        },
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]
    parameters = {"temperature": 0.5, "max_tokens": 9, "tools": [TOOL], "seed": 1, "stop": ["x"]}
    assert await body_of(Generation(model="m", messages=messages, parameters=parameters)) == {
        "model": "m",
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        **parameters,
    }


async def test_nobody_can_turn_the_stream_off():
    parameters = {"stream": False, "model": "other", "n": 5, "stream_options": None}
    body = await body_of(Generation(model="m", messages=[], parameters=parameters))
    assert body == {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://notopenai.com/v1", "max_tokens"),
        ("http://127.0.0.1:11434/v1", "max_tokens"),
    ],
)
async def test_the_limit_of_tokens_goes_by_the_name_that_the_host_knows(base_url, name):
    provider = OpenAIProvider(base_url=base_url)
    body = msgspec.json.decode(provider._body(Generation(model="m", messages=[], parameters={"max_tokens": 7})))
    assert body[name] == 7
    assert len({"max_tokens", "max_completion_tokens"} & body.keys()) == 1


async def test_without_a_key_none_is_sent():
    async with raw_upstream(says(STREAM_HEAD, FINISH)) as upstream:
        provider = OpenAIProvider(base_url=upstream.url)
        await played(provider, over_http())
        await provider.aclose()
        assert upstream.connections[0].header("Authorization") is None


async def test_what_comes_over_http_is_what_the_model_said(provider):
    generation = over_http("Tell me of tides 🌊", tokens=400, seed=3, reasoning=30)
    parts, error = await played(provider, generation)
    told = {"tokens": 400, "seed": 3, "reasoning": 30, "rate": 0}
    expected, _ = await played(SimulatedProvider(), msgspec.structs.replace(generation, simulated=told))
    assert error is None
    assert said(parts) == said(expected)
    assert said(parts, "reasoning") == said(expected, "reasoning")
    assert parts[-2:] == expected[-2:]
    assert parts[-2].data["output_tokens"] == 430


async def test_calls_of_tools_come_through(provider):
    parts, _ = await played(provider, over_http(parameters={"tools": [TOOL]}, tokens=3, tool="f"))
    (call,) = [part.data for part in parts if part.type == "tool_call"]
    assert (call["name"], call["arguments"]) == ("f", '{"x":3}')
    deltas = [part.data for part in parts if part.type == "tool_call_delta"]
    assert "".join(delta["arguments"] for delta in deltas) == call["arguments"]
    assert [delta.get("name") for delta in deltas][:2] == ["f", None]
    assert {delta["id"] for delta in deltas} == {call["id"]}
    assert parts[-1].data == {"reason": "tool_calls"}


async def test_a_limit_of_tokens_is_told_as_such(provider):
    parts, _ = await played(provider, over_http(parameters={"max_tokens": 7}))
    assert len([part for part in parts if part.type == "token"]) == 7
    assert parts[-1].data == {"reason": "length"}
