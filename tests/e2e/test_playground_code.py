"""The requests that the playground gives to copy: they are run, as somebody who pastes them would."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import pytest
from browser import Playground
from node import node
from playwright.async_api import expect
from served import Served

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT: Final = Path(__file__).parents[2]
AWKWARD: Final = 'It\'s a "test": $(false) `false` \\n ${x} é 京 \u2028 100%'


async def output(*command: str, cwd: Path) -> str:
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


def told(stream: str) -> str:
    """The text that a stream of events tells, up to its own end."""
    lines = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return "".join(event["data"] for event in map(json.loads, lines[:-1]) if event["type"] == "token")


async def test_what_is_copied_gives_the_same_answer(playground: Playground, server: Served, tmp_path: Path) -> None:
    await playground.simulate(rate=0, tokens=40)
    await playground.say("A question before it")
    await playground.ended()
    await playground.say(AWKWARD)
    text = await server.text(await playground.ended())

    page = playground.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await playground.last.get_by_role("button", name="Code", exact=True).click()
    dialog = page.get_by_role("dialog")
    copied = {}
    for name in ("curl", "Python", "TypeScript"):
        await dialog.get_by_role("button", name=name, exact=True).click()
        await expect(dialog.get_by_role("region", name=name, exact=True)).to_contain_text("messages")
        await dialog.get_by_role("button", name="Copy the code").click()
        await expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
        copied[name] = str(await page.evaluate("navigator.clipboard.readText()"))
    # Where there is no such clipboard, as on an origin of a LAN, from within the dialog too. Its edge is a part of it.
    await page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not here')); }")
    await dialog.click(position={"x": 5, "y": 5})
    await dialog.get_by_role("button", name="curl", exact=True).click()
    await expect(dialog.get_by_role("region", name="curl", exact=True)).to_contain_text("messages")
    await dialog.get_by_role("button", name="Copy the code").click()
    await expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == copied["curl"]

    (tmp_path / "asked.py").write_text(copied["Python"])
    package = tmp_path / "node_modules" / "tokentape"
    package.parent.mkdir()
    package.symlink_to(ROOT / "clients" / "typescript", target_is_directory=True)
    (tmp_path / "asked.mts").write_text(copied["TypeScript"])
    curl, python, typescript = await asyncio.gather(
        output("sh", "-c", copied["curl"], cwd=tmp_path),
        output(sys.executable, "asked.py", cwd=tmp_path),
        output(node(), "asked.mts", cwd=tmp_path),
    )
    assert told(curl) == python == typescript == text
    # The line that goes on after a cut, from the first event's own id.
    resume = next(line for line in copied["curl"].splitlines() if line.startswith("# curl")).removeprefix("# ")
    run = json.loads(curl.split("data: ")[2].splitlines()[0])["run"]
    first = next(line for line in curl.splitlines() if line.startswith("id: ")).removeprefix("id: ")
    rest = await output("sh", "-c", resume.replace("RUN", run).replace("ID'", f"{first}'"), cwd=tmp_path)
    assert told(rest) == text
