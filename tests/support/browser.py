"""A real Chromium, and one visit to a page in it that notices what must not happen."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import unquote, urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

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
    is_phone = size == PHONE
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, is_mobile=is_phone, has_touch=is_phone
    )
    try:
        visit = Visit(await context.new_page(), origin)
        await visit.page.goto(origin)
        yield visit
    finally:
        await context.close()


class Playground:
    """The first page, as somebody uses it."""

    def __init__(self, visit: Visit, page: Page | None = None) -> None:
        self.visit = visit
        self.page = page or visit.page
        self.field = self.page.get_by_label("Message", exact=True)
        self.send_button = self.page.get_by_role("button", name="Send", exact=True)
        self.stop_button = self.page.get_by_role("button", name="Stop")
        self.answers = self.page.locator("[data-answer]")
        self.last = self.answers.last
        self.questions = self.page.locator(".message.user .said")
        self.trouble = self.page.get_by_role("alert")
        self.connection = self.page.locator(".connection")

    @property
    def chat(self) -> str:
        """The channel that the address names."""
        return unquote(urlsplit(self.page.url).fragment.removeprefix("chat="))

    async def simulate(self, *, rate: float, tokens: int, fault: str = "") -> None:
        """Says how the simulated model is to answer from now on."""
        await self.page.get_by_title("How the simulated model answers").click()
        await self.page.get_by_label("Tokens per second").fill(str(rate))
        await self.page.get_by_label("Tokens", exact=True).fill(str(tokens))
        await self.page.get_by_label("Fault", exact=True).fill(fault)
        await self.page.keyboard.press("Escape")

    async def say(self, text: str = "Say something long.") -> None:
        """Sends a message with the keyboard, and waits until its answer is there."""
        count = await self.answers.count()
        await self.field.fill(text)
        await self.page.keyboard.press("Enter")
        await expect(self.answers).to_have_count(count + 1)

    async def ended(self, state: str = "stop") -> str:
        """Waits until the last answer has ended so; returns its run."""
        await expect(self.last).to_have_attribute("data-state", state)
        return await self.last.get_attribute("data-answer") or ""

    async def some(self) -> None:
        """Waits until there is some of the last answer."""
        await expect(self.last.locator(".markdown")).to_contain_text(re.compile(r"(\S+\s+){8}"))

    async def copied(self) -> str:
        """The last answer as its button copies it: the text itself, not what Markdown makes of it."""
        await self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await self.last.get_by_role("button", name="Copy this answer").click()
        await expect(self.last.get_by_role("button", name="Copied")).to_be_visible()
        return str(await self.page.evaluate("navigator.clipboard.readText()"))
