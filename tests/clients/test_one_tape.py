"""One tape, all dialects: one generation, watched at once by clients of every kind, ends with the same text for all.

A watcher is an async function from what it needs to its text at the end, in `WATCHERS`. Some come late, some are cut.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from agents import Agents, agents
from ai_sdk_chats import Chats, chatting
from ai_sdk_chats import text as shown
from event_sources import EventSources, event_sources
from node import CLIENTS, script
from sdks import openai
from served import composed

from tokentape.cli.relay import Relay
from tokentape.client import Client
from tokentape.core.sse import SseDecoder

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE = 60


class Place(NamedTuple):
    """The server, a way to it that is cut once, and what watchers are made of."""

    url: str
    relay: Relay
    agents: Agents
    chats: Chats
    sources: EventSources

    @property
    def cuttable(self) -> str:
        """The same server, by a way that is cut once while all are watching."""
        return f"http://127.0.0.1:{self.relay.port}/"


class Tape(NamedTuple):
    """The generation. `going` is set when it has begun to speak, `late` when half of it has been said."""

    run: str
    chat: str
    going: asyncio.Event
    late: asyncio.Event


Watcher = Callable[[Place, Tape], Awaitable[str]]


def said(result: Mapping[str, list[dict[str, str]]]) -> str:
    return "".join(message.get("content", "") for message in result["messages"] if message["role"] == "assistant")


# The watchers


async def event_source(place: Place, tape: Tape) -> str:
    """Chromium's own, in tokentape's format; it is cut."""
    await tape.going.wait()
    await place.sources.open("native", "native", f"/v1/runs/{tape.run}/events")
    end = await place.sources.until("native", "ends === 1 && closed")
    assert end["opens"] == 2, "it has not been cut"
    text: str = end["text"]
    return text


async def chat(place: Place, tape: Tape) -> str:
    """TanStack AI, which joins a run that somebody else has started."""
    await tape.going.wait()
    end = await place.agents.run("join", url=f"{place.url}ag-ui", runId=tape.run)
    text: str = end["text"]
    return text


async def late_agent(place: Place, tape: Tape) -> str:
    """AG-UI, half-way."""
    await tape.late.wait()
    return said(await place.agents.run("agent", url=f"{place.url}ag-ui", threadId=f"t-{uuid4()}", runId=tape.run))


async def ai_sdk_chat(place: Place, tape: Tape) -> str:
    """A chat of the AI SDK, as after a reload."""
    await tape.going.wait()
    chat = await place.chats.open(place.url, "7", tape.chat)
    return shown(await chat.call("resume"))


async def late_ai_sdk_chat(place: Place, tape: Tape) -> str:
    """Another version of it, half-way."""
    await tape.late.wait()
    chat = await place.chats.open(place.url, "5", tape.chat)
    return shown(await chat.call("resume"))


async def durable(place: Place, tape: Tape) -> str:
    """The Durable Streams client, on the run as a stream of JSON."""
    await tape.going.wait()
    async with script(CLIENTS / "durable" / "read.mjs", place.url.rstrip("/"), tape.run) as reader:
        assert (await reader.line(seconds=PATIENCE))["begun"]
        text: str = (await reader.line(seconds=PATIENCE))["text"]
        return text


async def late_text(place: Place, tape: Tape) -> str:
    """Raw text by plain HTTP, half-way."""
    await tape.late.wait()
    decoder, text = SseDecoder(), ""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{place.url}v1/runs/{tape.run}/events", params={"format": "text"}) as events,
    ):
        async for data in events.content.iter_any():
            text += "".join(block.data for block in decoder.receive_data(data) if block.event == "message")
    return text


WATCHERS: Final[Mapping[str, Watcher]] = {
    "EventSource, cut": event_source,
    "TanStack AI": chat,
    "AG-UI, late": late_agent,
    "AI SDK 7": ai_sdk_chat,
    "AI SDK 5, late": late_ai_sdk_chat,
    "Durable Streams": durable,
    "text, late": late_text,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Place]:
    async with (
        composed() as (_, url),
        Relay("127.0.0.1", int(url.rstrip("/").rpartition(":")[2])) as relay,
        event_sources(f"http://127.0.0.1:{relay.port}/") as sources,
        agents() as clients,
        chatting() as chats,
    ):
        yield Place(url, relay, clients, chats, sources)


class Starter:
    """OpenAI's own SDK, which asks for the generation, and watches it."""

    def __init__(self) -> None:
        self.text = ""
        self._grown = asyncio.Condition()

    async def play(self, chunks: Any) -> str:
        async for chunk in chunks:
            async with self._grown:
                self.text += "".join(choice.delta.content or "" for choice in chunk.choices)
                self._grown.notify_all()
        return self.text

    async def until(self, characters: int) -> None:
        """Waits for so much text."""
        async with self._grown:
            await self._grown.wait_for(lambda: len(self.text) >= characters)


async def test_all_who_watch_one_generation_end_with_the_same_text(place: Place) -> None:
    chat, starter = f"chat-{uuid4()}", Starter()
    async with (
        openai.AsyncOpenAI(base_url=f"{place.url}v1", api_key="none", max_retries=0) as client,
        asyncio.timeout(PATIENCE),
        asyncio.TaskGroup() as group,
    ):
        begun = await client.chat.completions.with_raw_response.create(
            model="simulated",
            messages=[{"role": "user", "content": "Tell it to all."}],
            stream=True,
            extra_body={"tokentape": {"simulated": {"rate": 40, "tokens": 320}, "metadata": {"chat": chat}}},
        )
        tape = Tape(begun.headers["tokentape-run"], chat, asyncio.Event(), asyncio.Event())
        starting = group.create_task(starter.play(begun.parse()))
        await starter.until(10)
        watching = {name: group.create_task(watcher(place, tape)) for name, watcher in WATCHERS.items()}
        tape.going.set()
        await place.sources.page.wait_for_function("seen.native?.text.length > 200")
        place.relay.cut()
        await starter.until(600)
        tape.late.set()
    async with Client(place.url) as client:
        recorded = [item.event async for item in client.watch(f"runs/{tape.run}", merge=False)]
        runs = await client.runs()
    text = "".join(event.data for event in recorded if event.type == "token")
    assert len(re.findall(r"\S+", text)) > 100
    ends = {"OpenAI, the starter": starting.result(), **{name: task.result() for name, task in watching.items()}}
    assert ends == dict.fromkeys(ends, text)
    assert [info.id for info in runs] == [tape.run], "nobody has started a second generation"
