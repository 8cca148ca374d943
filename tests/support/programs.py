"""Programs of examples, as processes of their own: begun, waited for until they say that they are ready, and ended."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

KEPT_LINES: Final = 500
READY_SECONDS: Final = 30


class Program:
    """A running program. What it says, on stdout and stderr alike, comes line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: deque[str] = deque(maxlen=KEPT_LINES)
        self._more = asyncio.Condition()
        self._ended = False
        self._reading = asyncio.create_task(self._read())

    @property
    def text(self) -> str:
        """What it has said; the last of it, when that is much."""
        return "".join(self.said)

    async def says(self, pattern: str, *, seconds: float = READY_SECONDS) -> re.Match[str]:
        """Waits until it has said so, also before this was asked."""
        try:
            async with asyncio.timeout(seconds), self._more:
                while (found := re.search(pattern, self.text, re.DOTALL)) is None:
                    assert not self._ended, f"it ended without having said {pattern!r}: {self.text[-4000:]}"
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"it never said {pattern!r}, only: {self.text[-4000:]}") from None
        return found

    async def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def end(self, sign: signal.Signals = signal.SIGINT) -> int:
        """Sends it a signal, and returns its exit code once all that it says has been read."""
        if self.process.returncode is None:
            self.process.send_signal(sign)
        try:
            async with asyncio.timeout(20):
                await self._reading
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise AssertionError(f"{sign.name} did not end it: {self.text[-4000:]}") from None

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while piece := await self.process.stdout.read(65_536):
            async with self._more:
                self.said.append(piece.decode(errors="replace"))
                self._more.notify_all()
        async with self._more:
            self._ended = True
            self._more.notify_all()


@asynccontextmanager
async def program(*command: str | Path, cwd: Path, **environment: str) -> AsyncIterator[Program]:
    """Runs a program until the block ends."""
    inherited: Mapping[str, str] = {
        name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**inherited, "PYTHONUNBUFFERED": "1", **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    running = Program(process)
    try:
        yield running
    finally:
        await running.end(signal.SIGTERM)
