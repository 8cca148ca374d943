"""The playground's chat in a real browser, against a real server."""

from __future__ import annotations

import re
from typing import Final

import pytest
from browser import PHONE, Playground, Visit, visiting
from playwright.async_api import Browser, Page, Route, expect
from served import Served, composed

from tokentape.cli.relay import Relay
from tokentape.hub.channels import Publish

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOUCHED: Final = """() => new Promise((done) => {
  const touched = { live: 0, other: 0 };
  const last = [...document.querySelectorAll(".message")].at(-1);
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const message = (target.nodeType === 1 ? target : target.parentElement)?.closest(".message");
      if (message) touched[message === last ? "live" : "other"] += 1;
    }
    if (touched.live > 30) done(touched);
  }).observe(document.querySelector(".rows"), { subtree: true, childList: true, characterData: true });
})"""
KEYS: Final = b'[auth]\napi_keys = ["the-right-key"]\n'


async def edit_last(playground: Playground) -> None:
    """Edits the last message with the keyboard, once nothing is under way."""
    await expect(playground.page.locator(".message.user").last.get_by_role("button", name="Edit")).to_be_enabled()
    await playground.field.press("ArrowUp")


async def test_a_chat(playground: Playground, server: Served) -> None:
    page = playground.page
    await expect(page.get_by_text("Reload in mid-answer")).to_be_visible()
    await playground.simulate(rate=0, tokens=200)
    await playground.say("How do tides work?")
    first = await playground.ended()
    assert await playground.copied() == await server.text(first)
    await expect(playground.last.locator(".figures")).to_contain_text("200 tokens")
    await expect(playground.last.locator(".figures")).to_contain_text("first after")
    await expect(page.get_by_role("heading", name="How do tides work?")).to_be_visible()
    await expect(page.locator("[data-part=announcer]")).to_contain_text("The answer is complete.")

    await playground.last.get_by_role("button", name="Regenerate").click()
    await expect(playground.last).not_to_have_attribute("data-answer", first)
    await playground.ended()
    await expect(playground.answers).to_have_count(1)

    # A long text in the field is kept on several lines, and sent as it was.
    await playground.field.fill("One line")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("and another")
    await page.keyboard.press("Enter")
    await expect(playground.questions.last).to_have_text("One line\nand another")
    await playground.ended()

    await edit_last(playground)
    editor = page.get_by_label("Your message")
    await expect(editor).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(playground.field).to_be_focused()
    await page.locator(".message.user").last.get_by_role("button", name="Edit").press("Enter")
    await page.keyboard.press("Escape")
    await expect(page.locator(".message.user").last.get_by_role("button", name="Edit")).to_be_focused()
    await edit_last(playground)
    await editor.fill("Something else")
    await page.keyboard.press("Enter")
    await expect(playground.questions.last).to_have_text("Something else")
    await expect(playground.field).to_be_focused()
    await playground.ended()
    await expect(playground.questions).to_have_count(2)

    # A number may be taken out before the next one is written, and may have a fraction.
    await page.get_by_title("How the simulated model answers").click()
    await page.get_by_label("Tokens per second").press("End")
    for key in ("Backspace", "2", ".", "5"):
        await page.keyboard.press(key)
    await expect(page.get_by_label("Tokens per second")).to_have_value("2.5")
    await page.keyboard.press("Escape")
    await expect(page.get_by_title("How the simulated model answers")).to_contain_text("2.5/s")

    chat = playground.chat
    await page.get_by_role("button", name="New", exact=True).click()
    await expect(page.get_by_text("Reload in mid-answer")).to_be_visible()
    assert playground.chat != chat
    await page.get_by_role("button", name="Recent").click()
    await page.get_by_role("link", name="How do tides work?").click()
    await expect(playground.questions).to_have_count(2)
    await page.get_by_role("button", name="Clear").click()
    await playground.field.focus()  # which is a no
    await page.get_by_role("button", name="Clear", exact=True).click()
    await expect(playground.questions).to_have_count(2)
    await page.get_by_role("button", name="Clear for all?").click()
    await expect(page.get_by_text("Reload in mid-answer")).to_be_visible()

    await expect(playground.field).to_be_focused()  # which is where a letter is a letter
    await page.get_by_role("button", name="Watchers").press("?")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()


async def test_a_reload_in_mid_answer_goes_on(playground: Playground, server: Served) -> None:
    await playground.simulate(rate=60, tokens=150)
    await playground.say()
    await playground.some()
    await playground.page.reload()
    await expect(playground.last).to_have_attribute("data-state", "running")
    run = await playground.ended()
    assert await playground.copied() == await server.text(run)
    await expect(playground.questions).to_have_count(1)
    async with server.client() as client:
        assert [info.id for info in await client.runs() if info.stream == playground.chat] == [run]


async def test_a_second_tab_joins_and_stops(playground: Playground, server: Served) -> None:
    await playground.simulate(rate=60, tokens=5000)
    await playground.say()
    await playground.some()
    page = await playground.page.context.new_page()
    await page.goto(playground.page.url)
    other = Playground(playground.visit, page)
    await other.some()
    await expect(other.questions).to_have_text(["Say something long."])
    await page.keyboard.press("Escape")
    run = await other.ended("stopped")
    assert await playground.ended("stopped") == run
    await expect(playground.last).to_contain_text("Stopped")
    await playground.page.bring_to_front()
    here = await playground.copied()
    await page.bring_to_front()
    assert here == await other.copied() == await server.text(run)
    await page.close()


async def test_a_message_interrupts(playground: Playground, server: Served) -> None:
    await playground.simulate(rate=0, tokens=60)
    await playground.say("The first")
    await playground.ended()
    await playground.simulate(rate=60, tokens=5000)
    await playground.say("The second")
    await playground.some()
    # The request is asked for once, however much comes meanwhile.
    run = await playground.last.get_attribute("data-answer") or ""
    await playground.last.get_by_role("button", name="Code", exact=True).click()
    await expect(playground.page.get_by_role("dialog")).to_contain_text("curl -sN")
    # What is finished is left alone, while the live message changes.
    assert (await playground.page.evaluate(TOUCHED))["other"] == 0
    assert [url for url in playground.visit.requests if url.endswith(f"/v1/runs/{run}")] == [
        f"{server.url}v1/runs/{run}"
    ]
    await playground.page.keyboard.press("Escape")
    await playground.simulate(rate=0, tokens=30)
    await playground.field.fill("The third")
    await playground.page.get_by_role("button", name="Interrupt").click()
    await playground.ended()
    await expect(playground.answers).to_have_count(3)
    await expect(playground.answers.nth(1)).to_have_attribute("data-state", "stopped")


async def test_offline_for_five_seconds(browser: Browser, server: Served) -> None:
    async with Relay("127.0.0.1", server.port) as relay, visiting(browser, f"http://127.0.0.1:{relay.port}/") as visit:
        playground = Playground(visit)
        await playground.simulate(rate=50, tokens=280)
        await playground.say()
        await playground.some()
        run = await playground.last.get_attribute("data-answer") or ""
        await visit.page.context.set_offline(offline=True)
        relay.cut()
        await expect(playground.connection).to_have_text("Offline")
        # The answer goes on without anybody: it takes more than five seconds from its first words.
        async with server.client() as client, client.watch(f"runs/{run}") as watch:
            _ = [item async for item in watch]
        await expect(playground.last).to_have_attribute("data-state", "running")
        await visit.page.context.set_offline(offline=False)
        assert await playground.ended() == run
        assert await playground.copied() == await server.text(run)
        await expect(playground.connection).to_have_text("Live")
        assert visit.foreign == []


async def test_a_killed_server(browser: Browser, own_server: Served) -> None:
    async with visiting(browser, own_server.url) as visit:
        playground = Playground(visit)
        await playground.simulate(rate=60, tokens=5000)
        await playground.say()
        await playground.some()
        await own_server.kill()
        await expect(playground.connection).to_have_text("Reconnecting")
        await own_server.start()
        await playground.ended("interrupted")
        await expect(playground.last).to_contain_text("Interrupted: the server ended in mid-answer")
        assert await playground.copied() != ""
        await playground.simulate(rate=0, tokens=40)
        await playground.last.get_by_role("button", name="Retry").click()
        run = await playground.ended()
        assert await playground.copied() == await own_server.text(run)
        await expect(playground.answers).to_have_count(1)


async def test_a_failed_answer_says_why_and_what_to_do(playground: Playground, server: Served) -> None:
    await playground.simulate(rate=0, tokens=100, fault="error@30")
    await playground.say()
    run = await playground.ended("error")
    await expect(playground.last).to_contain_text("provider_overloaded")
    await expect(playground.last).to_contain_text("Retry, or choose another one.")
    assert await playground.copied() == await server.text(run) != ""
    # A fault that there is not is refused, with a list of those that there are; what was typed is not lost.
    await playground.simulate(rate=0, tokens=20, fault="nonsense")
    await playground.field.fill("Once more")
    await playground.page.keyboard.press("Enter")
    await expect(playground.trouble).to_contain_text("'nonsense' is not a fault")
    # It is on the tape, so it is not in the field as well; and it is seen, though the reason took some of the room.
    await expect(playground.questions.last).to_have_text("Once more")
    await expect(playground.questions.last).to_be_in_viewport()
    await expect(playground.field).to_have_value("")
    playground.visit.problems.clear()  # the browser reports the 400
    await playground.simulate(rate=0, tokens=20)
    await playground.page.get_by_role("button", name="Try again").click()
    await playground.ended()
    await expect(playground.questions).to_have_count(2)

    # An edit that the server refuses is not lost: it can be tried again as it was.
    async def refuse(route: Route) -> None:
        await route.fulfill(status=400, json={"code": "bad_request", "detail": "Not now"})

    await playground.page.route("**/v1/channels/**", refuse)
    await edit_last(playground)
    await playground.page.get_by_label("Your message").fill("Said better")
    await playground.page.keyboard.press("Enter")
    await expect(playground.trouble).to_contain_text("Not now.")
    playground.visit.problems.clear()
    await playground.page.unroute("**/v1/channels/**")
    await playground.page.get_by_role("button", name="Try again").click()
    await expect(playground.questions.last).to_have_text("Said better")
    await playground.ended()
    await expect(playground.questions).to_have_count(2)


async def test_an_unknown_model_is_said_to_be_unknown(browser: Browser, server: Served) -> None:
    async with visiting(browser, server.url) as visit:

        async def models(route: Route) -> None:
            await route.fulfill(
                json={"models": [{"name": "nope", "provider": "openai", "model": "nope", "default": True}]}
            )

        await visit.page.route("**/v1/models", models)
        await visit.page.reload()
        playground = Playground(visit)
        await playground.field.fill("Hello")
        await visit.page.keyboard.press("Enter")
        await expect(playground.trouble).to_contain_text("There is no model 'nope'")
        await expect(playground.trouble).to_contain_text("Choose another model")


async def test_a_thousand_messages(playground: Playground, server: Served) -> None:
    page = playground.page
    turn = "Turn {number}\n\nSome **words**, and a list:\n\n- one\n- two\n\n```python\nprint({number})\n```"
    events = [
        Publish(type="message", data={"role": role, "content": turn.format(number=number)})
        for number in range(500)
        for role in ("user", "assistant")
    ]
    async with server.client() as client:
        await client.publish("chats/thousand", events)
    await page.goto(f"{server.url}#chat=chats/thousand")
    rows = page.locator(".row")
    await expect(rows.last).to_contain_text("Turn 499")
    await expect(rows.last).to_be_in_viewport()
    assert await rows.count() < 40
    await expect(page.get_by_role("button", name="To the newest")).to_be_hidden()
    # The last message is the one that is edited, wherever one looks, and what was typed of it stays.
    await page.get_by_role("log").press("Home")
    await expect(rows.first).to_contain_text("Turn 0")
    await playground.field.press("ArrowUp")
    editor = page.get_by_label("Your message")
    await expect(editor).to_have_value(re.compile("^Turn 499"))
    await editor.fill("Half written")
    await page.get_by_role("log").press("Home")
    await expect(rows.first).to_contain_text("Turn 0")
    await expect(editor).to_have_count(0)
    await page.get_by_role("button", name="To the newest").click()
    await expect(editor).to_have_value("Half written")
    await editor.press("Escape")
    # By a wheel, to the beginning: what is in sight is there, and nothing jumps back.
    scroller = page.get_by_role("log")
    await scroller.hover()
    heights = []
    for _ in range(8):
        await page.mouse.wheel(0, -3000)
        heights.append(
            await scroller.evaluate("(it) => new Promise((done) => requestAnimationFrame(() => done(it.scrollTop)))")
        )
    assert heights == sorted(heights, reverse=True)
    assert await rows.count() < 40
    await scroller.press("Home")
    await expect(rows.first).to_contain_text("Turn 0")
    await expect(rows.first).to_be_in_viewport()
    await page.get_by_role("button", name="To the newest").click()
    await expect(rows.last).to_contain_text("Turn 499")
    await playground.simulate(rate=0, tokens=60)
    await playground.say()
    await playground.ended()
    await expect(playground.last.locator(".figures")).to_be_in_viewport()


async def test_a_blocked_websocket(visit: Visit, server: Served) -> None:
    await visit.page.context.route_web_socket(re.compile(r"/v1/ws"), lambda socket: socket.close())
    await visit.page.reload()
    playground = Playground(visit)
    await playground.simulate(rate=60, tokens=60)
    await playground.say()
    run = await playground.ended()
    assert await playground.copied() == await server.text(run)
    await expect(playground.connection).to_have_attribute("title", "Event streams")


async def test_a_server_that_wants_a_key(browser: Browser) -> None:
    async with composed(toml=KEYS) as (_, url), visiting(browser, url) as visit:
        page, playground = visit.page, Playground(visit)
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("This server wants a key")
        await page.get_by_label("Key", exact=True).fill("a-wrong-key")
        await page.keyboard.press("Enter")
        await expect(dialog).to_contain_text("The server refused this key")
        await page.get_by_label("Key", exact=True).fill("the-right-key")
        await page.keyboard.press("Enter")
        await expect(dialog).to_be_hidden()
        await playground.simulate(rate=0, tokens=30)
        await playground.say()
        await playground.ended()
        # It is kept for the tab.
        await page.reload()
        await playground.ended()
        await playground.last.get_by_role("button", name="Code", exact=True).click()
        await expect(page.get_by_role("dialog")).to_contain_text("Bearer $TOKENTAPE_KEY")
        assert visit.foreign == []


async def scrolls_sideways(page: Page) -> bool:
    """Also when the page was made wider than the screen, as phones do for what does not fit."""
    return int(await page.evaluate("Math.max(document.documentElement.scrollWidth, innerWidth)")) > PHONE[0]


async def test_a_phone_needs_no_sideways_scrolling(browser: Browser, server: Served) -> None:
    async with visiting(browser, server.url, size=PHONE) as visit:
        playground = Playground(visit)
        assert not await scrolls_sideways(visit.page)
        await playground.simulate(rate=0, tokens=300)
        assert not await scrolls_sideways(visit.page)
        await playground.say("x" * 300)
        await playground.ended()
        assert not await scrolls_sideways(visit.page)
        await playground.last.get_by_role("button", name="Code", exact=True).click()
        await expect(visit.page.get_by_role("dialog")).to_contain_text("curl")
        assert not await scrolls_sideways(visit.page)
        assert visit.problems == []
