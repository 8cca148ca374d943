"""The npm package from its tarball, where people run it: Node.js 20 and 24, Deno, workers, and a Vite application.

In a Next.js application: tests/examples/test_nextjs.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from browser import chromium, visiting
from node import CLIENTS, node, script
from npm_tarball import PACKAGE, install
from served import Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE: Final = Path(__file__).parent
PLAYED: Final = {"said": "hi", "same": True, "state": "stop", "tokens": 40}
ADA: Final = [{"id": "ada", "data": {"name": "Ada"}}]


async def run(*command: object, cwd: Path, env: dict[str, str] | None = None) -> str:
    """What a program prints; fails with what it says when it fails."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **(env or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{command[0]} failed: {err.decode()[-4000:]}"
    return out.decode()


def program(pattern: str) -> Path:
    found = sorted(CLIENTS.glob(f"node_modules/{pattern}"))
    assert found, f"There is no {pattern}: run make node-packages (make test does)."
    return found[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with Served(tmp_path_factory.mktemp("tape") / "tape.db") as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package is installed, and programs that use it."""
    home = tmp_path_factory.mktemp("application")
    await asyncio.to_thread(install, home)
    for source in HERE.glob("*.mjs"):
        shutil.copy(source, home)
    shutil.copytree(HERE / "app", home, dirs_exist_ok=True)
    for name in ("react", "react-dom", "scheduler"):
        (home / "node_modules" / name).symlink_to(PACKAGE / "node_modules" / name)
    (home / "package.json").write_text('{"type": "module", "dependencies": {"tokentape": "*"}}')
    return home


def deno(home: Path) -> Sequence[object]:
    allowed = ("--no-prompt", "--allow-net=127.0.0.1", f"--allow-read={home}")
    return (program("@deno/linux-*/deno"), "run", "--quiet", *allowed)


async def test_every_runtime(server: Served, home: Path) -> None:
    async def play(*command: object, transport: str = "auto", where: str = "main") -> Any:
        arguments = (server.url, json.dumps({"transport": transport}), where)
        env = {"DENO_DIR": str(home / "deno"), "DENO_NO_UPDATE_CHECK": "1"}
        return json.loads(await run(*command, "program.mjs", *arguments, cwd=home, env=env))

    old, new = program("node20-linux-*/bin/node"), node()
    assert (await run(old, "--version", cwd=home)).startswith("v20.")
    over_ws = {**PLAYED, "present": ADA, "transport": "ws", "isMainThread": True}
    over_sse = {**over_ws, "present": "unsupported", "transport": "sse"}
    told = await asyncio.gather(
        play(old),  # which has no WebSocket of its own
        play(new),
        play(new, where="worker"),
        play(*deno(home)),
        play(*deno(home), transport="sse"),
    )
    assert told == [over_sse, over_ws, {**over_ws, "isMainThread": False}, over_ws, over_sse]


async def test_a_vite_application(server: Served, home: Path) -> None:
    async with (
        script(HERE / "vite_app.mjs", str(home), server.url) as vite,
        chromium() as browser,
        visiting(browser, (await vite.line())["url"]) as visit,
    ):
        page = visit.page
        await page.wait_for_function("document.title === 'loaded'")
        assert await page.evaluate("play('', {})") == {**PLAYED, "present": ADA, "transport": "ws"}
        loaded = [url for url in visit.requests if re.search(r"/assets/.*\.js$", url)]
        # Only what was needed.
        assert any("ws-connection" in url for url in loaded)
        assert not any("sse-connection" in url or "poll-connection" in url for url in loaded)
        told = await page.evaluate("playInWorker(location.origin, { transport: 'sse' })")
        assert told == {**PLAYED, "present": "unsupported", "transport": "sse"}
        await page.evaluate("send('Hello')")
        await page.wait_for_function("/^ready user: Hello; assistant: .+;$/.test(document.body.innerText.trim())")
        assert visit.problems == []
        assert visit.foreign == []
