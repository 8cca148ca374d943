"""Chromium's own `EventSource` in each of the small conventions: it resumes, and it stops (wire-formats §1, §2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from client_examples import EXAMPLES, MAX_CHANGED, changed
from event_sources import EventSources, event_sources
from served import composed

from tokentape.cli.relay import Relay
from tokentape.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONVENTIONS = {"native": "native", "token": "native", "text": "text", "content": "content", "chunk": "chunk"}
"""Each with the format that it reads."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[tuple[str, Relay, EventSources]]:
    async with (
        composed() as (_, url),
        Relay("127.0.0.1", int(url.rstrip("/").rpartition(":")[2])) as relay,
        event_sources(f"http://127.0.0.1:{relay.port}/") as sources,
    ):
        yield url, relay, sources


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def free_connections(place: tuple[str, Relay, EventSources]) -> AsyncIterator[None]:
    yield
    await place[2].close()


async def start(url: str, **simulated: object) -> str:
    async with Client(url) as client:
        run = await client.start({"messages": [{"role": "user", "content": "Go."}], "simulated": simulated})
    return run.id


async def text_of(url: str, run: str) -> str:
    async with Client(url) as client:
        return "".join([item.event.data async for item in client.watch(f"runs/{run}") if item.event.type == "token"])


async def test_each_reads_on_after_a_cut_and_stops_at_204(place: tuple[str, Relay, EventSources]) -> None:
    url, relay, sources = place
    run = await start(url, rate=30, tokens=200, fault="line-ends")
    for name, wire in CONVENTIONS.items():
        await sources.open(name, name, f"/v1/runs/{run}/events?format={wire}&reader={name}")
    await asyncio.gather(*(sources.until(name, "text.length > 20") for name in CONVENTIONS))
    assert relay.cut() >= len(CONVENTIONS)
    ends = await asyncio.gather(*(sources.until(name, "closed") for name in CONVENTIONS))
    told = dict(zip(CONVENTIONS, ends, strict=True))
    text = await text_of(url, run)
    as_lines = text.replace("\r\n", "\n").replace("\r", "\n")
    for name, end in told.items():
        assert end["text"] == (as_lines if name == "text" else text), name
        assert (end["failed"], end["errors"], end["ends"]) == (None, [], 1), name
        assert end["opens"] == 2, name
        [statuses] = [found for address, found in sources.statuses.items() if address.endswith(f"reader={name}")]
        # Whoever closes at the end is not told 204.
        assert statuses == ([200, 200] if name == "token" else [200, 200, 204]), name


async def test_a_failure_is_told_in_each(place: tuple[str, Relay, EventSources]) -> None:
    url, _, sources = place
    run = await start(url, rate=0, tokens=20, fault="error@5")
    for name, wire in CONVENTIONS.items():
        await sources.open(f"failed {name}", name, f"/v1/runs/{run}/events?format={wire}")
    for name in CONVENTIONS:
        if name != "native":  # which leaves it to the page
            end = await sources.until(f"failed {name}", "failed !== null && closed")
            assert end["failed"] == "simulated failed during the answer, as it was told to", name
            assert end["errors"] == [], name


async def test_a_stop_ends_it_and_a_reload_shows_the_same(place: tuple[str, Relay, EventSources]) -> None:
    url, _, sources = place
    run = await start(url, rate=50, tokens=5000)
    await sources.open("first", "native", f"/v1/runs/{run}/events")
    await sources.until("first", "text.length > 20")
    async with Client(url) as client:
        await client.stop(run)
    first = await sources.until("first", "ends === 1 && closed")
    await sources.open("reloaded", "native", f"/v1/runs/{run}/events")
    reloaded = await sources.until("reloaded", "ends === 1 && closed")
    assert first["text"] == reloaded["text"] == await text_of(url, run)


async def test_tools_are_called(place: tuple[str, Relay, EventSources]) -> None:
    url, _, sources = place
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    asked = {"messages": [{"role": "user", "content": "Go."}], "tools": [tool], "simulated": {"rate": 0, "tool": True}}
    async with Client(url) as client:
        run = await client.start(asked)
    await sources.open("tools", "native", f"/v1/runs/{run.id}/events")
    assert (await sources.until("tools", "ends === 1 && closed"))["calls"] == ["look"]


async def test_a_channel_is_heard_as_named_events_by_two(place: tuple[str, Relay, EventSources]) -> None:
    url, relay, sources = place
    for name in ("one", "other"):
        await sources.open(name, "channel", "/v1/channels/room/events?format=channel")
        await sources.until(name, "opens === 1")
    async with Client(url) as client:
        asked = {"messages": [{"role": "user", "content": "Go."}], "simulated": {"rate": 100, "tokens": 150}}
        run = await client.start({**asked, "channel": "room"})
        await sources.until("one", "text.length > 30")
        assert relay.cut() >= 2
        ends = [await sources.until(name, "ends === 1") for name in ("one", "other")]
    text = await text_of(url, run.id)
    assert [end["text"] for end in ends] == [text, text]
    assert [end["closed"] for end in ends] == [False, False]


async def test_few_lines_change() -> None:
    assert 0 < changed("event_source", "html") <= MAX_CHANGED


async def test_the_example_goes_on_after_a_cut(place: tuple[str, Relay, EventSources]) -> None:
    url, relay, sources = place
    async with Client(url) as client:
        before = {run.id for run in await client.runs()}
        page = await sources.visit("example", (EXAMPLES / "event_source" / "after.html").read_text())
        await page.wait_for_function("answer.textContent.length > 50")
        assert relay.cut() >= 1
        [run] = {run.id for run in await client.runs()} - before
        text = await text_of(url, run)
        await page.wait_for_function("(length) => answer.textContent.length >= length", arg=len(text))
        assert await page.locator("#answer").text_content() == text
        await page.close()
