"""A server as a child process, which can be killed and started again: for the story of the demo."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from tokentape.core.errors import SetupError

START_SECONDS: Final = 20.0
"""For a process to import everything and to listen."""
_LAST_LINES: Final = 5


class _Listening(msgspec.Struct, frozen=True):
    """The line that `tokentape serve --json` prints once it listens."""

    url: str


class ServerProcess:
    """`tokentape serve` on a file; its log goes to `log`. Leaving the context ends it."""

    def __init__(self, store: str, log: Path) -> None:
        self._store = store
        self._log = log
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        """Where it listens; the same after every start."""
        return self._port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Starts it, and returns when it listens; raises `SetupError` with its last words when it does not."""
        arguments = ["serve", "--host", "127.0.0.1", "--port", str(self._port), "--store", self._store, "--json"]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tokentape",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # A Ctrl-C is for the story, which ends its server itself.
                start_new_session=True,
            )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await self._process.stdout.readline()
            url = msgspec.json.decode(line, type=_Listening).url
        except (TimeoutError, msgspec.DecodeError):
            await self.kill()
            raise SetupError(f"The server did not start. It said: {self._last_words()}") from None
        self._port = int(url.rpartition(":")[2])

    async def kill(self) -> None:
        """`kill -9`: no warning, no cleaning up."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    def _last_words(self) -> str:
        lines: Sequence[str] = self._log.read_text(errors="replace").splitlines() or ["nothing"]
        return " | ".join(lines[-_LAST_LINES:])
