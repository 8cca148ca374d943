"""What users of Anthropic's SDKs see, with the SDKs as they are: for Python and for Node.js."""

import asyncio
import json
from urllib.parse import urlsplit

import aiohttp
import httpx2
import pytest
from sdks import anthropic
from served import composed

from tokentape.cli.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

WEATHER = {
    "name": "look",
    "description": "Looks",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def asked(said: str = "Where is it warm?", *, max_tokens: int = 1000, **simulated) -> dict:
    return {
        "model": "simulated",
        "max_tokens": max_tokens,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": said}],
        "tokentape": {"simulated": {"rate": 0, **simulated}},
    }


def for_python(request: dict) -> dict:
    """The SDK for Python takes no unknown arguments."""
    own = request.pop("tokentape")
    return {**request, "extra_body": {"tokentape": own}}


async def told(tape, run: str, kind: str = "token") -> str:
    return "".join([item.event.data async for item in tape.read(f"runs/{run}") if item.event.type == kind])


async def streamed_text(client, request: dict) -> str:
    async with client.messages.stream(**for_python(dict(request))) as stream:
        return "".join([piece async for piece in stream.text_stream])


def text(message: dict) -> str:
    return "".join(block["text"] for block in message["content"] if block["type"] == "text")


def shown(events: list[dict]) -> str:
    return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")


async def check_whole(tape, message: dict) -> None:
    """It is what is on the tape, with its thinking and its call."""
    run = message["id"].removeprefix("msg_")
    thinking, said, call = message["content"]
    assert thinking["thinking"] == await told(tape, run, "reasoning") != ""
    assert said["text"] == await told(tape, run) != ""
    assert (call["type"], call["name"], call["input"]) == ("tool_use", "look", {"city": "example"})
    assert message["stop_reason"] == "tool_use"
    await tape.runs.settled(run)
    usage = (await tape.runs.find(run)).usage
    assert message["usage"]["input_tokens"] == usage["input_tokens"] > 0
    assert message["usage"]["output_tokens"] == usage["output_tokens"]


async def test_python_streams_a_whole_message(python, tape):
    async with python.messages.stream(
        **for_python(asked(tokens=30, reasoning=6, tool=True)), tools=[WEATHER]
    ) as stream:
        streamed = [piece async for piece in stream.text_stream]
        message = await stream.get_final_message()
        assert stream.response.headers["tokentape-run"] == message.id.removeprefix("msg_")
    await check_whole(tape, message.model_dump())
    assert len(streamed) > 1
    assert "".join(streamed) == text(message.model_dump())


async def test_python_gets_a_whole_message(python, tape):
    message = await python.messages.create(**for_python(asked(tokens=30, reasoning=6, tool=True)), tools=[WEATHER])
    assert message._request_id.startswith("req_")
    await check_whole(tape, message.model_dump())


async def test_node_streams_and_gets_whole_messages(node, tape, url):
    request = {**asked(tokens=30, reasoning=6, tool=True), "tools": [WEATHER]}
    streamed, whole = await asyncio.gather(
        *(node.call(op=op, baseURL=url, request=request) for op in ("stream", "create"))
    )
    for answer in (streamed, whole):
        await check_whole(tape, answer["message"])
    assert streamed["text"] == text(whole["message"])


async def test_an_answer_can_be_cut_short_by_its_length(python):
    message = await python.messages.create(**for_python(asked(max_tokens=5)))
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 5)


async def test_results_of_tools_go_on(python):
    request = for_python(asked(tokens=4))
    request["messages"] += [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"city": "Oslo"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "warm"}]},
    ]
    message = await python.messages.create(**request, tools=[WEATHER])
    assert message.stop_reason == "end_turn"


async def test_an_error_in_the_middle_is_the_sdks_own(python, node, tape, url):
    request = asked(tokens=20, fault="error@5")
    with pytest.raises(anthropic.APIStatusError, match="as it was told to") as raised:
        await streamed_text(python, request)
    assert raised.value.body["error"]["type"] == "overloaded_error"
    [streamed, whole] = await asyncio.gather(
        *(node.call(op=op, baseURL=url, request=request) for op in ("stream", "create"))
    )
    assert streamed["error"]["api"]
    assert streamed["error"]["type"] == "overloaded_error"
    assert (whole["error"]["kind"], whole["error"]["status"]) == ("OverloadedError", 529)
    assert whole["error"]["request"].startswith("req_")


async def test_what_is_refused_has_the_type_that_the_api_has(python, node, url):
    with pytest.raises(anthropic.NotFoundError, match="no-such-model") as missing:
        await python.messages.create(**{**for_python(asked()), "model": "no-such-model"})
    assert missing.value.body["error"]["type"] == "not_found_error"
    assert missing.value.request_id.startswith("req_")
    with pytest.raises(anthropic.BadRequestError, match="top_k"):
        await python.messages.create(**{**for_python(asked()), "extra_body": {"top_k": 5}})
    refused = await node.call(
        op="create", baseURL=url, request={**asked(), "messages": [{"role": "narrator", "content": ""}]}
    )
    assert (refused["error"]["kind"], refused["error"]["type"]) == ("BadRequestError", "invalid_request_error")
    with pytest.raises(anthropic.NotFoundError):
        await python.post("/v1/messages/msg_r_nothing/stop", cast_to=object)


async def test_a_cut_is_an_error_and_the_message_can_be_had_again(python, node, tape, url):
    async with Relay("127.0.0.1", urlsplit(url).port) as relay:
        cut_url = f"http://127.0.0.1:{relay.port}"
        request = asked(rate=100, tokens=9000)
        sent = asyncio.create_task(node.call(op="stream", name="cut", baseURL=cut_url, request=request))
        async with (
            anthropic.AsyncAnthropic(api_key="key", base_url=cut_url, max_retries=0) as client,
            client.messages.stream(**for_python(dict(request))) as stream,
        ):
            run = stream.response.headers["tokentape-run"]
            pieces = aiter(stream.text_stream)
            seen = await anext(pieces)
            await node.call(op="until", name="cut", characters=10)
            assert relay.cut() == 2
            with pytest.raises(httpx2.TransportError):
                seen += "".join([piece async for piece in pieces])
        assert (await sent)["error"]["kind"] in ("TypeError", "APIConnectionError", "AnthropicError")
    await tape.run(run).stop()
    # From the start, by two at once, one of them by the id of the message.
    again, others = await asyncio.gather(
        node.call(op="again", baseURL=url, id=f"msg_{run}"), node.call(op="again", baseURL=url, id=run)
    )
    whole = await told(tape, run)
    assert whole.startswith(seen)
    for each in (again, others):
        assert shown(each["events"]) == whole
        assert each["events"][-1]["type"] == "message_stop"


async def test_stop_ends_the_message_for_all(python, node, tape, url):
    async with python.messages.stream(**for_python(asked(rate=50, tokens=2000))) as stream:
        pieces = aiter(stream.text_stream)
        await anext(pieces)
        run = stream.response.headers["tokentape-run"]
        other = asyncio.create_task(node.call(op="again", baseURL=url, id=run))
        async with asyncio.timeout(60):
            while tape.hub.audience(f"runs/{run}") < 2:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
        async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/messages/msg_{run}/stop") as response:
            stopped = await response.json()
        message = await stream.get_final_message()
    events = (await other)["events"]
    assert events[-1]["type"] == "message_stop"
    assert shown(events) == await told(tape, run)
    assert text(message.model_dump()) == text(stopped) == await told(tape, run)
    assert message.stop_reason == stopped["stop_reason"] == "end_turn"
    assert (await tape.runs.find(run)).reason == "stopped"


async def test_a_repeated_request_starts_nothing_new(python):
    key = {"Idempotency-Key": "anthropic-once"}
    first, again = await asyncio.gather(
        *(python.messages.create(**for_python(asked(tokens=9)), extra_headers=key) for _ in range(2))
    )
    assert first.id == again.id


async def test_a_position_is_resumed_exactly(tape, url):
    async with aiohttp.ClientSession() as session:
        body = {**asked(tokens=20), "stream": True}
        async with session.post(f"{url}/v1/messages", json=body) as response:
            run, whole = response.headers["Tokentape-Run"], await response.text()
        events = [item async for item in tape.read(f"runs/{run}", merge=False) if item.cursor]
        middle = next(item.cursor for item in events[10:] if item.event.type == "token")
        params = {"from": str(middle), "merge": "false"}
        async with session.get(f"{url}/v1/messages/{run}/stream", params=params) as response:
            rest = await response.text()
    assert whole.endswith(rest)
    kinds = [json.loads(line[6:])["type"] for line in rest.splitlines() if line.startswith("data: ")]
    assert kinds[0] == "content_block_delta"
    assert kinds[-1] == "message_stop"


async def test_a_server_that_goes_away_leaves_no_message_that_looks_whole(node):
    async with composed() as (tape, url):
        request = asked(rate=100, tokens=9000)
        sent = asyncio.create_task(node.call(op="stream", name="drained", baseURL=url.rstrip("/"), request=request))
        async with (
            anthropic.AsyncAnthropic(api_key="key", base_url=url, max_retries=0) as client,
            client.messages.stream(**for_python(dict(request))) as stream,
        ):
            pieces = aiter(stream.text_stream)
            await anext(pieces)
            await node.call(op="until", name="drained", characters=10)
            tape.hub.drain()
            with pytest.raises(httpx2.TransportError):
                _ = [piece async for piece in pieces]
        assert "error" in await sent
