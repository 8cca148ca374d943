"""The Anthropic provider against the simulator, whose faithfulness tests/server/test_simulate.py checks."""

import msgspec
import pytest
from upstreams import KEY, STREAM_HEAD, Simulator, over_http, played, raw_upstream, said, says

from tokentape.providers.anthropic import AnthropicProvider
from tokentape.providers.base import Generation
from tokentape.providers.secret import Secret
from tokentape.providers.simulated import SimulatedProvider

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": {"type": "integer"}}}}}


@pytest.fixture(scope="module")
def simulator():
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def provider(simulator):
    provider = AnthropicProvider(base_url=simulator.url, api_key=Secret(KEY))
    yield provider
    await provider.aclose()


async def test_the_request_goes_to_the_messages_api_with_version_and_key():
    async with raw_upstream(says(STREAM_HEAD)) as upstream:
        provider = AnthropicProvider(base_url=f"{upstream.url}/proxy/", api_key=Secret(KEY))
        await played(provider, Generation(model="claude-x", messages=[{"role": "user", "content": "Hi"}]))
        await provider.aclose()
        (request,) = upstream.connections
    assert request.head.startswith("POST /proxy/v1/messages HTTP/1.1\r\n")
    assert request.header("X-Api-Key") == KEY
    assert request.header("Anthropic-Version") == "2023-06-01"
    assert request.header("Authorization") is None
    body = msgspec.json.decode(request.body)
    assert (body["model"], body["stream"], body["max_tokens"]) == ("claude-x", True, 8192)


async def test_a_request_that_has_no_form_there_is_refused_before_it_is_sent():
    async with raw_upstream(says(b"")) as upstream:
        provider = AnthropicProvider(base_url=upstream.url)
        _, error = await played(provider, Generation(model="m", messages=[{"role": "judge", "content": "x"}]))
        assert error.subcode == "provider_refused"
        assert "judge" in error.message
        assert upstream.accepted == 0


async def test_what_comes_over_http_is_what_the_model_said(provider):
    generation = over_http("Tell me of tides 🌊", tokens=400, seed=3, reasoning=30)
    parts, error = await played(provider, generation)
    told = {"tokens": 400, "seed": 3, "reasoning": 30, "rate": 0}
    expected, _ = await played(SimulatedProvider(), msgspec.structs.replace(generation, simulated=told))
    assert error is None
    assert said(parts) == said(expected)
    assert said(parts, "reasoning") == said(expected, "reasoning")
    assert parts[-2].data["output_tokens"] == 430
    assert parts[-1] == expected[-1]


async def test_calls_of_tools_come_through(provider):
    parts, _ = await played(provider, over_http(parameters={"tools": [TOOL]}, tokens=3, tool="f"))
    (call,) = [part.data for part in parts if part.type == "tool_call"]
    assert (call["name"], call["arguments"]) == ("f", '{"x":3}')
    deltas = [part.data for part in parts if part.type == "tool_call_delta"]
    assert "".join(delta["arguments"] for delta in deltas) == call["arguments"]
    assert {delta["id"] for delta in deltas} == {call["id"]}
    assert parts[-1].data == {"reason": "tool_calls"}


async def test_a_limit_of_tokens_is_told_as_such(provider):
    parts, _ = await played(provider, over_http(parameters={"max_tokens": 7}))
    assert len([part for part in parts if part.type == "token"]) == 7
    assert parts[-1].data == {"reason": "length"}
