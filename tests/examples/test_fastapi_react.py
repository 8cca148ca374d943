"""FastAPI with a React page that Vite has built: reloaded in mid-answer, then with its server stopped and started."""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from browser import visiting
from example_builds import built
from playwright.async_api import Browser, expect
from ports import free_port
from programs import Program, program

from tokentape.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")


def served(folder: Path, port: int, store: Path) -> AbstractAsyncContextManager[Program]:
    command = ("-m", "uvicorn", "app:app", "--port", str(port), "--timeout-graceful-shutdown", "1")
    return program(sys.executable, *command, cwd=folder, TAPE_STORE=f"sqlite:///{store}")


async def test_an_answer_survives_a_reload_and_the_chat_its_server(browser: Browser, tmp_path: Path) -> None:
    folder = await asyncio.to_thread(built, "fastapi-react")
    port, store = free_port(), tmp_path / "chat.db"
    url = f"http://127.0.0.1:{port}"
    async with served(folder, port, store) as server:
        await server.says("running on")
        async with visiting(browser, url) as visit, Client(f"{url}/tape") as client:
            page = visit.page
            answer = page.locator("li[data-role=assistant]").first
            await expect(page.get_by_role("button", name="Send")).to_be_enabled()
            await page.get_by_label("Question").fill("Why is the sky blue?")
            await page.keyboard.press("Enter")
            await expect(answer).to_have_text(re.compile(r".{30}", re.DOTALL))
            await page.reload()
            await expect(answer).to_have_attribute("data-state", "stop")
            [run] = await client.runs()
            text = "".join([i.event.data async for i in client.watch(f"runs/{run.id}") if i.event.type == "token"])
            assert await answer.text_content() == text
            assert await page.locator("li").count() == 2
            assert (visit.problems, visit.foreign) == ([], [])

            # The server goes in the middle of the next answer: that one is interrupted, and says so.
            await page.get_by_label("Question").fill("And at night?")
            await page.keyboard.press("Enter")
            second = page.locator("li[data-role=assistant]").nth(1)
            await expect(second).to_have_text(re.compile(r".{10}", re.DOTALL))
            await server.end()
            await expect(page.get_by_role("status")).to_be_visible()
            async with served(folder, port, store) as again:
                await again.says("running on")
                await expect(second).to_have_attribute("data-state", "interrupted")
                assert await answer.text_content() == text
                await page.get_by_role("button", name="Again").click()
                await expect(second).to_have_attribute("data-state", "running")
                await page.get_by_role("button", name="Stop").click()
                await expect(second).to_have_attribute("data-state", "stopped")
                assert await page.locator("li").count() == 4
