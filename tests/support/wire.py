"""One HTTP connection in a test's own hands: what goes over it, when it is read, and how it ends."""

import asyncio
import json
import socket
from dataclasses import dataclass, field
from typing import Self

from tokentape.core.sse import ServerSentEvent, SseDecoder

PATIENCE = 10
"""Seconds that a test waits for what must come."""


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Wire:
    """A connection, with as many requests and responses on it as there will be."""

    port: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int, *, rcvbuf: int = 0, address: str = "") -> Self:
        """`address` is the client's own."""
        sock = socket.socket()
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if address:
            sock.bind((address, 0))
        sock.setblocking(False)
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return cls(port, *await asyncio.open_connection(sock=sock, limit=2**16))

    def ask(self, path: str, *, method: str = "GET", body=None, version: str = "1.1", **headers: str) -> None:
        """Sends a request; the names of headers with `_` for `-`."""
        data = json.dumps(body).encode() if body is not None else b""
        lines = [f"{method} {path} HTTP/{version}", f"Host: 127.0.0.1:{self.port}"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.write("\r\n".join([*lines, "", ""]).encode() + data)

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        """The status and the headers of the next response."""
        async with asyncio.timeout(PATIENCE):
            protocol, status = (await self.reader.readline()).split()[:2]
            assert protocol == b"HTTP/1.1"
            given = {}
            while (line := (await self.reader.readline()).decode().strip()) != "":
                name, _, value = line.partition(": ")
                given[name.lower()] = value
        return int(status), given

    async def reply(self) -> Reply:
        """The next response, which says how long it is."""
        status, headers = await self.head()
        async with asyncio.timeout(PATIENCE):
            return Reply(status, headers, await self.reader.readexactly(int(headers["content-length"])))

    async def stream(self) -> "Stream":
        """The next response, to be read as it comes."""
        return Stream(self.reader, self.writer, *await self.head())

    async def end(self) -> tuple[bytes, str]:
        """Reads to the end of the connection; what came before it, and whether it is `closed` or `reset`."""
        came = bytearray()
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self.reader.read(65_536):
                    came += data
            except ConnectionError:
                return bytes(came), "reset"
        return bytes(came), "closed"

    def half_close(self) -> None:
        """Says that nothing more will be asked."""
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.transport.abort()


@dataclass
class Stream:
    """One response, as it comes: it knows how it ended."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int
    headers: dict[str, str]
    decoder: SseDecoder = field(default_factory=SseDecoder)
    events: list[ServerSentEvent] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    ending: str | None = None
    """`whole` with the end of the response, `cut` without; to HTTP/1.0 the end is that of the connection."""

    @classmethod
    async def open(
        cls, port: int, path: str, *, method: str = "GET", body=None, headers: dict[str, str], rcvbuf: int = 0
    ) -> "Stream":
        wire = await Wire.open(port, rcvbuf=rcvbuf)
        wire.ask(path, method=method, body=body, **headers)
        return await wire.stream()

    async def next(self) -> ServerSentEvent:
        """The next event."""
        while not self.events:
            assert await self._read(), f"the response is {self.ending}"
        return self.events.pop(0)

    async def until(self, kind: str) -> list[ServerSentEvent]:
        """The next events, up to the first of a type."""
        found = [await self.next()]
        while json.loads(found[-1].data)["type"] != kind:
            found.append(await self.next())
        return found

    async def rest(self) -> str:
        """Reads to the end, and tells which it was."""
        while await self._read():
            pass
        return self.ending

    async def comes(self, data: bytes, *, times: int = 1) -> None:
        """Reads until these bytes have come so often."""
        while self.raw.count(data) < times:
            assert await self._read(), f"the response is {self.ending}"

    async def _read(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                data = await (self._chunk() if "transfer-encoding" in self.headers else self.reader.read(65_536))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            data = None
        if not data:
            self.ending = "cut" if data is None else "whole"
            return False
        self.raw += data
        self.events += self.decoder.receive_data(data)
        return True

    async def _chunk(self) -> bytes:
        size = int(await self.reader.readline(), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    def pause(self) -> None:
        """Reads nothing any more: what is under way fills the buffers between."""
        self.writer.transport.pause_reading()

    def resume(self) -> None:
        if not self.writer.transport.is_closing():
            self.writer.transport.resume_reading()

    def close(self) -> None:
        self.writer.transport.abort()
