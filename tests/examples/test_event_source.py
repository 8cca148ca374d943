"""The plain page: cut, reloaded, stopped and refused, in a browser."""

from __future__ import annotations

import pytest
from browser import visiting
from example_place import Place
from playwright.async_api import Browser, expect

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_survives_a_cut_and_a_reload_and_can_be_stopped(browser: Browser, place: Place) -> None:
    # The page is of one origin and the tape of another, as in the README.
    async with visiting(browser, f"{place.url}/event-source/?tape={place.relayed}/tape") as visit:
        page = visit.page
        answer, state, stop = page.locator("#answer"), page.locator("#state"), page.get_by_role("button", name="Stop")
        await page.get_by_label("Question").fill("Why is the sky blue?")
        await page.keyboard.press("Enter")
        await page.wait_for_function("answer.textContent.length > 30")
        assert visit.problems == []
        assert place.relay.cut() >= 1
        [run, *_] = place.tape.runs.list(limit=1)
        await page.wait_for_function("(length) => answer.textContent.length > length", arg=100)
        await page.reload()
        await expect(state).to_have_text("stop")
        assert await answer.text_content() == await place.tape.run(run.id).text()

        await page.get_by_label("Question").fill("And at night?")
        await page.keyboard.press("Enter")
        await page.wait_for_function("answer.textContent.length > 10 && state.textContent === '…'")
        await stop.click()
        await expect(state).to_have_text("stopped")
        [second, first] = place.tape.runs.list(limit=2)
        assert first.id == run.id, "a cut or a reload has asked again"
        assert await answer.text_content() == await place.tape.run(second.id).text()

        await page.evaluate("location.hash = 'r_nope'")
        await expect(state).to_have_text("not found")
        # What the browser itself says of a cut and of a 404.
        assert all("Failed to load resource" in problem for problem in visit.problems), visit.problems
