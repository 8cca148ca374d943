"""Node.js programs that use real clients, as processes: they print JSON lines, which the test reads."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

CLIENTS: Final = Path(__file__).parents[1] / "clients"
MAX_LINE: Final = 16_777_216
"""Bytes of one JSON line: a whole answer may be in it."""


def node() -> Path:
    """The Node.js that was installed with the packages, or fails with the way to get it."""
    found = sorted(CLIENTS.glob("node_modules/node-linux-*/bin/node"))
    assert found, "The Node.js packages are not installed: run make node-packages (make test does)."
    return found[0]


class NodeScript:
    """A running script. What it prints as JSON lines comes by `line`; what it is told goes by `tell`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self, *, seconds: float = 30) -> Any:
        """The next line; fails when the script ends first, with what it wrote to stderr."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise AssertionError(f"the script ended: {(await self._process.stderr.read()).decode()[-4000:]}")
        return json.loads(line)

    async def tell(self, value: Any) -> None:
        """Writes one JSON line to the script's stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value).encode() + b"\n")
        await self._process.stdin.drain()


@asynccontextmanager
async def script(path: Path, *arguments: object, env: Mapping[str, str] | None = None) -> AsyncIterator[NodeScript]:
    """Runs a script of tests/clients; it is ended by its process id when the block ends."""
    process = await asyncio.create_subprocess_exec(
        node(),
        path,
        *(argument if isinstance(argument, str) else json.dumps(argument) for argument in arguments),
        cwd=CLIENTS,
        env={"PATH": os.environ.get("PATH", ""), "NO_COLOR": "1", **(env or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=MAX_LINE,
    )
    try:
        yield NodeScript(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class Calls:
    """A script that answers each order `{call, …}` with `{call, …}`: any number may be under way at once."""

    def __init__(self, node: NodeScript) -> None:
        self._node = node
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()
        self._listening = asyncio.create_task(self._listen())

    async def call(self, **order: Any) -> Any:
        """The answer to an order."""
        number = next(self._numbers)
        future = self._calls[number] = asyncio.get_running_loop().create_future()
        await self._node.tell({"call": number, **order})
        async with asyncio.timeout(60):
            return await future

    async def _listen(self) -> None:
        try:
            while True:
                answer = await self._node.line(seconds=600)
                self._calls.pop(answer.pop("call")).set_result(answer)
        except AssertionError as ended:
            for future in self._calls.values():
                future.set_exception(ended)

    async def aclose(self) -> None:
        self._listening.cancel()
        with suppress(asyncio.CancelledError):
            await self._listening


@asynccontextmanager
async def calling(path: Path) -> AsyncIterator[Calls]:
    """Runs a script that is told what to do by orders."""
    async with script(path) as node:
        calls = Calls(node)
        try:
            yield calls
        finally:
            await calls.aclose()
