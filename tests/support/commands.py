"""`tokentape serve` and `tokentape simulate` as processes of their own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO


def _append_to(log: Path) -> BinaryIO:
    return log.open("ab")


@asynccontextmanager
async def running(*arguments: str, log: Path, **environment: str) -> AsyncIterator[str]:
    """Runs a command that serves, on a free loopback port; gives its address."""
    with _append_to(log) as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tokentape", *arguments, "--port", "0", "--json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, **environment},
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        assert line, f"it did not start; see {log}"
        yield json.loads(line)["url"]
    finally:
        process.terminate()
        await process.wait()
