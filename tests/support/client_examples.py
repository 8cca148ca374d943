"""The examples for clients: what changes from `before` to `after`, and what `after` prints."""

from __future__ import annotations

import asyncio
import difflib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from node import CLIENTS, node

EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "clients"
MAX_CHANGED: Final = 10


def changed(folder: str, kind: str) -> int:
    """How many lines are other ones in `after`, its comments not counted."""
    before, after = (
        (EXAMPLES / folder / f"{name}.{kind}").read_text().splitlines()[1:] for name in ("before", "after")
    )
    difference = list(difflib.ndiff(before, after))
    return max(sum(line.startswith(sign) for line in difference) for sign in "+-")


async def run_python(path: Path, env: Mapping[str, str]) -> str:
    return await _run([sys.executable, str(path)], env)


QUICK: Final = b"""
[models]
default = "quick"
[models.quick]
provider = "simulated"
simulated = { rate = 0 }
"""
"""A configuration whose model keeps nobody waiting."""


async def run_node(path: Path, folder: Path, packages: Mapping[str, str], env: Mapping[str, str]) -> str:
    """Runs a copy in a folder of its own, where each package is the installed one of that name."""
    for name, installed in packages.items():
        link = folder / "node_modules" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(CLIENTS / "node_modules" / installed)
    copy = Path(shutil.copy(path, folder))
    return await _run([str(node()), str(copy)], env)


async def _run(command: list[str], env: Mapping[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": os.environ.get("PATH", ""), **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()
