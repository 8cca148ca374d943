"""Upstreams over real sockets: the simulator as a server, and servers that say just what a test wants."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Self

import uvicorn

from tokentape.core.errors import ProviderError
from tokentape.providers.base import Generation, Part, Provider, Timeouts
from tokentape.server.simulate.app import Stats, simulate_app

NO_LIMIT = Timeouts(connect=0, first_token=0, between_tokens=0, total=0)
KEY = "sk-live-Vq7Wm2Rk9Tz4Xp6Ld8Nc3Hb5"
"""The planted key of faults.md, row 40."""
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


class Simulator:
    """`simulate_app` under uvicorn, in a thread of its own."""

    def __init__(self, **settings: Any) -> None:
        self._app = simulate_app({"rate": 0})
        settings = {"port": 0, "lifespan": "off", "log_config": None, "access_log": False, **settings}
        self._server = uvicorn.Server(uvicorn.Config(self._app, **settings))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < deadline, "the simulator has not started"
            time.sleep(0.005)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    @property
    def stats(self) -> Stats:
        return self._app.state.stats

    async def until(self, condition: Callable[[Stats], bool], seconds: float = 10.0) -> None:
        """Waits until the server, in its own thread, has come to it."""
        async with asyncio.timeout(seconds):
            while not condition(self.stats):  # noqa: ASYNC110 - it lives in another thread, on a loop of its own
                await asyncio.sleep(0.002)


@contextmanager
def simulator_process() -> Iterator[str]:
    """The simulator as a process of its own, so that its memory is not ours; gives its URL."""
    command = [sys.executable, "-m", "uvicorn", "--factory", "tokentape.server.simulate.app:simulate_app"]
    with subprocess.Popen([*command, "--port", "0", "--no-access-log"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if match := re.search(r"running on (http://\S+)", line):
                    yield match[1]
                    break
            else:
                raise AssertionError("the simulator has not started")
        finally:
            process.kill()


class Connection:
    """One accepted connection, after its request."""

    def __init__(self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = head.decode()
        self.body = body
        self.writer = writer
        self._reader = reader

    def header(self, name: str) -> str | None:
        match = re.search(rf"^{name}: *(.*?)\r$", self.head, re.IGNORECASE | re.MULTILINE)
        return match[1] if match else None

    async def send(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.writer.write(chunk)
            await self.writer.drain()

    async def closed(self) -> None:
        """Waits until the other side has gone."""
        with suppress(ConnectionError):
            await self._reader.read()

    def reset(self) -> None:
        self.writer.transport.abort()


class Raw:
    """A server that reads each request whole, and lets the test answer."""

    def __init__(self, port: int, *, keep_alive: bool) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.keep_alive = keep_alive
        self.connections: list[Connection] = []
        """One for each request."""
        self.accepted = 0


@asynccontextmanager
async def raw_upstream(
    answer: Callable[[Connection], Awaitable[None]], *, keep_alive: bool = False
) -> AsyncIterator[Raw]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw.accepted += 1
        try:
            while head := await _head(reader):
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1]) if length else 0)
                connection = Connection(head, body, reader, writer)
                raw.connections.append(connection)
                await answer(connection)
                if not raw.keep_alive:
                    break
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    raw = Raw(server.sockets[0].getsockname()[1], keep_alive=keep_alive)
    try:
        yield raw
    finally:
        server.close()
        for connection in raw.connections:
            connection.reset()
        await server.wait_closed()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def says(*chunks: bytes) -> Callable[[Connection], Awaitable[None]]:
    """An answer of fixed bytes, after which the connection closes."""

    async def answer(connection: Connection) -> None:
        await connection.send(*chunks)

    return answer


def refusal(status: int, body: bytes = b"", *headers: bytes) -> bytes:
    head = [b"HTTP/1.1 %d Because" % status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def asking(text: str = "Tell me", model: str = "m", **simulated: object) -> Generation:
    return Generation(model=model, messages=[{"role": "user", "content": text}], simulated=simulated)


def over_http(text: str = "Tell me", parameters: dict | None = None, **simulated: object) -> Generation:
    """The same, with the options in the model's name, where they get through any provider."""
    options = ",".join(f"{name}={value}" for name, value in simulated.items())
    messages = [{"role": "user", "content": text}]
    return Generation(model=f"m?{options}", messages=messages, parameters=parameters or {})


async def played(
    provider: Provider, generation: Generation, timeouts: Timeouts = NO_LIMIT
) -> tuple[list[Part], ProviderError | None]:
    """All parts of an attempt, and how it failed if it did."""
    parts: list[Part] = []
    try:
        async for batch in provider.generate(generation, timeouts):
            parts += batch
    except ProviderError as error:
        return parts, error
    return parts, None


def said(parts: list[Part], kind: str = "token") -> str:
    return "".join(part.data for part in parts if part.type == kind)
