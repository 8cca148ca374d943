"""The C programs of benchmarks/native: built for a test, driven over stdin; and servers that a test scripts."""

import asyncio
import json
import os
import random
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

SOURCES = Path(__file__).parents[2] / "benchmarks" / "native"
CHECKED = "-O0 -fsanitize=address,undefined -fno-sanitize-recover=all"
"""A program that touches memory that is not its own dies, and its test fails."""


def build(folder: Path, flags: str = CHECKED) -> Path:
    """Makes load, floor and upstream in `folder`."""
    command = ["make", "-C", str(SOURCES), f"OUT={folder}", f"CFLAGS={flags}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def marker(seq: int) -> str:
    return f"#{seq}@{time.monotonic_ns() // 1000};"


def sse(seq: int, text: str | None = None) -> bytes:
    """An event whose id is its number."""
    return f"id: {seq}\ndata: {text or marker(seq)}\n\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


SPLITS = ["whole", "bytes", "random"]
"""How the bytes of a server are cut into packets."""


def pieces(data: bytes, split: str) -> Iterator[bytes]:
    if split == "whole":
        yield data
        return
    position = 0
    while position < len(data):
        size = 1 if split == "bytes" else random.randint(1, 60)
        yield data[position : position + size]
        position += size


async def write(writer: asyncio.StreamWriter, data: bytes, split: str) -> None:
    """Each piece is a packet; the pause lets most of them be a read as well."""
    for piece in pieces(data, split):
        writer.write(piece)
        await asyncio.sleep(0.0002 if split == "bytes" else 0)


class Program:
    """A running program: one JSON answer per command."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    @asynccontextmanager
    async def running(cls, path: Path, *arguments: object) -> AsyncIterator[Self]:
        process = await asyncio.create_subprocess_exec(
            path,
            *map(str, arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # A leak at exit is none: the programs end by exit(), with their tables in place.
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
        )
        try:
            yield cls(process)
            assert process.stdin is not None
            process.stdin.close()
            async with asyncio.timeout(10):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            line = await self.process.stdout.readline()
        assert line, "it has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())
        return await self.answer()


Handler = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def scripted(handler: Handler) -> AsyncIterator[int]:
    """A server that gives each request's head to `handler`, and closes the connection after it; gives its port."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await handler(head.decode(), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client is gone
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def watching(programs: Path, port: int, watchers: int, *arguments: object) -> AsyncIterator[Program]:
    """`load watch` over SSE; an option of `arguments` wins."""
    command = ("watch", "--port", port, "--path", "/stream", "--transport", "sse", "--watchers", watchers, *arguments)
    async with Program.running(programs / "load", *command) as load:
        yield load
