"""One tape, all dialects: one generation, watched at once by clients of every kind, ends with the same text for all.

A watcher is an async function from what it needs to its text at the end, in `WATCHERS`. Some come late, some are cut.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, NamedTuple
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from agents import Agents, Errand, agents
from event_sources import EventSources, event_sources
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
    sources: EventSources

    @property
    def cuttable(self) -> str:
        """The same server, by a way that is cut once while all are watching."""
        return f"http://127.0.0.1:{self.relay.port}/"


class Tape(NamedTuple):
    """The generation. `going` is set when it has begun to speak, `late` when half of it has been said."""

    run: str
    thread: str
    name: str
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
    end = await place.agents.run("join", url=f"{place.url}ag-ui", runId=tape.name)
    text: str = end["text"]
    return text


async def late_agent(place: Place, tape: Tape) -> str:
    """AG-UI, half-way."""
    await tape.late.wait()
    return said(await place.agents.run("agent", url=f"{place.url}ag-ui", threadId=tape.thread, runId=tape.name))


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
    "text, late": late_text,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Place]:
    async with (
        composed() as (_, url),
        Relay("127.0.0.1", int(url.rstrip("/").rpartition(":")[2])) as relay,
        event_sources(f"http://127.0.0.1:{relay.port}/") as sources,
        agents() as clients,
    ):
        yield Place(url, relay, clients, sources)


async def start(place: Place) -> tuple[Errand, Tape]:
    """Started by an AG-UI agent, which watches, too."""
    thread, name = f"t-{uuid4()}", f"run-{uuid4()}"
    starter = await place.agents.begin(
        "agent",
        url=f"{place.url}ag-ui",
        threadId=thread,
        runId=name,
        messages=[{"id": "u", "role": "user", "content": "Tell it to all."}],
        forwardedProps={"tokentape": {"simulated": {"rate": 40, "tokens": 320, "reasoning": 10}}},
    )
    await starter.until(10)
    async with Client(place.url) as client:
        [info] = await client.runs(state="running")
    return starter, Tape(info.id, thread, name, asyncio.Event(), asyncio.Event())


async def test_all_who_watch_one_generation_end_with_the_same_text(place: Place) -> None:
    starter, tape = await start(place)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        watching = {name: group.create_task(watcher(place, tape)) for name, watcher in WATCHERS.items()}
        tape.going.set()
        await place.sources.page.wait_for_function("seen.native?.text.length > 200")
        place.relay.cut()
        await starter.until(600)
        tape.late.set()
        whole = said(await starter.done())
    async with Client(place.url) as client:
        recorded = [item.event async for item in client.watch(f"runs/{tape.run}", merge=False)]
    text = "".join(event.data for event in recorded if event.type == "token")
    assert len(re.findall(r"\S+", text)) > 100
    assert {"AG-UI, the starter": whole, **{name: task.result() for name, task in watching.items()}} == dict.fromkeys(
        ["AG-UI, the starter", *WATCHERS], text
    )
    async with Client(place.url) as client:
        assert [info.id for info in await client.runs()] == [tape.run]
