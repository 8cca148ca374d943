"""A server that browsers can visit: as a process of its own that can be killed, or composed in this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ports import free_port

from tokentape.cli.child import ServerProcess
from tokentape.client import Client
from tokentape.core.transcript import Transcript
from tokentape.server.config import load_config
from tokentape.server.serve import serve
from tokentape.tape import Tape


class Served:
    """`tokentape serve` on a SQLite file; after `kill`, `start` brings it back on the same port and file."""

    def __init__(self, database: Path) -> None:
        self._process = ServerProcess(f"sqlite:///{database}", database.with_suffix(".log"))
        self._process._port = free_port()  # one that nobody takes while the server is down
        self.start = self._process.start
        self.kill = self._process.kill

    async def __aenter__(self) -> Self:
        await self._process.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self._process.__aexit__(kind, error, trace)

    @property
    def port(self) -> int:
        return self._process.port

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def client(self) -> Client:
        return Client(self.url)

    async def text(self, run: str) -> str:
        """The whole answer, each event as it was recorded."""
        transcript = Transcript()
        async with self.client() as client:
            async for item in client.watch(f"runs/{run}", merge=False):
                transcript.apply(item.event)
        return transcript.text(run)


@asynccontextmanager
async def composed(store: str = "memory://", *, toml: bytes | None = None) -> AsyncIterator[tuple[Tape, str]]:
    """A tape, and the address at which it is served from this process."""
    config = load_config(toml, {}, {"port": 0})
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    async with Tape(store, config=config) as tape:
        serving = asyncio.create_task(
            serve(tape.app, config, drain=lambda: tape.drain(0), on_ready=ready.set_result, stop=stop)
        )
        try:
            yield tape, f"{await ready}/"
        finally:
            stop.set()
            await serving
