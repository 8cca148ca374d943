"""A real Chromium, and one visit to a page in it that notices what must not happen."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, async_playwright, expect

ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECONDS: Final = 15
"""In which what is expected of a page has to come about, on a busy machine too."""
DESKTOP: Final = (1280, 900)
PHONE: Final = (390, 844)


def find_chromium() -> str | None:
    """The browser of this machine: `$CHROMIUM`, or `chromium` on the path."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    expect.set_options(timeout=SECONDS * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


class Visit:
    """One page in a profile of its own; `problems` and `foreign` are what must stay empty."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text}")

    @property
    def foreign(self) -> list[str]:
        """Requests to any other place than where the page is from."""
        here = urlsplit(self.origin).netloc
        return [url for url in self.requests if urlsplit(url).scheme != "data" and urlsplit(url).netloc != here]


@asynccontextmanager
async def visiting(browser: Browser, origin: str, *, size: tuple[int, int] = DESKTOP) -> AsyncIterator[Visit]:
    """Opens `origin`, and closes the profile at the end."""
    context = await browser.new_context(viewport={"width": size[0], "height": size[1]})
    try:
        visit = Visit(await context.new_page(), origin)
        await visit.page.goto(origin)
        yield visit
    finally:
        await context.close()


class Playground:
    """The first page, as somebody uses it."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.page = visit.page
        self.verdict = self.page.locator("[data-run=comparison]")
        self.state = self.page.locator("[data-run=state]")
        self.notice = self.page.locator("#notice")
        self.send_button = self.page.get_by_role("button", name="Send")
        self.join_button = self.page.get_by_role("button", name="Join late")

    async def send(self, *, rate: float, tokens: int, fault: str = "", cut_seconds: float = 5) -> str:
        """Asks the simulated model, with the keyboard; returns the run's id."""
        await self.page.locator("[data-run=panes]").evaluate("(node, s) => node.dataset.cutSeconds = s", cut_seconds)
        await self.page.get_by_text("Simulated model").click()
        await self.page.get_by_label("Tokens per second").fill(str(rate))
        await self.page.get_by_label("Tokens", exact=True).fill(str(tokens))
        await self.page.get_by_label("Fault").fill(fault)
        await self.page.get_by_label("Prompt").fill("Say something long.")
        await self.page.keyboard.press("Control+Enter")
        await self.page.wait_for_url("**/#r_*")
        return urlsplit(self.page.url).fragment

    def pane(self, kind: str) -> Locator:
        """The pane `sse`, `ws` or `late`."""
        return self.page.locator(f".pane[data-kind={kind}]")

    def part(self, kind: str, name: str) -> Locator:
        return self.pane(kind).locator(f"[data-part={name}]")

    async def text(self, kind: str) -> str:
        """The answer as this pane shows it."""
        return await self.part(kind, "text").text_content() or ""

    def cell(self, kind: str, value: str) -> Locator:
        """What the comparison says of a watcher."""
        return self.page.locator(f"tr[data-kind={kind}] [data-value={value}]")
