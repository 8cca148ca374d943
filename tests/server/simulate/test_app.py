"""The simulator is what it says it is: the `openai` and `anthropic` SDKs are its clients."""

import asyncio
import json
import logging
import zlib

import aiohttp
import pytest
from sdks import anthropic, openai
from upstreams import KEY, Simulator

from tokentape.core.errors import BadRequest
from tokentape.core.sse import SseDecoder
from tokentape.providers import prose
from tokentape.server.config import Limits
from tokentape.server.protocols import protocols
from tokentape.server.simulate.app import simulate_app

HELLO = [{"role": "user", "content": "Hello there"}]
FIELDS = {"city": {"type": "string"}, "days": {"type": "integer"}}
SCHEMA = {"type": "object", "properties": FIELDS}
ARGUMENTS = {"city": "example", "days": 3}


def expected(length: int, seed: int = 0) -> str:
    return "".join(prose.answer("Hello there", seed=seed, length=length))


@pytest.fixture(scope="module")
def simulator():
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def gpt(simulator):
    async with openai.AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(simulator):
    async with anthropic.AsyncAnthropic(base_url=simulator.url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def http(simulator):
    async with aiohttp.ClientSession(simulator.url, auto_decompress=False) as session:
        yield session


# OpenAI's SDK


async def chat(gpt, *, stream=False, **options):
    fields = {name: options.pop(name) for name in ("tools", "max_tokens", "stream_options") if name in options}
    return await gpt.chat.completions.create(
        model="gpt-x", messages=HELLO, stream=stream, extra_body={"simulated": options}, **fields
    )


async def listen(gpt, said: list[str], **options) -> None:
    async for chunk in await chat(gpt, stream=True, tokens=50, **options):
        said += filter(None, (choice.delta.content for choice in chunk.choices))


TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}


async def test_openai_whole(gpt):
    answer = await chat(gpt, tokens=120, seed=4, reasoning=10, tool=True, tools=[TOOL])
    choice = answer.choices[0]
    assert choice.message.content == expected(120, 4)
    assert choice.message.reasoning_content
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert (call.type, call.function.name, json.loads(call.function.arguments)) == ("function", "weather", ARGUMENTS)
    assert answer.object == "chat.completion"
    assert answer.model == "gpt-x"
    assert answer.usage.prompt_tokens == 2
    assert answer.usage.completion_tokens > 130
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens_details.reasoning_tokens == 10


async def test_openai_streaming(gpt):
    chunks = [
        chunk
        async for chunk in await chat(gpt, stream=True, tokens=120, seed=4, stream_options={"include_usage": True})
    ]
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0].choices[0].delta.role == "assistant"
    *spoken, last = chunks
    assert "".join(chunk.choices[0].delta.content or "" for chunk in spoken) == expected(120, 4)
    assert [chunk.choices[0].finish_reason for chunk in spoken] == [None] * (len(spoken) - 1) + ["stop"]
    assert all(chunk.usage is None for chunk in spoken)
    assert (last.choices, last.usage.prompt_tokens, last.usage.completion_tokens) == ([], 2, 120)


async def test_openai_tells_no_usage_unasked(gpt):
    chunks = [chunk async for chunk in await chat(gpt, stream=True, tokens=3)]
    assert all(chunk.choices and "usage" not in chunk.model_fields_set for chunk in chunks)


async def test_openai_calls_of_tools_stream(gpt):
    options = {"tokens": 3, "tool": "weather"}
    stream = gpt.chat.completions.stream(model="gpt-x", messages=HELLO, tools=[TOOL], extra_body={"simulated": options})
    async with stream as events:
        kinds = [event.type async for event in events]
        answer = await events.get_final_completion()
    assert kinds.count("tool_calls.function.arguments.done") == 1
    assert kinds.count("tool_calls.function.arguments.delta") > 3
    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", ARGUMENTS)
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_openai_limit_of_tokens(gpt):
    answer = await chat(gpt, tokens=50, max_tokens=7)
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 7)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "InternalServerError"),
    ],
)
async def test_openai_statuses(gpt, status, kind):
    with pytest.raises(getattr(openai, kind)) as caught:
        await chat(gpt, stream=True, fault=f"status:{status}:3s")
    assert caught.value.status_code == status
    assert caught.value.response.headers["Retry-After"] == "3"
    assert caught.value.body["message"]
    assert caught.value.type


async def test_openai_a_wrong_key_comes_back_as_from_some_real_ones(gpt):
    with pytest.raises(openai.AuthenticationError, match=KEY) as caught:
        await chat(gpt, fault="status:401")
    assert caught.value.code == "invalid_api_key"


async def test_openai_sdk_retries_until_it_is_let_through(simulator):
    async with openai.AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key=KEY, max_retries=2) as gpt:
        answer = await chat(gpt, tokens=5, fault="status:429x2:0.01s")
    assert answer.choices[0].message.content == expected(5)


async def test_openai_error_in_the_stream(gpt):
    said: list[str] = []
    with pytest.raises(openai.APIError, match="had an error"):
        await listen(gpt, said, fault="error@20")
    assert said == prose.tokens(expected(50))[:20]


async def test_openai_cut(gpt):
    said: list[str] = []
    with pytest.raises(openai.OpenAIError):
        await listen(gpt, said, fault="cut@20")
    assert said == prose.tokens(expected(50))[:20]
    with pytest.raises(openai.OpenAIError):
        await chat(gpt, fault="cut@20")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "JSON"),
        (b"[]", "JSON"),
        (b"{}", "model"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":[]}', "messages"),
        (b'{"model":"m","messages":[{"content":"x"}]}', "role"),
        (b'{"model":"m","messages":[{"role":"user"}],"simulated":7}', "simulated"),
        (b'{"model":"m","messages":[{"role":"user"}],"simulated":{"speed":7}}', "options are"),
        (b'{"model":"m?speed","messages":[{"role":"user"}]}', "name=value"),
        (b'{"model":"m?fault=explode","messages":[{"role":"user"}]}', "stall@N"),
    ],
)
async def test_openai_bad_requests(http, body, says):
    async with http.post("/v1/chat/completions", data=body) as response:
        assert response.status == 400
        error = (await response.json())["error"]
    assert error["type"] == "invalid_request_error"
    assert says in error["message"]


async def test_openai_models(gpt):
    assert [model.id async for model in gpt.models.list()] == ["simulated"]


# Anthropic's SDK


async def message(claude, **options):
    fields = {"max_tokens": 1000, **{name: options.pop(name) for name in ("tools", "max_tokens") if name in options}}
    return await claude.messages.create(model="claude-x", messages=HELLO, extra_body={"simulated": options}, **fields)


def streamed(claude, **options):
    fields = {"tools": options.pop("tools")} if "tools" in options else {}
    return claude.messages.stream(
        model="claude-x", max_tokens=1000, messages=HELLO, extra_body={"simulated": options}, **fields
    )


CLAUDES_TOOL = {"name": "weather", "input_schema": SCHEMA}


async def test_anthropic_whole(claude):
    answer = await message(claude, tokens=120, seed=4, reasoning=10, tool=True, tools=[CLAUDES_TOOL])
    thinking, text, call = answer.content
    assert thinking.thinking
    assert text.text == expected(120, 4)
    assert (call.name, call.input) == ("weather", ARGUMENTS)
    assert (answer.stop_reason, answer.role, answer.model) == ("tool_use", "assistant", "claude-x")
    assert answer.usage.input_tokens == 2
    assert answer.usage.output_tokens > 130


async def test_anthropic_streaming(claude):
    async with streamed(claude, tokens=120, seed=4, reasoning=10, tool=True, tools=[CLAUDES_TOOL]) as stream:
        kinds = [event.type async for event in stream]
        answer = await stream.get_final_message()
    thinking, text, call = answer.content
    assert thinking.thinking
    assert thinking.signature
    assert text.text == expected(120, 4)
    assert (call.name, call.input) == ("weather", ARGUMENTS)
    assert answer.stop_reason == "tool_use"
    assert answer.usage.input_tokens == 2
    assert answer.usage.output_tokens > 130
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 3


async def test_anthropic_system_prompt_and_parts(claude):
    answer = await claude.messages.create(
        model="claude-x",
        max_tokens=40,
        system="Be brief.",
        messages=[{"role": "user", "content": [{"type": "text", "text": "Hello there"}]}],
    )
    assert answer.usage.input_tokens == 2 + 3
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 40)
    assert "Hello there" in answer.content[0].text


@pytest.mark.parametrize(
    ("status", "kind", "name"),
    [
        (400, "BadRequestError", "invalid_request_error"),
        (401, "AuthenticationError", "authentication_error"),
        (403, "PermissionDeniedError", "permission_error"),
        (404, "NotFoundError", "not_found_error"),
        (413, "RequestTooLargeError", "request_too_large"),
        (429, "RateLimitError", "rate_limit_error"),
        (500, "InternalServerError", "api_error"),
        (529, "OverloadedError", "overloaded_error"),
    ],
)
async def test_anthropic_statuses(claude, status, kind, name):
    with pytest.raises(getattr(anthropic, kind)) as caught:
        await message(claude, fault=f"status:{status}:3s")
    assert caught.value.status_code == status
    assert caught.value.response.headers["Retry-After"] == "3"
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == name


async def follow(claude, said: list[str], **options) -> None:
    async with streamed(claude, tokens=50, **options) as stream:
        async for text in stream.text_stream:
            said.append(text)  # noqa: PERF401 - what was heard before it breaks off


async def test_anthropic_error_in_the_stream(claude):
    said: list[str] = []
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        await follow(claude, said, fault="error@20")
    assert said == prose.tokens(expected(50))[:20]


async def test_anthropic_cut(claude):
    said: list[str] = []
    with pytest.raises(Exception, match="closed connection"):
        await follow(claude, said, fault="cut@20")
    assert said == prose.tokens(expected(50))[:20]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"messages":[]}', "model"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}]}', "max_tokens"),
        (b'{"model":"m","max_tokens":5,"messages":[{"role":"system","content":"x"}]}', "role"),
    ],
)
async def test_anthropic_bad_requests(http, body, says):
    async with http.post("/v1/messages", data=body) as response:
        assert response.status == 400
        document = await response.json()
    assert (document["type"], document["error"]["type"]) == ("error", "invalid_request_error")
    assert says in document["error"]["message"]


async def test_anthropic_models(claude):
    assert [model.id async for model in claude.models.list()] == ["simulated"]


# Options and faults on the wire


async def wire(http, **options) -> bytes:
    body = {"model": "m", "messages": HELLO, "stream": True, "simulated": options}
    async with http.post("/v1/chat/completions", json=body) as response:
        assert response.status == 200
        return await response.read()


def contents(stream: bytes) -> str:
    events = [json.loads(e.data) for e in SseDecoder().receive_data(stream) if e.data != "[DONE]"]
    return "".join(c["delta"].get("content") or "" for event in events for c in event["choices"])


async def test_options_come_by_default_model_header_and_body_the_later_first(http):
    body = {"model": "m?tokens=10,seed=1", "messages": HELLO, "stream": True}
    texts = []
    for header, own in (("", {}), ("tokens=20", {}), ("tokens=20", {"tokens": 30})):
        async with http.post(
            "/v1/chat/completions", json={**body, "simulated": own}, headers={"X-Simulate": header}
        ) as response:
            texts.append(contents(await response.read()))
    assert texts == [expected(length, 1) for length in (10, 20, 30)]


def test_wrong_defaults_are_refused_at_once():
    with pytest.raises(BadRequest, match="options are"):
        simulate_app({"speed": 1})


async def test_a_plain_stream_has_lf_only_and_an_end_mark(http):
    stream = await wire(http, tokens=100)
    assert b"\r" not in stream
    assert stream.endswith(b"\n\ndata: [DONE]\n\n")
    assert contents(stream) == expected(100)


async def test_crlf(http):
    stream = await wire(http, tokens=100, fault="crlf")
    assert stream.count(b"\n") == stream.count(b"\r\n") > 200
    assert contents(stream) == expected(100)


async def test_no_done(http):
    assert b"[DONE]" not in await wire(http, tokens=5, fault="no-done")


async def test_empty_choices_and_null_content(http):
    stream = await wire(http, tokens=5, fault="empty-choices+null-content")
    assert b'"choices":[]' in stream
    assert b'"content":null' in stream
    assert contents(stream) == expected(5)


async def test_line_ends_in_the_text(http):
    text = contents(await wire(http, tokens=60, fault="line-ends"))
    assert all(end in text for end in ("\r", "\u0085", "\u2028"))


async def test_split_utf8_really_splits(http):
    body = {"model": "m", "messages": HELLO, "stream": True, "simulated": {"tokens": 20, "fault": "split-utf8"}}
    chunks = []
    async with http.post("/v1/chat/completions", json=body) as response:
        async for chunk in response.content.iter_any():
            chunks.append(chunk)  # noqa: PERF401 - each as it came
    assert any(chunk[-1] >= 0xC0 for chunk in chunks), "no read ended inside a character"
    assert contents(b"".join(chunks)) == expected(20)


async def test_a_long_line_comes_as_long_as_it_was_asked_for(http):
    stream = await wire(http, tokens=5, fault="long-line@2:3")
    assert max(map(len, stream.split(b"\n"))) == 3_000_000 + len(b"data: ")


async def test_a_gzip_bomb_is_small_and_unpacks_to_much(http):
    body = {"model": "m", "messages": HELLO, "stream": True, "simulated": {"fault": "gzip-bomb"}}
    async with http.post("/v1/chat/completions", json=body) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        packed = await response.read()
    assert len(packed) < 200_000
    unpacker = zlib.decompressobj(wbits=31)
    size = len(unpacker.decompress(packed, 50_000_000))
    assert size == 50_000_000
    assert unpacker.unconsumed_tail


async def test_waits_last_as_long_as_they_should(http):
    loop = asyncio.get_running_loop()
    began = loop.time()
    stream = await wire(http, tokens=10, fault="slow-start:100ms+stall@5:100ms")
    assert loop.time() - began >= 0.2
    assert contents(stream) == expected(10)


# Counting


async def test_stats_tell_who_came_to_the_end_and_who_went(simulator, http):
    await simulator.until(lambda stats: stats.active == 0)  # of the test before, which may have hung up
    before = simulator.stats.completed, simulator.stats.aborted
    await wire(http, tokens=5)
    body = {"model": "m", "messages": HELLO, "stream": True, "simulated": {"tokens": 10_000, "rate": 50}}
    async with http.post("/v1/chat/completions", json=body) as response:
        await response.content.readany()
        async with http.get("/stats") as answer:
            stats = await answer.json()
        assert stats["active"] == 1
        assert stats["started"] == stats["active"] + stats["completed"] + stats["aborted"]
        response.close()
    await simulator.until(lambda stats: stats.active == 0)
    assert (simulator.stats.completed, simulator.stats.aborted) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize("stream", [True, False])
async def test_under_our_own_protocol_a_cut_is_no_mistake_in_the_log(caplog, stream):
    http_protocol, _ = protocols(Limits())
    with Simulator(http=http_protocol) as simulator:
        async with openai.AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key=KEY, max_retries=0) as gpt:
            said: list[str] = []
            with pytest.raises(openai.OpenAIError):
                await (listen(gpt, said, fault="cut@20") if stream else chat(gpt, fault="cut@20"))
            assert len(said) == (20 if stream else 0)
        await simulator.until(lambda stats: stats.completed == 1)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("stream", [True, False])
async def test_who_hangs_up_in_a_stall_is_noticed_at_once(simulator, http, stream):
    await simulator.until(lambda stats: stats.active == 0)  # of the test before, which may have hung up
    aborted = simulator.stats.aborted
    body = {"model": "m", "messages": HELLO, "stream": stream, "simulated": {"fault": "slow-start:60s"}}
    request = asyncio.create_task(http.post("/v1/chat/completions", json=body).__aenter__())
    await simulator.until(lambda stats: stats.active == 1)
    if stream:
        (await request).close()
    else:
        request.cancel()
    await simulator.until(lambda stats: stats.active == 0)
    assert simulator.stats.aborted == aborted + 1


async def test_a_body_that_is_too_large_is_refused(http, monkeypatch):
    monkeypatch.setattr("tokentape.server.simulate.app.MAX_BODY", 1000)
    async with http.post("/v1/chat/completions", data=b"x" * 2000) as response:
        assert response.status == 400
        assert "larger" in (await response.json())["error"]["message"]
