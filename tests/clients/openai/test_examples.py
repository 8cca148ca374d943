"""The examples: what changes in a program is little, and what it gains is real."""

from __future__ import annotations

import asyncio
import difflib
import os
import sys
from pathlib import Path

import pytest
from http_rig import running_server
from node import CLIENTS, node
from scripted import FINISH
from shortening import shortened

EXAMPLES = Path(__file__).parents[3] / "examples" / "clients" / "openai"
MAX_CHANGED = 10
WORDS = ["Once ", "upon ", "a ", "time, ", "in 京都…"]


@pytest.mark.parametrize("ending", ["py", "mjs"])
def test_few_lines_change(ending: str) -> None:
    before, after = ((EXAMPLES / f"{name}.{ending}").read_text().splitlines() for name in ("before", "after"))
    # What was only indented has not changed, nor has what the file says of itself.
    matcher = difflib.SequenceMatcher(None, [line.strip() for line in before], [line.strip() for line in after])
    blocks = matcher.get_opcodes()
    changed = [line for tag, _, _, begin, end in blocks if tag != "equal" for line in after[begin:end]]
    code = [line for line in changed if line.strip() and not line.startswith(('"""', "//"))]
    assert 0 < len(code) <= MAX_CHANGED, code


@pytest.mark.parametrize("ending", ["py", "mjs"])
async def test_the_answer_survives_a_cut(ending: str, tmp_path: Path) -> None:
    program = EXAMPLES / f"after.{ending}"
    if ending == "mjs":
        # Where its packages are found: beside them.
        (tmp_path / "node_modules").symlink_to(CLIENTS / "node_modules")
        program = tmp_path / "after.mjs"
        program.write_text((EXAMPLES / "after.mjs").read_text())
    cut = asyncio.Event()

    def once(brought: bytes) -> bool:
        if cut.is_set() or b"upon" not in brought:
            return False
        cut.set()
        return True

    async with running_server() as rig, shortened(rig.port, once) as port:
        rig.provider.say(*WORDS[:2])
        process = await asyncio.create_subprocess_exec(
            sys.executable if ending == "py" else node(),
            program,
            "Tell me a story.",
            env={**os.environ, "TAPE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": "any"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(60):
                await cut.wait()
                rig.provider.say(*WORDS[2:], FINISH)
                out, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert out.decode() == "".join(WORDS) + "\n", errors.decode()[-2000:]
    assert len(rig.provider.generations) == 1
