"""What users of the AI SDK's chats see, with the SDK as it is: `useChat` without React, versions 5, 6 and 7."""

import asyncio
from urllib.parse import urlsplit

import aiohttp
import pytest
from ai_sdk_chats import KINDS, Gate, answer, parts, record, text, told, watched_by
from redis_server import RedisServer
from served import composed

from tokentape.cli.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"properties": {"city": {"type": "string"}}}}}]


@pytest.fixture
def chat_id(request) -> str:
    return request.node.name.replace("/", "-") + "/with a slash"


def simulated(**options) -> dict:
    return {"tokentape": {"simulated": {"rate": 0, **options}}}


async def only(tape, chat_id):
    """The run of a chat that has one."""
    [run] = [info for info in tape.runs.list(limit=1000) if info.metadata.get("chat") == chat_id]
    return run


async def newest(tape, chat_id):
    return next(info for info in tape.runs.list(limit=1000) if info.metadata.get("chat") == chat_id)


async def posted(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(url) as response:
        return response.status, await response.text()


async def test_an_answer_is_shown_with_its_reasoning_and_its_calls(chats, tape, url, kind, chat_id):
    body = {**simulated(tokens=40, reasoning=7, tool=True), "tools": TOOLS, "userId": "somebody"}
    chat = await chats.open(url, kind, chat_id, body=body)
    seen = await chat.call("send", text="Where is it warm?")
    run = await only(tape, chat_id)
    assert seen["status"] == "ready"
    assert text(seen) == await told(tape, run.id) != ""
    assert "".join(part["text"] for part in parts(seen, "reasoning")) == await told(tape, run.id, "reasoning") != ""
    [call] = parts(seen, "tool-look")
    assert (call["state"], call["input"]) == ("input-available", {"city": "example"})
    assert answer(seen)["id"] == f"m_{run.id[2:]}"
    [end] = seen["finished"]
    assert not any(end[flag] for flag in ("isAbort", "isDisconnect", "isError"))
    # Version 5 had no member for it to begin with, and refused what it did not know.
    assert end.get("finishReason") == (None if kind == "5" else "tool-calls")

    # The results of its tools go on in the same message.
    seen = await chat.call("output", tool="look", toolCallId=call["toolCallId"], output={"found": True})
    assert seen["status"] == "ready"
    assert [message["role"] for message in seen["messages"]] == ["user", "assistant"]
    assert answer(seen)["id"] == f"m_{run.id[2:]}"
    again = await newest(tape, chat_id)
    assert again.id != run.id
    assert text(seen) == await told(tape, run.id) + await told(tape, again.id)


async def test_an_answer_is_written_anew(chats, tape, url, kind, chat_id):
    chat = await chats.open(url, kind, chat_id, body=simulated(tokens=5))
    first = await chat.call("send", text="Once")
    again = await chat.call("regenerate")
    assert [message["role"] for message in again["messages"]] == ["user", "assistant"]
    assert answer(again)["id"] != answer(first)["id"]
    assert text(again) == await told(tape, (await newest(tape, chat_id)).id)


async def test_all_that_an_application_says_comes_to_its_place(chats, tape, url, kind, chat_id):
    chat = await chats.open(url, kind, chat_id)
    gate = Gate()
    run = await record(
        tape,
        chat_id,
        {"type": "status", "data": {"state": "searching"}},
        {"type": "tool_call", "data": {"id": "c1", "name": "look", "arguments": '{"at":1}'}},
        {"type": "tool_result", "data": {"id": "c1", "output": {"found": [1]}}},
        {"type": "tool_result", "data": {"id": "never called", "output": 1}},
        {"type": "ai-sdk:source-url", "data": {"sourceId": "s1", "url": "https://example.com/", "extra": 1}},
        {"type": "ai-sdk:file", "data": {"url": "data:text/plain,x", "mediaType": "text/plain"}},
        {"type": "ai-sdk:nothing-that-exists", "data": {}},
        {"type": "chat:note", "data": {"n": 1}},
        "Here ",
        gate,
        "it is.",
    )
    seen = asyncio.create_task(chat.call("resume"))
    await chat.call("until", characters=5)
    gate.open()
    seen = await seen
    assert seen["status"] == "ready"
    shapes = [part["type"] for part in answer(seen)["parts"]]
    assert shapes == ["step-start", "tool-look", "source-url", "file", "data-chat-note", "step-start", "text"]
    [call] = parts(seen, "tool-look")
    assert (call["state"], call["input"], call["output"]) == ("output-available", {"at": 1}, {"found": [1]})
    assert parts(seen, "source-url")[0]["url"] == "https://example.com/"
    assert parts(seen, "data-chat-note")[0]["data"] == {"n": 1}
    assert [part["data"] for part in seen["data"] if part["type"] == "data-status"] == [{"state": "searching"}]
    assert text(seen) == await told(tape, run.id) == "Here it is."


async def test_an_error_in_the_middle_is_the_chats_error(chats, tape, url, kind, chat_id):
    chat = await chats.open(url, kind, chat_id, body=simulated(tokens=20, fault="error@5"))
    seen = await chat.call("send", text="Go on")
    run = await only(tape, chat_id)
    assert seen["status"] == "error"
    assert seen["error"]["message"] == run.error["message"]
    assert text(seen) == await told(tape, run.id) != ""
    assert seen["finished"][-1]["isError"]


async def test_what_is_refused_is_an_error_with_the_reason(chats, url, kind, chat_id):
    chat = await chats.open(url, kind, chat_id, body={"model": "no such model"})
    seen = await chat.call("send", text="Go on")
    assert seen["status"] == "error"
    assert "no such model" in seen["error"]["message"]
    if kind == "7":
        assert (seen["error"]["kind"], seen["error"]["status"]) == ("APICallError", 404)


async def test_stop_keeps_what_was_said_and_ends_it_for_all(chats, tape, url, kind, chat_id):
    chat = await chats.open(url, kind, chat_id, body=simulated(rate=50, tokens=2000))
    sent = asyncio.create_task(chat.call("send", text="Talk"))
    await chat.call("until", characters=10)
    other = await chats.open(url, kind, chat_id)
    watched = asyncio.create_task(other.call("resume"))
    await other.call("until", characters=10)
    if kind == "7-socket":
        # Its own way to stop; the other ones only close their connection.
        own = await chat.call("stop")
        assert own["status"] == "ready"
    else:
        status, _ = await posted(f"{url}api/chat/{chat_id.replace('/', '%2F')}/stop")
        assert status == 200
        assert (await sent)["status"] == "ready"
    seen = await watched
    await sent
    run = await only(tape, chat_id)
    assert (run.state, run.reason) == ("done", "stopped")
    assert seen["status"] == "ready"
    assert text(seen) == await told(tape, run.id)
    assert all(part["state"] == "done" for part in parts(seen, "text"))


async def test_closing_the_stream_stops_nothing(chats, tape, url, kind, chat_id):
    chat = await chats.open(url, kind, chat_id, body=simulated(rate=200, tokens=60))
    sent = asyncio.create_task(chat.call("send", text="Talk"))
    await chat.call("until", characters=10)
    await chat.call("close" if kind == "7-socket" else "stop")
    await sent
    run = await only(tape, chat_id)
    async for _ in tape.read(f"runs/{run.id}"):
        pass
    await tape.runs.settled(run.id)
    assert (await tape.runs.find(run.id)).reason == "stop"


async def test_a_cut_is_an_error_and_the_rest_comes_by_resuming(chats, tape, url, kind, chat_id):
    async with Relay("127.0.0.1", urlsplit(url).port) as relay:
        chat = await chats.open(f"http://127.0.0.1:{relay.port}/", kind, chat_id, body=simulated(rate=100, tokens=9000))
        sent = asyncio.create_task(chat.call("send", text="Talk"))
        await chat.call("until", characters=10)
        relay.cut()
        broken = await sent
        assert broken["status"] == "error"
        assert broken["finished"][-1]["isError"]
        # Over a WebSocket the SDK knows it for what it is; what Node.js says of a broken `fetch` it does not.
        assert broken["finished"][-1]["isDisconnect"] == (kind == "7-socket")
        # The same object again, one after a reload (which has only the user's turn), and one in a second tab.
        reloaded = await chats.open(url, kind, chat_id, messages=broken["messages"][:1])
        second = await chats.open(url, kind, chat_id, messages=broken["messages"][:1])
        resumed = [asyncio.create_task(one.call("resume")) for one in (chat, reloaded, second)]
        run = await only(tape, chat_id)
        for one in (reloaded, second):
            await one.call("until", characters=len(text(broken)) + 10)
        await watched_by(tape, run.stream, 3)
        await tape.run(run.id).stop()
        seen = await asyncio.gather(*resumed)
    whole = await told(tape, run.id)
    for each in seen:
        assert each["status"] == "ready"
        assert [message["role"] for message in each["messages"]] == ["user", "assistant"]
        assert answer(each)["id"] == f"m_{run.id[2:]}"
        assert text(each) == whole


async def test_nothing_is_resumed_where_nothing_is_answered(chats, url, kind, chat_id):
    chat = await chats.open(url, kind, chat_id)
    seen = await chat.call("resume")
    assert (seen["status"], seen["messages"], seen.get("error")) == ("ready", [], None)


async def test_what_is_void_is_taken_back_where_that_can_be_said(chats, tape, url, kind, chat_id):
    chat = await chats.open(url, kind, chat_id)
    gate = Gate()
    run = await record(tape, chat_id, "old words", gate, {"type": "reset", "data": {"reason": "test"}}, "new")
    resumed = asyncio.create_task(chat.call("resume"))
    await chat.call("until", characters=9)
    gate.open()
    seen = await resumed
    if kind.startswith("7"):
        assert seen["status"] == "ready"
        assert text(seen) == "new"
    else:
        assert seen["status"] == "error"
        assert "begun again" in seen["error"]["message"]
    async for _ in tape.read(run.stream):
        pass


async def test_a_chat_is_found_through_any_instance(chats, tmp_path):
    """Two servers that share nothing but Redis: one answers, and the other is asked after a reload, and to stop."""
    with RedisServer(tmp_path) as redis:
        async with composed(store=redis.url) as (one, first), composed(store=redis.url) as (_, second):
            chat = await chats.open(first, "7", "c", body=simulated(rate=50, tokens=2000))
            sent = asyncio.create_task(chat.call("send", text="Talk"))
            await chat.call("until", characters=10)
            others = [await chats.open(second, kind, "c") for kind in ("6", "7-socket")]
            resumed = [asyncio.create_task(other.call("resume")) for other in others]
            for other in others:
                await other.call("until", characters=10)
            status, body = await posted(f"{second}api/chat/c/stop")
            seen = await asyncio.gather(sent, *resumed)
            run = await only(one, "c")
            assert (status, run.reason) == (200, "stopped")
            assert run.id in body
            whole = await told(one, run.id)
    assert [text(each) for each in seen] == [whole] * 3
    assert len({answer(each)["id"] for each in seen}) == 1


async def test_a_server_that_goes_away_leaves_no_answer_that_looks_whole(chats):
    async with composed() as (tape, url):
        made = [await chats.open(url, kind, kind, body=simulated(rate=100, tokens=9000)) for kind in KINDS]
        sent = [asyncio.create_task(chat.call("send", text="Talk")) for chat in made]
        for chat in made:
            await chat.call("until", characters=10)
        tape.hub.drain()
        assert [seen["status"] for seen in await asyncio.gather(*sent)] == ["error"] * len(made)
