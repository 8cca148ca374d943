"""AG-UI agents and TanStack AI chats in one Node.js process, each told what to do by a test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from node import CLIENTS, NodeScript, script

PATIENCE = 40


class Errand:
    """One operation under way: its text so far, and what it came to."""

    def __init__(self) -> None:
        self.text = ""
        self.run: str | None = None
        self._moved = asyncio.Event()
        self._done: dict[str, Any] | None = None

    def take(self, line: dict[str, Any]) -> None:
        self.text = line.get("text", self.text)
        self.run = line.get("run", self.run)
        self._done = line.get("done", self._done)
        self._moved.set()

    async def until(self, characters: int) -> None:
        """Waits for so much text."""
        await self._until(lambda: len(self.text) >= characters)

    async def done(self) -> dict[str, Any]:
        """Waits for the end, and returns what the client has then."""
        await self._until(lambda: self._done is not None)
        assert self._done is not None
        assert "crash" not in self._done, self._done["crash"]
        return self._done

    async def _until(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._moved.clear()
                await self._moved.wait()


class Agents:
    """See `agents.mjs` for the operations."""

    def __init__(self, process: NodeScript) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._errands: dict[int, Errand] = {}

    async def begin(self, op: str, **fields: Any) -> Errand:
        return self._errands[await self._tell(op, **fields)]

    async def run(self, op: str, **fields: Any) -> dict[str, Any]:
        """The whole of an operation."""
        return await (await self.begin(op, **fields)).done()

    async def stop(self, errand: Errand) -> None:
        """What the user does who presses the client's own stop button."""
        await self._tell("stop", of=next(number for number, other in self._errands.items() if other is errand))

    async def _tell(self, op: str, **fields: Any) -> int:
        number = next(self._numbers)
        self._errands[number] = Errand()
        await self._process.tell({"id": number, "op": op, **fields})
        return number

    async def listen(self) -> None:
        try:
            while True:
                line = await self._process.line(seconds=600)
                self._errands[line["id"]].take(line)
        except AssertionError as ended:
            for errand in self._errands.values():
                errand.take({"done": {"crash": str(ended)}})


@asynccontextmanager
async def agents() -> AsyncIterator[Agents]:
    async with script(CLIENTS / "ag_ui" / "agents.mjs") as process:
        assert await process.line() == {"ready": True}
        running = Agents(process)
        listening = asyncio.create_task(running.listen())
        try:
            yield running
        finally:
            listening.cancel()
