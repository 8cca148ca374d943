"""The console in a real browser, against a real server: what it shows is what is true, and what it does is done."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from browser import PHONE, Visit, visiting
from playwright.async_api import Browser, Locator, Page, expect
from served import Served, composed
from websockets.asyncio.client import connect
from ws_rig import Peer

from tokentape.client import Client
from tokentape.hub.channels import Publish

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One of its own: what it lists is what these tests made."""
    async with Served(tmp_path_factory.mktemp("console") / "tape.db") as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session")
async def client(server: Served) -> AsyncIterator[Client]:
    async with server.client() as client:
        yield client


@asynccontextmanager
async def looking(browser: Browser, url: str, place: str, **options: Any) -> AsyncIterator[Visit]:
    """A visit to this screen that finds nothing to complain of."""
    async with visiting(browser, f"{url}console#{place}", **options) as visit:
        yield visit
        assert visit.problems == []
        assert visit.foreign == []


IS_COLOURED = """() => {
  const canvas = document.querySelector(".chart canvas");
  const pixels = canvas?.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data ?? [];
  for (let at = 0; at < pixels.length; at += 4) if (pixels[at + 2] - pixels[at] > 60) return true;
  return false;
}"""
"""The first chart has a line that is blue."""

NO_STORAGE = """for (const name of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, name, { get() { throw new DOMException("Denied.", "SecurityError"); } });"""


async def ask(server: Served, path: str, **query: str) -> str:
    async with (
        aiohttp.ClientSession(raise_for_status=True) as http,
        http.get(f"{server.url}v1/{path}", params=query) as answer,
    ):
        return await answer.text()


def request(**simulated: Any) -> dict[str, Any]:
    return {
        "model": "simulated",
        "messages": [{"role": "user", "content": "Say something."}],
        "simulated": simulated,
    }


def button(page: Page | Locator, name: str | re.Pattern[str]) -> Locator:
    return page.get_by_role("button", name=name, exact=isinstance(name, str))


async def test_overview_and_runs_show_what_is_true(browser: Browser, server: Served, client: Client) -> None:
    runs = [(await client.start(request(rate=25, tokens=5000, seed=seed))).id for seed in range(3)]
    quick = (await client.start(request(rate=0, tokens=30))).id
    async with looking(browser, server.url, "/") as visit:
        page = visit.page
        known = json.loads(await ask(server, "admin/overview"))
        await expect(page.get_by_text(f"tokentape {known['version']}")).to_be_visible()
        await expect(page.get_by_text(known["instance"])).to_be_visible()
        await expect(page.locator("[data-tile='Live runs']")).to_have_text("3")
        await expect(page.locator("[data-tile='Tokens per second']")).to_have_text(re.compile(r"^[67]\d$|^8[0-5]$"))
        tokens = page.get_by_role("img", name=re.compile(r"^Tokens per second\. tokens: now [5-9]\d, from"))
        await expect(tokens).to_be_visible()
        await expect(tokens.locator("canvas")).to_be_visible()
        await expect(page.locator(".chart canvas")).to_have_count(10)
        # In the colours of the theme, also for those who want nothing to move.
        await page.emulate_media(reduced_motion="reduce")
        await page.reload()
        await page.wait_for_function(IS_COLOURED)

        await page.get_by_role("navigation", name="Screens").get_by_role("link", name="Runs").click()
        await expect(page).to_have_title("Runs · Console · tokentape")
        rows = page.get_by_role("table", name="Runs").locator("[data-key]")
        row = page.locator(f"[data-key={runs[0]}]")
        await expect(row.locator("[data-cell=state]")).to_have_text("running")
        await expect(row.locator("[data-cell=rate]")).to_have_text(re.compile(r"^2\d$"))
        await expect(page.locator(f"[data-key={quick}] [data-cell=tokens]")).to_have_text("30")

        # A filter is part of the address, and so is the order.
        await page.get_by_role("searchbox").fill(quick)
        await expect(rows).to_have_count(1)
        await button(page, re.compile("^Began")).click()
        await page.reload()
        await expect(rows).to_have_count(1)
        await expect(page.get_by_role("searchbox")).to_have_value(quick)
        await expect(page.get_by_role("columnheader", name="Began")).to_have_attribute("aria-sort", "ascending")
        await page.get_by_role("searchbox").fill("")
        await button(page, "Live").click()
        await expect(rows).to_have_count(3)

        # What is paused stands still, whatever happens; then all that live are stopped.
        await button(page, "Pause").click()
        held = await rows.nth(0).locator("[data-cell=tokens]").text_content()
        await client.stop(runs[2])
        await expect(button(page, re.compile("there is news"))).to_be_visible()
        await expect(rows).to_have_count(3)
        assert await rows.nth(0).locator("[data-cell=tokens]").text_content() == held
        await page.get_by_label("Select all that are shown").check()
        await button(page, "Stop 3…").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Reason").fill("enough of it")
        await button(dialog, "Stop 3 runs").click()
        await expect(dialog.get_by_role("heading")).to_have_text("2 stopped, 1 had ended")
        await button(dialog, "Close").click()
        await expect(dialog).to_have_count(0)
        await expect(button(page, "Stop…")).to_be_focused()
        await button(page, re.compile("^Resume")).click()
        await expect(page.get_by_text("No run is like this.")).to_be_visible()
        # What is held does not answer what is asked for next.
        await button(page, "Pause").click()
        await button(page, "Ended").click()
        await expect(page.locator(f"[data-key={quick}]")).to_be_visible()
        await expect(button(page, "Pause")).to_be_visible()
        for run in runs[:2]:
            assert (await client.run(run)).reason == "stopped"
            assert '"detail":"enough of it"' in await ask(server, f"runs/{run}/events")
        await page.go_back()
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        await expect(page.locator("[data-tile='Live runs']")).to_have_text("0")


async def test_a_run_is_replayed_on_its_timeline(browser: Browser, server: Served, client: Client) -> None:
    run = (await client.start(request(rate=60, tokens=60, fault="slow-start:300ms+stall@20:1.2s"))).id
    tape = await server.text(run)
    async with looking(browser, server.url, f"/runs/{run}") as visit:
        page = visit.page
        text = page.locator("[data-part=text]")
        await expect(text).to_have_text(tape, use_inner_text=False)
        assert await text.text_content() == tape
        marks = page.get_by_role("list", name="Marks")
        for name in ("Start", "First token", "Stall", "End"):
            await expect(button(marks, re.compile(f"^{name}"))).to_be_visible()
        head = page.get_by_role("slider", name="Playhead")
        duration = int(await head.get_attribute("aria-valuemax") or 0)
        assert duration > 1500
        at_once = button(page, "At once")
        await expect(at_once).to_have_attribute("aria-pressed", "true")

        # At true speed it takes as long as it took, and ends at the end.
        began = time.monotonic()
        await button(page, "Play").click()
        await expect(at_once).to_have_attribute("aria-pressed", "false")
        await expect(page.locator("[data-part=shown]")).to_contain_text(" of ")
        await expect(at_once).to_have_attribute("aria-pressed", "true")
        assert time.monotonic() - began >= duration / 1000 * 0.9
        assert await text.text_content() == tape

        # Dragged to the middle of the stall there is a part of it, and the events say the same.
        stall = await page.locator(".mark[data-kind=stall]").bounding_box()
        assert stall is not None
        await page.mouse.move(stall["x"] + stall["width"] + 40, stall["y"] + 20)
        await page.mouse.down()
        await page.mouse.move(stall["x"] + stall["width"] / 2, stall["y"] + 20, steps=4)
        await page.mouse.up()
        await expect(page.locator("[data-part=shown]")).to_contain_text("21 of 63 events")
        part = await text.text_content() or ""
        assert tape.startswith(part)
        assert 0 < len(part) < len(tape)
        await expect(page.locator(".event[data-played=false]").first).to_be_visible()
        await page.keyboard.press("Shift+ArrowRight")
        await expect(page.locator("[data-part=shown]")).to_have_text("63 events")
        await page.keyboard.press("Home")
        await expect(text).to_have_text("")
        await page.keyboard.press("Space")
        await expect(button(page, "Pause")).to_be_visible()
        await at_once.click()
        await expect(text).to_have_text(tape)

        # An event in every way. In a format it is what that format's own view sends of it.
        await page.locator(".event", has=page.get_by_text("token", exact=True)).nth(3).click()
        inspector = page.get_by_role("dialog", name="Event")
        cursor = await inspector.locator("[data-cursor]").get_attribute("data-cursor") or ""
        assert f"event={cursor}" in page.url
        recorded = await inspector.locator("[data-part=record]").text_content() or ""
        assert json.loads(recorded) == json.loads(await inspector.locator("[data-part=decoded]").text_content() or "")
        for dialect in ("native", "openai-chat", "anthropic"):
            await inspector.get_by_label("On the wire as").select_option(dialect)
            sent = await ask(server, f"runs/{run}/events", format=dialect, merge="false")
            frame = await inspector.locator("[data-part=frame]").text_content()
            assert frame
            assert frame in sent
        # The address leads to it.
        last = f"{cursor.split('-')[0]}-63"
        await page.goto(f"{server.url}console#/runs/{run}?event={last}")
        await expect(page.locator(f".event[data-cursor='{last}'][aria-selected=true]")).to_be_in_viewport()
        await page.go_back()
        await expect(inspector.locator(f"[data-cursor='{cursor}']")).to_be_visible()
        await button(inspector, "Event after").click()
        await expect(inspector.locator(f"[data-cursor='{cursor}']")).to_have_count(0)
        await page.keyboard.press("Escape")
        await expect(inspector).to_have_count(0)
        # Another one is chosen in the list while one is looked at: Escape is for that as well.
        chosen = page.locator(".event[aria-selected=true]")
        for number in (1, 2):
            await page.locator(".event").nth(number).click()
            await expect(chosen.locator(".number").first).to_have_text(str(number + 1))
        await expect(page.get_by_role("listbox")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(inspector).to_have_count(0)


async def test_a_watcher_who_is_cut_loses_nothing(browser: Browser, server: Served, client: Client) -> None:
    run = (await client.start(request(rate=40, tokens=5000))).id
    events: list[str] = []
    lost: list[Any] = []

    async def watch() -> None:
        async for item in client.watch(f"runs/{run}", merge=False, transport="sse", notify=lost.append):
            if item.event.type != "ready":
                events.append(str(item.cursor))  # noqa: PERF401 - until it is waited for

    watching = asyncio.create_task(watch())
    async with looking(browser, server.url, f"/runs/{run}", size=PHONE) as visit:
        page = visit.page
        watchers = page.get_by_role("table", name="Watchers").locator("[data-key]")
        await expect(watchers).to_have_count(2)
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
        cut = {str(await watchers.nth(number).get_attribute("data-key")) for number in range(2)}
        for name in cut:
            await button(page, f"Disconnect {name}").click()
        # Both are back, as others.
        await expect(watchers.filter(has=page.locator("[data-cell=cut] button"))).to_have_count(2)
        for name in cut:
            await expect(page.locator(f"[data-key={name}]")).to_have_count(0)
        await expect(watchers).to_have_count(2)
        marks = page.get_by_role("list", name="Marks")
        await expect(marks).to_have_text(re.compile(r"Resume.*Resume|Resume ×2"))
        # A finger that scrolls the list takes it from what is new.
        follow = button(page, "Follow")
        await expect(follow).to_have_attribute("aria-pressed", "true")
        listed = page.get_by_role("listbox")
        await listed.evaluate("node => node.scrollIntoView({ block: 'center' })")
        box = await listed.bounding_box()
        assert box is not None
        fingers = await page.context.new_cdp_session(page)
        for move, down in (("touchStart", 0), ("touchMove", 40), ("touchMove", 90)):
            touch = {"x": box["x"] + 80, "y": box["y"] + 60 + down}
            await fingers.send("Input.dispatchTouchEvent", {"type": move, "touchPoints": [touch]})
        await fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        await expect(follow).to_have_attribute("aria-pressed", "false")
        await button(page, "Stop…").click()
        await button(page.get_by_role("dialog"), "Stop this run").click()
        await expect(page.get_by_role("heading", name="1 stopped")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator(".title .badge")).to_have_text("stopped")
        await expect(marks.get_by_text("Stopped")).to_be_visible()
        await asyncio.wait_for(watching, 15)
        assert await page.locator("[data-part=text]").text_content() == await server.text(run) != ""
    assert lost
    assert [int(cursor.split("-")[1]) for cursor in events] == list(range(1, len(events) + 1))


async def test_a_channel_shows_its_past_and_who_is_there(browser: Browser, server: Served, client: Client) -> None:
    lines = [*(f"line {number}" for number in range(120)), HOSTILE]
    await client.publish("rooms/a", [Publish("chat:said", {"text": text}) for text in lines])
    async with connect(f"ws{server.url.removeprefix('http')}v1/ws", subprotocols=["tokentape.v1"]) as ws:  # type: ignore[list-item]
        ada = Peer(ws)
        await ada.ask("presence", stream="rooms/a", action="track", member="ada", data={"name": HOSTILE})
        async with looking(browser, server.url, "/streams/rooms/a") as visit:
            page = visit.page
            members = page.get_by_role("list", name="Members").get_by_role("listitem")
            await expect(members).to_have_text([re.compile(r"^ada.*<img src=x")])
            await ada.ask("presence", stream="rooms/a", action="track", member="bob", data=None)
            await expect(members).to_have_count(2)
            await ada.ask("presence", stream="rooms/a", action="untrack", member="ada")
            await expect(members).to_have_text(["bob"])

            events = page.locator(".event")
            await expect(events.last).to_contain_text("<script>")
            await client.publish("rooms/a", Publish("chat:said", {"text": "news"}))
            await expect(events.last).to_contain_text("news")
            await page.locator(".event[data-cursor]", has_text="<script>").click()
            await expect(page.locator("[data-part=decoded]")).to_contain_text("onerror")
            await page.keyboard.press("Escape")

            await button(page, "History").click()
            await expect(events.first).to_contain_text("line 72")
            await button(page, "Older").click()
            await expect(events.first).to_contain_text("line 22")
            await button(page, "Older").click()
            await expect(events.first).to_contain_text("line 0")
            await expect(button(page, "Older")).to_be_disabled()
            await page.reload()
            await expect(events.first).to_contain_text("line 0")
            await button(page, "Newer").click()
            await expect(events.first).to_contain_text("line 22")

            await client.publish("rooms/a", Publish("message", {"role": "user", "content": HOSTILE}))
            await button(page, "Messages").click()
            await expect(page.get_by_role("list", name="Messages").locator(".content")).to_have_text([HOSTILE])

            await page.get_by_role("navigation", name="Screens").get_by_role("link", name="Streams").click()
            row = page.locator("[data-key='rooms/a']")
            await expect(row.locator("[data-cell=kind]")).to_have_text("channel")
            await expect(row.locator("[data-cell=events]")).to_have_text("123")
            await row.get_by_role("link").click()
            await expect(page).to_have_title("rooms/a · Console · tokentape")
            await expect(page.locator("main :is(img, script, iframe)")).to_have_count(0)


async def test_what_a_model_says_is_shown_as_text(browser: Browser) -> None:
    async def hostile() -> AsyncIterator[str | dict[str, object]]:
        yield HOSTILE
        yield {"type": "reasoning", "data": HOSTILE}
        yield {"type": "tool_call", "data": {"id": "c1", "name": HOSTILE, "arguments": HOSTILE}}

    async with composed() as (tape, url):
        run = await tape.record(hostile(), metadata={HOSTILE: HOSTILE, "order": 20261122.5})
        async with looking(browser, url, f"/runs/{run.id}") as visit:
            page = visit.page
            assert await run.text() == HOSTILE
            await expect(page.locator("[data-part=text]")).to_have_text(HOSTILE)
            await expect(page.locator(".tools")).to_have_text(f"{HOSTILE}({HOSTILE})")
            await expect(page.get_by_label("Metadata").get_by_role("term")).to_have_text([HOSTILE, "order"])
            await expect(page.get_by_label("Metadata").get_by_role("definition")).to_have_text([HOSTILE, "20261122.5"])
            await page.locator(".event").nth(1).click()
            await expect(page.locator("[data-part=frame]")).to_contain_text("onerror")
            await expect(page.locator("main :is(img, script, iframe)")).to_have_count(0)
            await expect(page).to_have_title(f"{run.id} · Console · tokentape")


async def test_it_says_what_keeps_it_from_the_server(browser: Browser, own_server: Served) -> None:
    async def off() -> None:
        async with composed(toml=b'[admin]\nenabled = "off"') as (_, url), visiting(browser, f"{url}console") as visit:
            await expect(visit.page.get_by_role("heading", name="The admin API is off")).to_be_visible()
            await expect(visit.page.locator("pre")).to_contain_text('enabled = "on"')
            # A browser that may keep nothing for us.
            await visit.page.add_init_script(NO_STORAGE)
            await visit.page.reload()
            await expect(visit.page.get_by_role("heading", name="The admin API is off")).to_be_visible()

    async def key() -> None:
        toml = b'[auth]\napi_keys = ["a-key-of-sixteen-characters"]'
        async with composed(toml=toml) as (_, url), visiting(browser, f"{url}console") as visit:
            page = visit.page
            dialog = page.get_by_role("dialog")
            # It is not away while it waits for a key.
            away = page.get_by_text("The server does not answer")
            await page.route("**/v1/admin/**", lambda route: route.abort())
            await page.reload()
            await expect(away).to_be_visible()
            await page.unroute_all()
            await expect(dialog).to_be_visible()
            await expect(away).to_have_count(0)
            await page.keyboard.press("Escape")
            await button(page, "Enter a key").click()
            # One that is refused is forgotten by whoever gives no other.
            await dialog.get_by_label("Key").fill("another-key-of-as-many-characters")
            await button(dialog, "Use it").click()
            await expect(dialog.get_by_role("heading")).to_have_text("The server refused this key")
            await page.keyboard.press("Escape")
            await button(page, "Enter a key").click()
            await expect(dialog.get_by_role("heading")).to_have_text("This server wants a key")
            await dialog.get_by_label("Key").fill("a-key-of-sixteen-characters")
            await button(dialog, "Use it").click()
            await expect(page.locator("[data-tile='Live runs']")).to_have_text("0")
            await expect(page.get_by_role("img", name=re.compile("Memory. resident: now"))).to_be_visible()

    async def gone() -> None:
        async with visiting(browser, f"{own_server.url}console") as visit:
            page = visit.page
            await expect(page.locator(".bar .badge")).to_have_text("Live")
            async with own_server.client() as client:
                await client.publish("rooms/a", Publish("chat:said", {"text": "from before"}))
            await own_server.kill()
            await expect(page.get_by_text("The server does not answer")).to_be_visible()
            await expect(page.locator(".bar .badge")).to_have_text("Waiting")
            await own_server.start()
            await expect(page.get_by_text("The server does not answer")).to_have_count(0)
            await expect(page.locator(".bar .badge")).to_have_text("Live")
            # What is asked for once comes as well when the server is back.
            await page.goto(f"{own_server.url}console#/streams/rooms/a")
            await expect(page.get_by_text("from before")).to_be_visible()
            await own_server.kill()
            await button(page, "History").click()
            await expect(page.get_by_text("Nothing was read.")).to_be_visible()
            await own_server.start()
            await expect(page.get_by_text("from before")).to_be_visible()
            # An address that was spoilt has a way out.
            await page.goto(f"{own_server.url}console#/streams/rooms/a?view=history&before=spoilt")
            await page.reload()
            await expect(page.get_by_text("'spoilt' is not a cursor")).to_be_visible()
            await button(page, "Newest").click()
            await expect(page.get_by_text("from before")).to_be_visible()

    await asyncio.gather(off(), key(), gone())
