"""The room: three people in three tabs, one of them cut off in mid-answer."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack

import pytest
from browser import Visit, visiting
from example_place import Place
from playwright.async_api import Browser, expect

from tokentape.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def enter(visit: Visit, name: str) -> None:
    await visit.page.get_by_label("Your name").fill(name)
    await visit.page.keyboard.press("Enter")


async def test_everybody_sees_who_is_here_who_types_and_one_answer(browser: Browser, place: Place) -> None:
    async with AsyncExitStack() as stack:
        ada, ben, cleo = [
            await stack.enter_async_context(visiting(browser, f"{origin}/room/#tides"))
            for origin in (place.url, place.relayed, place.url)
        ]
        await asyncio.gather(enter(ada, "Ada"), enter(ben, "Ben"), enter(cleo, "Cleo"))
        for visit in (ada, ben, cleo):
            here = visit.page.get_by_label("Here").get_by_role("listitem")
            await expect(here).to_have_count(3)
            assert set(await here.all_text_contents()) == {"Ada", "Ben", "Cleo"}

        await ada.page.get_by_label("Say").press_sequentially("Why are there tides?")
        await expect(ben.page.get_by_role("status")).to_have_text("Ada …")
        assert await ada.page.get_by_role("status").text_content() == ""
        await ada.page.keyboard.press("Enter")

        answers = [visit.page.locator("li[data-role=assistant]") for visit in (ada, ben, cleo)]
        for answer in answers:
            await expect(answer).to_have_text(re.compile(r"\w"))
        # Ben is cut off, and comes back to where he was; Cleo leaves, and is seen to.
        assert place.relay.cut() >= 1
        await cleo.page.context.close()
        await expect(ada.page.get_by_label("Here").get_by_text("Cleo")).to_have_count(0)

        for answer in answers[:2]:
            await expect(answer).to_have_attribute("data-state", "stop")
        [run] = [run for run in place.tape.runs.list() if run.stream == "rooms/tides"]
        text = await place.tape.run(run.id).text()
        assert [await answer.text_content() for answer in answers[:2]] == [text, text]
        await expect(ben.page.get_by_label("Here").get_by_role("listitem")).to_have_count(2)
        # Whoever typed has been heard: nothing of it is on the channel.
        async with Client(f"{place.url}/tape") as client:
            events = (await client.history("rooms/tides", limit=1000)).items
        assert {located.event.type for located in events} >= {"message", "token", "done"}
        assert "room:typing" not in {located.event.type for located in events}
        assert ada.problems == []
        assert ada.foreign == ben.foreign == []
