"""The code in the guides runs as it stands there."""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest
from documented import Block, blocks
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
