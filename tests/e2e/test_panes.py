"""The watchers of the playground in a real browser: what is cut, slow, late or falsified, against a real server."""

from __future__ import annotations

import asyncio
import re
from hashlib import sha256
from typing import Final

import pytest
from browser import PHONE, Playground, Visit, visiting
from playwright.async_api import Browser, Locator, Page, expect
from served import Served

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENCE: Final = 30_000
"""Milliseconds until a run of a few seconds has come through a slow link on a busy machine."""
SOME: Final = re.compile(r"-\d{2,}$")
"""A cursor past the first few events."""
MERGED: Final = re.compile(r"^([\d,]+) as ([\d,]+)$")
"""Events of the tape, and as how many they came."""
IN_A_FRAME: Final = """(element, pattern) => new Promise((resolve) => {
    const wanted = new RegExp(pattern);
    const look = () => (wanted.test(element.innerText) ? resolve() : requestAnimationFrame(look));
    look();
})"""


async def start(visit: Visit, *, rate: float, tokens: int) -> str:
    """Asks the simulated model for an answer, and returns the run's id."""
    playground = Playground(visit)
    await playground.simulate(rate=rate, tokens=tokens)
    await playground.say()
    return await playground.last.get_attribute("data-answer") or ""


class Watching:
    """What the panes show."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.verdict = page.get_by_test_id("verdict")
        self.sentence = page.get_by_test_id("sentence")

    def pane(self, name: str) -> Locator:
        return self.page.get_by_role("article", name=name, exact=True)

    def part(self, name: str, part: str) -> Locator:
        return self.pane(name).get_by_test_id(part)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    async def is_going_on(self, *names: str) -> None:
        for name in names or ("SSE", "WebSocket"):
            await expect(self.part(name, "cursor")).to_have_text(SOME)

    async def join(self, label: str) -> None:
        await self.button("+ Join late").click()
        await self.page.get_by_role("group", name="Add a watcher").get_by_role("button", name=label).click()

    async def says(self, kind: str) -> None:
        await expect(self.verdict).to_have_attribute("data-kind", kind, timeout=PATIENCE)

    async def is_proven(self, server: Served, run: str, *names: str) -> None:
        """Whether each pane shows what the tape holds, and the verdict says so with the hash of it."""
        await self.says("equal")
        text = await server.text(run)
        for name in names:
            # Of a long text a pane shows the end only.
            shown = await self.part(name, "text").text_content() or ""
            assert len(shown) > 100
            assert text.endswith(shown)
            await expect(self.part(name, "tally")).to_have_text("0 lost, 0 repeated")
            await expect(self.part(name, "state")).to_have_text("Complete")
        await expect(self.sentence).to_contain_text("0 lost, 0 repeated")
        await expect(self.page.get_by_test_id("hash")).to_have_text(sha256(text.encode()).hexdigest()[:12])

    async def shows(self, name: str, pattern: str) -> None:
        """Looks at a pane in each frame: what it tells of a cut is gone after a second."""
        async with asyncio.timeout(PATIENCE / 1000):
            await self.pane(name).evaluate(IN_A_FRAME, pattern)

    async def received(self, name: str) -> tuple[int, int]:
        """Events of the tape that came, and as how many."""
        found = MERGED.match(await self.part(name, "received").text_content() or "")
        assert found, "nothing came merged"
        stood, came = (int(number.replace(",", "")) for number in found.groups())
        return stood, came


@pytest.fixture
def watching(visit: Visit) -> Watching:
    return Watching(visit.page)


async def test_what_was_cut_or_came_late_is_whole(visit: Visit, watching: Watching, server: Served) -> None:
    run = await start(visit, rate=80, tokens=800)
    await watching.is_going_on()
    await watching.says("so-far")
    for name in ("SSE", "WebSocket"):
        await asyncio.gather(
            watching.shows(name, r"Cut[^]*No connection for [0-9.]+ s · \d+ events? behind"),
            watching.button(f"Cut {name} for 1 s").click(),
        )
    for label in ("SSE, from now", "WebSocket, snapshot"):
        await watching.join(label)
    for name in ("SSE", "WebSocket"):
        await expect(watching.part(name, "account")).to_contain_text(
            re.compile(r"Back after \d\.\d s, from \S+-\d+: \d+ missed events came as \d{1,2}\.")
        )
        await expect(watching.part(name, "resumed")).to_have_text("1×")
    await watching.is_proven(server, run, "SSE", "WebSocket", "Late 1", "Late 2")
    for name in ("SSE", "WebSocket"):
        stood, came = await watching.received(name)
        assert stood > 800 > came
        # What was made up for is marked in the text; here it is one stretch.
        marked = await watching.part(name, "text").locator("mark").all_text_contents()
        assert 20 < len("".join(marked)) < 1_000
        story = visit.page.get_by_role("img", name=re.compile(f"^{name}: "))
        await expect(story).to_have_attribute(
            "aria-label", re.compile(r"cut at \S+-\d+ .*resumed from \S+-\d+ .*ended at")
        )
    # As many as there may be; the focus goes on to where another one can be had, which then can be had again.
    for label in ("SSE, snapshot", "WebSocket, from now"):
        await watching.join(label)
    await expect(watching.button("+ Join late")).to_be_disabled()
    await watching.button("Remove Late 1").press("Enter")
    await expect(watching.pane("Late 1")).to_have_count(0)
    await expect(watching.button("+ Join late")).to_be_focused()
    await watching.says("equal")
    for name in ("Late 2", "Late 3", "Late 4", "SSE", "WebSocket"):
        await watching.button(f"Remove {name}").click()
    await expect(watching.sentence).to_have_text("Nobody watches: add somebody.")


async def test_slow_links_get_few_and_large_events(visit: Visit, watching: Watching, server: Served) -> None:
    run = await start(visit, rate=400, tokens=2_000)
    for name in ("SSE", "WebSocket"):
        await watching.page.get_by_label(f"Link of {name}").select_option("8 kB/s")
    await watching.join("SSE, from the start")
    await watching.is_proven(server, run, "SSE", "WebSocket", "Late 1")
    for name in ("SSE", "WebSocket"):
        stood, came = await watching.received(name)
        assert came < stood / 2
        await expect(watching.part(name, "account")).to_contain_text(re.compile(r"[\d,]+ missed events came as \d"))


async def test_what_is_lost_behind_the_clients_back_is_noticed(visit: Visit, watching: Watching) -> None:
    await start(visit, rate=60, tokens=480)
    await watching.is_going_on()
    await watching.says("so-far")
    await watching.button("Lose 1 event of SSE").click()
    await watching.says("differs")
    await expect(watching.sentence).to_have_text(re.compile(r"^SSE differs from event \d+ on: 1 lost, 0 repeated\.$"))
    await expect(watching.part("SSE", "tally")).to_have_text("1 lost, 0 repeated")
    await expect(watching.part("WebSocket", "tally")).to_have_text("0 lost, 0 repeated")
    await watching.button("Lose 1 event of WebSocket").click()
    await expect(watching.part("WebSocket", "tally")).to_have_text("1 lost, 0 repeated")
    await expect(watching.sentence).to_have_text(re.compile(r"^SSE differs from event \d+ on: 2 lost, 0 repeated\.$"))
    for name in ("SSE", "WebSocket"):
        await expect(watching.part(name, "state")).to_have_text("Complete")
    await watching.says("differs")


async def test_all_are_cut_on_a_phone(browser: Browser, server: Served) -> None:
    async with visiting(browser, server.url, size=PHONE) as visit:
        watching = Watching(visit.page)
        run = await start(visit, rate=80, tokens=240)
        await watching.is_going_on()
        await watching.button("Cut all, 5 s").click()
        for name in ("SSE", "WebSocket"):
            await expect(watching.part(name, "state")).to_have_text("Cut")
        await watching.button("Join all").click()
        # With a keyboard the focus stays on what there is to do about that network.
        await watching.button("Cut SSE until joined again").press("Enter")
        again = watching.pane("SSE").get_by_role("button", name="Join again")
        await expect(again).to_be_focused()
        await again.press("Enter")
        await expect(watching.button("Cut SSE for 1 s")).to_be_focused()
        await watching.button("Cut SSE until joined again").press("Enter")
        await expect(watching.part("WebSocket", "state")).to_have_text("Complete")
        await expect(watching.part("SSE", "state")).to_have_text("Cut")
        await watching.says("so-far")
        await again.click()
        await watching.is_proven(server, run, "SSE", "WebSocket")
        assert await visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        assert (visit.problems, visit.foreign) == ([], [])


async def test_a_crowd_measures_the_delay(visit: Visit, watching: Watching) -> None:
    await start(visit, rate=40, tokens=240)
    await watching.is_going_on()
    crowd = visit.page.get_by_test_id("crowd")
    await crowd.get_by_label("Watchers in the crowd").select_option("100 watchers")
    await crowd.get_by_role("button", name="Let them come").click()
    await expect(crowd.get_by_test_id("crowd-connected")).to_have_text("100 of 100")
    await expect(crowd.get_by_test_id("crowd-delay-p50")).to_contain_text(" ms")
    await expect(crowd.get_by_test_id("crowd-state")).to_have_text("All equal", timeout=PATIENCE)
    await expect(crowd.get_by_test_id("crowd-lost")).to_have_text("0")
    await expect(crowd.get_by_test_id("crowd-repeated")).to_have_text("0")
    received = await crowd.get_by_test_id("crowd-received").text_content() or ""
    assert int(received.replace(",", "")) >= 100 * 20
    await watching.says("equal")
