"""The pages "from … to tokentape": what they show is run, before and after, through the fault that they name."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType

import pytest
from bad_proxy import BadProxy
from browser import Visit, visiting
from documented import unfold
from example_builds import PACKAGES
from moving import SIDES, bundled, hosted, listening
from playwright.async_api import Browser, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tokentape.cli.relay import Relay
from tokentape.server.config import load_config
from tokentape.tape import Tape

pytestmark = pytest.mark.asyncio(loop_scope="session")

SLOW = b"""
[models]
default = "slow"
[models.slow]
provider = "simulated"
simulated = { rate = 25, tokens = 125 }
"""
LONG_ENOUGH = "answer.textContent.length > 20"
WHOLE = r"^You asked 'Why are there tides\?'\. The moon .* around\. +$"
SHOWS = "whole => document.querySelector('#answer').textContent === whole"


async def both(stack: AsyncExitStack, browser: Browser, page: str, folder: Path) -> tuple[Visit, Visit, Tape]:
    """The two applications of a page, each cut in the middle of its answer."""
    unfold(page, folder)
    before, before_relay = await stack.enter_async_context(hosted(folder / "before"))
    after, after_relay = await stack.enter_async_context(hosted(folder / "after"))
    assert not hasattr(before, "tape")

    async def cut(relay: Relay) -> Visit:
        visit = await stack.enter_async_context(visiting(browser, f"http://127.0.0.1:{relay.port}/page.html"))
        await visit.page.wait_for_function(LONG_ENOUGH)
        assert relay.cut() >= 1
        return visit

    old, new = await cut(before_relay), await cut(after_relay)
    return old, new, after.tape


async def test_from_fastapi_and_event_source(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with AsyncExitStack() as stack:
        old, new, tape = await both(stack, browser, "from-fastapi-eventsource.md", tmp_path)
        # Half of an answer, and then the beginning of another one.
        await expect(old.page.locator("#answer")).to_have_text(re.compile(r"You asked.*You asked"))
        await expect(new.page.locator("#answer")).to_have_text(re.compile(WHOLE))
        [run] = tape.runs.list()
        whole = await tape.run(run.id).text()
        await new.page.wait_for_function(SHOWS, arg=whole)
        await new.page.reload()
        await new.page.wait_for_function(SHOWS, arg=whole)


async def test_from_a_loop_over_fetch(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    unfold("from-fastapi-eventsource.md", tmp_path)
    async with AsyncExitStack() as stack:
        saved: dict[str, str] = {}

        async def ask(side: str) -> ModuleType:
            module, relay = await stack.enter_async_context(hosted(tmp_path / side, BadProxy))
            url = f"http://127.0.0.1:{relay.port}/fetch.html"
            visit = await stack.enter_async_context(visiting(browser, url))
            found = await visit.page.wait_for_function("localStorage.getItem('answer')")
            saved[side] = await found.json_value()
            assert saved[side] == await visit.page.locator("#answer").text_content()
            return module

        _, after = await asyncio.gather(*map(ask, ("before", "after")))
        [run] = after.tape.runs.list()
        assert re.match(WHOLE, saved["after"])
        assert saved["after"] == await after.tape.run(run.id).text()
        # Without its end, and not all of what came before; the page took it for the answer.
        words = saved["before"].split()
        assert words[:2] == ["You", "asked"]
        assert words != saved["after"].split()[: len(words)]
        assert "around." not in words


async def test_from_a_hand_written_websocket_chat(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with AsyncExitStack() as stack:
        old, new, tape = await both(stack, browser, "from-websocket-chat.md", tmp_path)
        await expect(new.page.locator("#answer")).to_have_text(re.compile(WHOLE))
        [run] = tape.runs.list()
        whole = await tape.run(run.id).text()
        await new.page.wait_for_function(SHOWS, arg=whole)
        # The other one has come back too, and long enough for all of it; it shows what it had, and nothing follows.
        assert len([url for url in old.requests if url.endswith("/ws")]) == 2
        half = await old.page.locator("#answer").text_content()
        assert half
        assert whole.startswith(half)
        assert half != whole


async def test_from_use_chat(browser: Browser, tmp_path: Path) -> None:
    assert PACKAGES.exists(), "The packages of the examples are not installed: run make node-packages (make test does)."
    unfold("from-usechat.md", tmp_path)
    pages = await asyncio.to_thread(bundled, tmp_path)
    config = load_config(SLOW, {}, {})
    async with AsyncExitStack() as stack:
        tape = await stack.enter_async_context(Tape("memory://", config=config))
        routes = [
            Mount("/pages", StaticFiles(directory=pages, html=True)),
            Mount("/tape", tape.app),
            Mount("/", tape.app),
        ]
        relay = await stack.enter_async_context(listening(Starlette(routes=routes)))

        async def ask(side: str) -> Visit:
            url = f"http://127.0.0.1:{relay.port}/pages/{side}/#{side}"
            visit = await stack.enter_async_context(visiting(browser, url))
            await visit.page.get_by_label("Question").fill("Why are there tides?")
            await visit.page.get_by_role("button", name="Send").click()
            await expect(visit.page.locator("[data-role=assistant]")).to_have_text(re.compile(r".{30}", re.DOTALL))
            await visit.page.reload()
            return visit

        visits = dict(zip(SIDES, await asyncio.gather(*map(ask, SIDES)), strict=True))
        runs = {run.metadata.get("chat") or run.stream.removeprefix("chats/"): run.id for run in tape.runs.list()}
        assert runs.keys() == set(SIDES)
        texts = {side: await tape.run(run).text() for side, run in runs.items()}
        for side in ("after", "ours"):
            await expect(visits[side].page.locator("[data-role=assistant]")).to_have_text(texts[side])
        assert await visits["before"].page.locator("p").count() == 0, "nothing is left of what was asked and paid"
        assert await visits["ours"].page.locator("[data-role=user]").text_content() == "Why are there tides?"
        assert [visit.problems for visit in visits.values()] == [[]] * 3
