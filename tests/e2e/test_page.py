"""The first page in a real browser, against a real server."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest
from browser import PHONE, Playground, visiting
from playwright.async_api import Browser, Page, expect
from served import Served

from tokentape.cli.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOME = re.compile(r"-\d{2,}$")
"""A cursor past the first few events."""


async def test_two_watchers_show_what_the_tape_holds(playground: Playground, server: Served) -> None:
    run = await playground.send(rate=0, tokens=200)
    await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
    tape = await server.text(run)
    assert len(tape) > 200
    assert await playground.text("sse") == await playground.text("ws") == tape
    digest = sha256(tape.encode()).hexdigest()[:12]
    for kind in ("sse", "ws", "tape"):
        await expect(playground.cell(kind, "hash")).to_have_text(digest)
    await expect(playground.verdict).to_contain_text("0 lost, 0 repeated")
    await expect(playground.state).to_have_text("done: stop")


@pytest.mark.parametrize(("cut", "other"), [("sse", "ws"), ("ws", "sse")])
async def test_a_cut_pane_resumes_from_its_cursor(playground: Playground, server: Served, cut: str, other: str) -> None:
    run = await playground.send(rate=100, tokens=300, cut_seconds=1)
    await expect(playground.part(cut, "cursor")).to_have_text(SOME)
    await playground.part(cut, "action").click()
    await expect(playground.pane(cut)).to_have_attribute("data-state", "cut")
    await expect(playground.part(cut, "gap")).to_be_visible()
    await expect(playground.part(cut, "behind")).to_have_text(re.compile(r"\d\d events behind"))
    await expect(playground.pane(other)).to_have_attribute("data-state", "live")
    at = await playground.part(cut, "cursor").text_content()
    await expect(playground.part(cut, "log")).to_contain_text(f"resumed from {at}")
    await expect(playground.part(cut, "gap")).to_be_hidden()
    await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
    assert await playground.text(cut) == await playground.text(other) == await server.text(run)
    # What it missed came merged, so it got the same text in fewer events, and shows which part that was.
    seen = {kind: int(await playground.cell(kind, "events").text_content() or 0) for kind in (cut, other)}
    assert seen[cut] < seen[other]
    await expect(playground.cell(cut, "connections")).to_have_text("2")
    await expect(playground.pane(cut).locator(".missed")).to_have_attribute("data-from", f"resumed from {at}")


async def test_who_joins_late_gets_everything(playground: Playground, server: Served) -> None:
    run = await playground.send(rate=100, tokens=150)
    await expect(playground.part("ws", "cursor")).to_have_text(SOME)
    await playground.join_button.click()
    await expect(playground.part("late", "log")).to_contain_text(re.compile(r"joined, \d+ merged"))
    await expect(playground.verdict).to_contain_text("3 watchers")
    await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
    assert await playground.text("late") == await server.text(run)
    await playground.part("late", "action").click()
    await expect(playground.pane("late")).to_have_count(0)
    await expect(playground.join_button).to_be_focused()


async def test_escape_stops_the_run_and_keeps_its_text(playground: Playground, server: Served) -> None:
    run = await playground.send(rate=50, tokens=5000)
    await expect(playground.part("ws", "cursor")).to_have_text(SOME)
    await expect(playground.send_button).to_be_disabled()
    await playground.page.keyboard.press("Escape")
    await expect(playground.state).to_have_text("done: stopped")
    await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
    assert await playground.text("sse") == await server.text(run) != ""
    await expect(playground.send_button).to_be_enabled()


async def test_a_reload_in_mid_answer_goes_on(playground: Playground, server: Served) -> None:
    run = await playground.send(rate=50, tokens=5000)
    await expect(playground.part("ws", "cursor")).to_have_text(SOME)
    await playground.page.reload()
    await expect(playground.page.get_by_role("heading", name="Say something long.")).to_be_visible()
    await expect(playground.state).to_have_text("running")
    before = await playground.part("ws", "cursor").text_content() or ""
    await expect(playground.part("ws", "cursor")).not_to_have_text(before)
    await playground.page.keyboard.press("Escape")
    await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
    assert await playground.text("sse") == await playground.text("ws") == await server.text(run)


async def test_back_returns_to_the_run_before(playground: Playground) -> None:
    first = await playground.send(rate=0, tokens=20)
    await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
    await playground.page.keyboard.press("Control+Enter")
    await expect(playground.page.locator("[data-run=id]")).not_to_have_text(first)
    await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
    await playground.page.go_back()
    await expect(playground.page.locator("[data-run=id]")).to_have_text(first)
    await playground.page.go_back()
    await expect(playground.page.locator("#run")).to_be_hidden()


async def test_a_reset_network_costs_nothing(browser: Browser, server: Served) -> None:
    async with (
        Relay("127.0.0.1", server.port) as relay,
        visiting(browser, f"http://127.0.0.1:{relay.port}/") as visit,
    ):
        playground = Playground(visit)
        run = await playground.send(rate=40, tokens=160)
        await expect(playground.part("sse", "cursor")).to_have_text(SOME)
        relay.cut()
        for kind in ("sse", "ws"):
            await expect(playground.part(kind, "log")).to_contain_text("trying again")
        await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
        assert await playground.text("sse") == await playground.text("ws") == await server.text(run)
        await expect(playground.part("sse", "log")).to_contain_text("resumed from")


async def test_a_killed_server_is_waited_for(browser: Browser, own_server: Served) -> None:
    async with visiting(browser, own_server.url) as visit:
        playground = Playground(visit)
        await playground.send(rate=50, tokens=5000)
        await expect(playground.part("ws", "cursor")).to_have_text(SOME)
        await own_server.kill()
        for kind in ("sse", "ws"):
            await expect(playground.part(kind, "state")).to_have_text("retrying…")
            await expect(playground.part(kind, "gap")).to_be_visible()
        await own_server.start()
        await expect(playground.state).to_have_text("done: interrupted")
        await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
        assert await playground.text("sse") == await playground.text("ws") != ""


async def test_a_prompt_survives_a_server_that_is_away(browser: Browser, own_server: Served) -> None:
    async with visiting(browser, own_server.url) as visit:
        playground = Playground(visit)
        await expect(playground.send_button).to_be_enabled()
        await own_server.kill()
        await playground.page.keyboard.press("Control+Enter")
        await expect(playground.notice).to_contain_text("The server does not answer. Trying again in")
        await own_server.start()
        await expect(playground.verdict).to_have_attribute("data-verdict", "same so far")
        async with own_server.client() as client:
            assert len(await client.runs()) == 1


async def test_an_unknown_run_is_said_to_be_unknown(playground: Playground, server: Served) -> None:
    await playground.page.goto(f"{server.url}#r_unknown")
    await expect(playground.notice).to_contain_text("There is no run 'r_unknown'")
    playground.visit.problems.clear()  # the browser reports the 404


async def test_a_refused_request_says_why(playground: Playground) -> None:
    await expect(playground.send_button).to_be_enabled()
    await playground.page.get_by_role("combobox", name="Model").evaluate(
        "(node) => { node.value = node.options[0].value = 'nope'; }"
    )
    await playground.page.keyboard.press("Control+Enter")
    await expect(playground.notice).to_contain_text("There is no model 'nope'")
    await expect(playground.send_button).to_be_enabled()
    playground.visit.problems.clear()  # the browser reports the 404


async def test_a_failed_run_keeps_its_text_and_says_why(playground: Playground, server: Served) -> None:
    run = await playground.send(rate=0, tokens=100, fault="error@30")
    await expect(playground.state).to_have_text("done: error")
    await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
    assert await playground.text("sse") == await server.text(run) != ""
    for kind in ("sse", "ws"):
        await expect(playground.part(kind, "error")).to_contain_text("provider_")
    await expect(playground.notice).to_have_attribute("data-kind", "bad")


async def scrolls_sideways(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth > innerWidth"))


async def test_a_phone_needs_no_sideways_scrolling(browser: Browser, server: Served) -> None:
    async with visiting(browser, server.url, size=PHONE) as visit:
        playground = Playground(visit)
        assert not await scrolls_sideways(visit.page)
        await playground.send(rate=100, tokens=150, cut_seconds=0.3)
        await expect(playground.part("ws", "cursor")).to_have_text(SOME)
        await playground.part("sse", "action").click()
        await playground.join_button.click()
        await expect(playground.part("late", "log")).to_contain_text("joined")
        assert not await scrolls_sideways(visit.page)
        await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
        assert not await scrolls_sideways(visit.page)
        assert visit.problems == []
