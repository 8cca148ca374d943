"""The Next.js application, with the npm package from its tarball: both pages in mid-answer, and what servers render."""

from __future__ import annotations

import asyncio
import re

import pytest
from browser import Visit, visiting
from example_builds import SETTINGS, built_from_tarball
from example_place import Place
from node import node
from playwright.async_api import Browser, expect
from programs import program

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]  # the build is heavy


async def ask_and_reload(visit: Visit, place: Place, question: str, *, answers: int) -> None:
    """Asks, reloads in the middle of the answer, and looks whether all of it is there at its end."""
    page = visit.page
    answer = page.locator("li[data-role=assistant]").nth(answers)
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()
    await page.get_by_label("Question").fill(question)
    await page.keyboard.press("Enter")
    await expect(answer).to_have_text(re.compile(r".{30}", re.DOTALL))
    runs = [run for run in place.tape.runs.list() if run.stream == "chats/42"]
    assert len(runs) == answers + 1, "each question is asked once"
    assert runs[0].state == "running"
    await page.reload()
    text = await place.tape.run(runs[0].id).text()
    await expect(answer).to_have_text(text)
    assert await answer.text_content() == text
    assert await page.locator("li").count() == 2 * answers + 2
    await expect(page.get_by_role("button", name="Stop")).to_be_disabled()


async def test_both_hooks_show_one_chat_and_survive_a_reload(browser: Browser, place: Place) -> None:
    folder = await asyncio.to_thread(built_from_tarball, "nextjs")
    command = (
        node(),
        folder / "node_modules/next/dist/bin/next",
        "start",
        "-H",
        "127.0.0.1",
        "-p",
        str(place.next_port),
    )
    tape_url = f"{place.relayed}/tape"
    async with program(*command, cwd=folder, TOKENTAPE_URL=tape_url, **SETTINGS) as started:
        await started.says("Ready in")
        async with visiting(browser, f"http://127.0.0.1:{place.next_port}/ours/42") as visit:
            await ask_and_reload(visit, place, "Why is the sky blue?", answers=0)

            # The other page has it already when it leaves the server.
            await visit.page.goto(f"http://127.0.0.1:{place.next_port}/ai-sdk/42")
            source = await (await visit.page.context.request.get(visit.page.url)).text()
            assert "Why is the sky blue?</li>" in source
            await ask_and_reload(visit, place, "And at night?", answers=1)

            assert visit.problems == []
            assert all(url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:")) for url in visit.requests)

            await visit.page.goto(f"http://127.0.0.1:{place.next_port}/")
            await visit.page.get_by_role("link", name="tokentape/react").click()
            await visit.page.wait_for_url("**/ours/*")
            await expect(visit.page.get_by_role("button", name="Send")).to_be_enabled()
            assert visit.problems == []
        assert "rror" not in started.text
