"""`@ag-ui/client` and `@tanstack/ai-client`, unmodified, against a real server (wire-formats §6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from agents import Agents, Errand, agents
from served import composed

from tokentape.cli.relay import Relay
from tokentape.client import Client
from tokentape.core.transcript import Transcript

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO = [{"id": "u1", "role": "user", "content": "Hello"}]


class Place(NamedTuple):
    """The server, a way to it that can be cut, and the clients."""

    url: str
    relay: Relay
    agents: Agents

    @property
    def cuttable(self) -> str:
        return f"http://127.0.0.1:{self.relay.port}/ag-ui"

    async def begin(self, op: str, *, cuttable: bool = False, **fields: Any) -> Errand:
        url = self.cuttable if cuttable else f"{self.url}ag-ui"
        return await self.agents.begin(op, url=url, **fields)

    async def run(self, op: str, *, cuttable: bool = False, **fields: Any) -> dict[str, Any]:
        return await (await self.begin(op, cuttable=cuttable, **fields)).done()

    async def text(self, run: str) -> str:
        """The tape's own."""
        transcript = Transcript()
        async with Client(self.url) as client:
            async for item in client.watch(f"runs/{run}", merge=False):
                transcript.apply(item.event)
        return transcript.text(run)

    async def stop(self, name: str, **query: str) -> dict[str, Any]:
        async with aiohttp.ClientSession() as http:
            answer = await http.post(f"{self.url}ag-ui/{name}/stop", params=query)
            stopped: dict[str, Any] = await answer.json()
            return stopped

    async def runs(self) -> set[str]:
        async with aiohttp.ClientSession() as http:
            answer = await http.get(f"{self.url}v1/runs", params={"limit": 1000})
            return {run["id"] for run in (await answer.json())["runs"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Place]:
    async with (
        composed() as (_, url),
        agents() as clients,
        Relay("127.0.0.1", int(url.rstrip("/").rpartition(":")[2])) as relay,
    ):
        yield Place(url, relay, clients)


def names() -> dict[str, str]:
    return {"threadId": f"t-{uuid4()}", "runId": f"run-{uuid4()}"}


def simulated(**options: Any) -> dict[str, Any]:
    return {"forwardedProps": {"tokentape": {"simulated": {"rate": 0, "tokens": 30, **options}}}}


def said(result: dict[str, Any], role: str = "assistant") -> str:
    """What an AG-UI agent has from the model."""
    return "".join(message.get("content", "") for message in result["messages"] if message["role"] == role)


# AG-UI


async def test_an_agent_has_text_reasoning_and_tool_calls(place: Place) -> None:
    called = names()
    result = await place.run("agent", **called, messages=HELLO, **simulated(reasoning=7, tool=True))
    assert "error" not in result
    [request] = result["requests"]
    assert said(result) == await place.text(request["run"]) != ""
    assert said(result, "reasoning")
    [call] = [call for message in result["messages"] for call in message.get("toolCalls", ())]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"Kyoto (京都)","days":3}'}
    assert (result["types"][0], result["types"][-1]) == ("RUN_STARTED", "RUN_FINISHED")


async def test_an_error_in_mid_stream_is_the_agents_own(place: Place) -> None:
    result = await place.run("agent", **names(), messages=HELLO, **simulated(fault="error@5"))
    assert result["failed"]["code"] == "provider_overloaded"
    assert result["types"][-1] == "RUN_ERROR"
    assert said(result) == await place.text(result["requests"][0]["run"]) != ""


async def test_a_refusal_is_an_error_that_says_why(place: Place) -> None:
    result = await place.run("agent", **names(), messages=HELLO, forwardedProps={"model": "no such model"})
    assert "404" in result["error"]["message"]
    assert "no such model" in result["error"]["message"]


async def test_stop_ends_the_run_and_keeps_the_text(place: Place) -> None:
    called = names()
    errand = await place.begin("agent", **called, messages=HELLO, **simulated(rate=100, tokens=5000))
    await errand.until(20)
    stopped = await place.stop(called["runId"], threadId=called["threadId"])
    result = await errand.done()
    assert (stopped["runId"], stopped["state"], stopped["reason"]) == (called["runId"], "done", "stopped")
    assert result["cancelled"]
    assert said(result) == await place.text(stopped["id"])
    assert (await place.stop(called["runId"]))["reason"] == "stopped"


async def test_leaving_is_no_stop_and_asking_again_is_the_same_run(place: Place) -> None:
    """The agent's own `abortRun` closes its connection; with the messages that it has it comes back to the run."""
    called = names()
    errand = await place.begin("agent", **called, messages=HELLO, **simulated(rate=200, tokens=200, reasoning=5))
    await errand.until(60)
    await place.agents.stop(errand)
    left = await errand.done()
    assert len(said(left)) > 0
    before = await place.runs()
    back = await place.run("agent", **called, messages=left["messages"])
    assert await place.runs() == before
    run = left["requests"][0]["run"]
    assert back["types"][:2] == ["RUN_STARTED", "MESSAGES_SNAPSHOT"]
    assert said(back) == await place.text(run)
    assert len(said(back)) > len(said(left))
    assert said(back, "reasoning") == said(left, "reasoning")
    assert said(back, "user") == "Hello"


async def test_a_second_agent_joins_late_and_has_all(place: Place) -> None:
    called = names()
    first = await place.begin("agent", **called, messages=HELLO, **simulated(rate=200, tokens=150))
    await first.until(60)
    second = await place.begin("agent", **called)
    one, other = await asyncio.gather(first.done(), second.done())
    assert one["requests"][0]["run"] == other["requests"][0]["run"]
    assert said(one) == said(other) == await place.text(one["requests"][0]["run"])
    late = await place.run("agent", **called)
    assert said(late) == said(one)


async def test_a_cut_connection_is_an_error_for_an_agent(place: Place) -> None:
    name = names()
    errand = await place.begin("agent", cuttable=True, **name, messages=HELLO, **simulated(rate=100, tokens=5000))
    await errand.until(20)
    assert place.relay.cut() >= 1
    result = await errand.done()
    assert result["error"]["message"]
    assert "RUN_FINISHED" not in result["types"]
    await place.stop(name["runId"])


# TanStack AI


async def test_a_chat_has_text_reasoning_and_tool_calls(place: Place) -> None:
    result = await place.run("chat", threadId=f"t-{uuid4()}", message="Hi", **simulated(reasoning=7, tool=True))
    assert (result["status"], result["errors"]) == ("ready", [])
    assert result["text"] == await place.text(result["requests"][0]["run"]) != ""
    parts = {part["type"]: part for message in result["messages"] for part in message["parts"]}
    assert parts["thinking"]["content"]
    assert parts["tool-call"]["input"] == {"city": "Kyoto (京都)", "days": 3}


async def test_a_chat_executes_its_own_tools_and_goes_on(place: Place) -> None:
    result = await place.run(
        "chat",
        threadId=f"t-{uuid4()}",
        message="Hi",
        tool="look",
        afterTool=simulated()["forwardedProps"],
        **simulated(tool=True),
    )
    assert result["executed"] == [{"city": "Kyoto (京都)", "days": 3}]
    assert [request["status"] for request in result["requests"]] == [200, 200]
    both = [await place.text(request["run"]) for request in result["requests"]]
    assert result["text"] == "".join(both)


async def test_an_error_in_mid_stream_is_the_chats_own(place: Place) -> None:
    result = await place.run("chat", threadId=f"t-{uuid4()}", message="Hi", **simulated(fault="error@5"))
    assert result["status"] == "error"
    assert result["error"]["message"] == "simulated failed during the answer, as it was told to"
    assert len(result["requests"]) == 1


async def test_a_chat_that_is_cut_again_and_again_lacks_nothing_and_pays_once(place: Place) -> None:
    errand = await place.begin(
        "chat", cuttable=True, threadId=f"t-{uuid4()}", message="Hi", **simulated(rate=300, tokens=400, reasoning=5)
    )
    for characters in (20, 300, 700):
        await errand.until(characters)
        assert place.relay.cut() >= 1
    result = await errand.done()
    assert (result["status"], result["errors"]) == ("ready", [])
    assert [request["method"] for request in result["requests"]] == ["POST"] * len(result["requests"])
    assert len(result["requests"]) >= 4
    assert all(request["lastEventId"] for request in result["requests"][1:])
    [run] = {request["run"] for request in result["requests"] if request.get("run")}
    assert result["text"] == await place.text(run)


async def test_a_chat_that_loses_its_server_for_good_says_so(place: Place) -> None:
    async with Relay("127.0.0.1", int(place.url.rstrip("/").rpartition(":")[2])) as relay:
        errand = await place.agents.begin(
            "chat",
            url=f"http://127.0.0.1:{relay.port}/ag-ui",
            threadId=f"t-{uuid4()}",
            message="Hi",
            **simulated(rate=100, tokens=5000),
        )
        await errand.until(20)
    result = await errand.done()
    assert result["status"] == "error"
    assert "reconnect ceiling" in result["error"]["message"]
    assert errand.run is not None
    await place.stop(errand.run)


async def test_a_stopped_run_ends_for_a_chat_too(place: Place) -> None:
    thread = f"t-{uuid4()}"
    errand = await place.begin("chat", threadId=thread, message="Hi", **simulated(rate=100, tokens=5000))
    await errand.until(20)
    assert errand.run is not None
    stopped = await place.stop(errand.run, threadId=thread)
    result = await errand.done()
    assert (stopped["reason"], result["status"], result["errors"]) == ("stopped", "ready", [])
    assert result["text"] == await place.text(stopped["id"])


async def test_a_chat_comes_back_after_a_reload(place: Place) -> None:
    thread = f"t-{uuid4()}"
    errand = await place.begin("chat", threadId=thread, message="Hi", **simulated(rate=200, tokens=800))
    await errand.until(60)
    await place.agents.stop(errand)
    left = await errand.done()
    # With what the page kept, and with nothing but the name of the conversation.
    kept = await place.begin("chat", threadId=thread, rejoin=errand.run)
    asking = await place.begin("chat", threadId=thread, hydrate=True)
    back, asked = await asyncio.gather(kept.done(), asking.done())
    run = left["requests"][0]["run"]
    assert back["text"] == asked["text"] == await place.text(run)
    assert 0 < len(left["text"]) < len(back["text"])
    assert [request["method"] for request in asked["requests"]] == ["GET", "GET"]


async def test_a_run_is_joined_from_its_start_by_its_name_or_its_id(place: Place) -> None:
    called = names()
    errand = await place.begin("agent", **called, messages=HELLO, **simulated(rate=200, tokens=100))
    await errand.until(30)
    joined = await place.begin("join", runId=called["runId"])
    one, other = await asyncio.gather(errand.done(), joined.done())
    assert said(one) == other["text"]
    by_id = await place.run("join", runId=one["requests"][0]["run"])
    assert by_id["text"] == other["text"]
    nobody = await place.run("join", runId="nobody")
    assert "404" in nobody["error"]["message"]


async def test_whoever_was_cut_right_after_the_end_is_told_the_end_again(place: Place) -> None:
    """TanStack AI comes back even then, and would take an empty answer for a loss."""
    called = names()
    result = await place.run("agent", **called, messages=HELLO, **simulated())
    body = {**called, "messages": HELLO, "tools": [], "context": []}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{place.url}ag-ui", params={"runId": called["runId"]}) as all_of_it:
            last = [line for line in (await all_of_it.text()).splitlines() if line.startswith("id: ")][-1]
        async with http.post(f"{place.url}ag-ui", json=body, headers={"Last-Event-ID": last[4:]}) as again:
            assert again.status == 200
            assert again.headers["Tokentape-Run"] == result["requests"][0]["run"]
            assert (await again.text()).startswith('data: {"type":"RUN_FINISHED"')
        unknown = {**body, "runId": "another"}
        async with http.post(f"{place.url}ag-ui", json=unknown, headers={"Last-Event-ID": last[4:]}) as refused:
            assert (refused.status, (await refused.json())["code"]) == (404, "run_not_found")
        gone = {"Last-Event-ID": "zzzzzzzz-3"}
        async with http.post(f"{place.url}ag-ui", json=body, headers=gone) as other_life:
            assert (other_life.status, (await other_life.json())["code"]) == (410, "gone")


async def test_two_that_start_at_once_start_one_run(place: Place) -> None:
    called = names()
    before = await place.runs()
    asked = [{"id": "u1", "role": "user", "content": text} for text in ("Hello", "Something else")]
    results = await asyncio.gather(
        *(place.run("agent", **called, messages=[message], **simulated(rate=100)) for message in asked)
    )
    assert len(await place.runs() - before) == 1
    assert said(results[0]) == said(results[1]) != ""
