"""The code in the guides and in the README runs as it stands there."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from browser import visiting
from documented import Block, blocks
from moving import listening
from playwright.async_api import Browser, expect
from served import composed

from tokentape.client import Client

DOCUMENTED = "http://127.0.0.1:8000"
CONFIG = b"""
[models.simulated]
provider = "simulated"
simulated = { rate = 300, tokens = 60 }
"""


def run(block: Block, url: str) -> None:
    """Runs a block as `python -m asyncio` would: with `await` wherever it may stand, and an open client."""
    code = compile(
        block.code.replace(DOCUMENTED, url.rstrip("/")),
        f"python.md, line {block.line}",
        "exec",
        ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
    )
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, {"__name__": "__main__"})
        return

    async def awaited() -> None:
        async with Client(url) as client, asyncio.timeout(30):
            known: dict[str, Any] = {"client": client}
            await eval(code, known)

    asyncio.run(awaited())


async def test_the_guide_to_the_python_client_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = [block for block in blocks("python.md") if block.language == "python"]
    assert len(code) > 5
    async with composed(toml=CONFIG) as (tape, url):
        for block in code:
            await asyncio.to_thread(run, block, url)
        said = capsys.readouterr().out
        oldest, second = tape.runs.list()[:-3:-1]
        assert said.startswith(await tape.run(oldest.id).text())
        assert await tape.run(second.id).text() in said


async def words(question: str) -> AsyncIterator[str]:
    for word in question.split():
        yield f"{word} "


@pytest.mark.asyncio(loop_scope="session")
async def test_the_application_in_the_readme_runs(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [code] = [block.code for block in blocks("../README.md") if "FastAPI(" in block.code]
    [script] = [block.code for block in blocks("../README.md") if "new EventSource" in block.code]
    known: dict[str, Any] = {"my_agent": words}
    exec(code, known)
    async with listening(known["app"]) as relay, ClientSession() as session:
        url = f"http://127.0.0.1:{relay.port}"
        async with session.get(f"{url}/ask", params={"q": "Are there tides?"}) as asked:
            events = (await asked.text()).splitlines()
        assert events[-2:] == ["data: [DONE]", ""]
        [run] = known["tape"].runs.list()
        assert await known["tape"].run(run.id).text() == "Are there tides? "
        # The page is one of the tape's, so the address is as it stands there.
        page = f'<p id="answer"></p><script>const run = "{run.id}"\n{script}</script>'
        async with visiting(browser, f"{url}/tape/healthz") as visit:
            await visit.page.set_content(page.replace("/v1/", "/tape/v1/"))
            await expect(visit.page.locator("#answer")).to_have_text("Are there tides?")
