"""Faults 6, 7 and 41: many connections that ask slowly, never, or all at once, beside some that go on watching."""

import asyncio
import resource
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from bystanders import PATIENCE, SPARE, Footprint, bystanders
from served import Served
from wire import Wire

from tokentape.client import Client

SECONDS = 2.0
"""What the server is told to wait for headers and bodies."""
SERVED = 5.0
"""Seconds in which a new client is served, meanwhile; on a machine that is not busy, they are thousandths."""
SLOW, BURST, PER_ADDRESS = 2000, 10_000, 100
ROOM_FOR = 100
"""Connections that still come in before there is no descriptor left."""
ROOM = "/v1/channels/room/events"
STRANGER = "127.0.0.3"
"""Where the burst comes from; everybody else is at 127.0.0.1."""
MEGABYTE = 1_048_576

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.3 is nobody, and prlimit is Linux's")


@asynccontextmanager
async def serving(tmp_path: Path, monkeypatch, **limits: float) -> AsyncIterator[Served]:
    for name, value in limits.items():
        monkeypatch.setenv(f"TOKENTAPE_LIMITS_{name.upper()}", str(value))
    async with Served(tmp_path / "tape.db") as server:
        yield server


@pytest.fixture
async def server(tmp_path, monkeypatch):
    async with serving(tmp_path, monkeypatch, header_deadline=SECONDS, body_deadline=SECONDS) as server:
        yield server


@pytest.fixture
async def bounded(tmp_path, monkeypatch):
    # The other side of a burst is slow, too: its requests have time.
    async with serving(tmp_path, monkeypatch, header_deadline=60, connections_per_address=PER_ADDRESS) as server:
        yield server


class Sockets(ExitStack):
    """Connections without any of asyncio's buffers, so that there can be many; reset in the end."""

    def __init__(self, port: int, *, address: str = "127.0.0.1") -> None:
        super().__init__()
        self._port = port
        self._address = address
        # The queue of those who wait to be accepted is short: a SYN beyond it is tried again after a second.
        self._connecting = asyncio.Semaphore(500)

    async def open(self, data: bytes) -> socket.socket:
        loop = asyncio.get_running_loop()
        sock = self.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.setblocking(False)
        async with self._connecting:
            sock.bind((self._address, 0))
            await loop.sock_connect(sock, ("127.0.0.1", self._port))
            if data:
                await loop.sock_sendall(sock, data)
        return sock


async def ending(sock: socket.socket) -> bytes:
    """What comes, up to the end of the connection."""
    came = b""
    try:
        while data := await asyncio.get_running_loop().sock_recv(sock, 65_536):
            came += data
    except ConnectionError:
        pass
    return came


async def new_client(server: Served) -> float:
    """The seconds in which a client that comes now is served."""
    started = time.monotonic()
    async with Client(server.url) as client, asyncio.timeout(PATIENCE):
        await client.streams()
    return time.monotonic() - started


async def test_half_sent_headers_and_silent_connections_are_closed(server) -> None:
    """Fault 6."""
    async with bystanders(server, growth=64 * MEGABYTE) as client, asyncio.timeout(10 + SECONDS):
        with Sockets(server.port) as sockets:
            begun = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
            slow = await asyncio.gather(*(sockets.open(begun if n % 2 else b"") for n in range(SLOW)))
            assert await new_client(server) < SERVED
            endings = Counter([answer[:12] for answer in await asyncio.gather(*map(ending, slow))])
            # Who was slow with the first half too, is closed like one who says nothing.
            assert set(endings) == {b"", b"HTTP/1.1 408"}
            assert endings.total() == SLOW
        assert (await client.healthz())["status"] == "ok"


async def test_bodies_that_come_slowly_are_refused(server) -> None:
    """Fault 7: also those of which a byte comes now and then."""
    async with bystanders(server, growth=32 * MEGABYTE):
        wires = [await Wire.open(server.port) for _ in range(100)]
        for wire in wires:
            wire.write(b"POST /v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")
            wire.write(b'Content-Length: 10000\r\n\r\n{"messages":[')

        async def trickle() -> None:
            while True:
                for wire in wires[::2]:
                    wire.write(b" ")
                await asyncio.sleep(0.1)

        trickling = asyncio.create_task(trickle())
        assert await new_client(server) < SERVED
        for wire in wires:
            came, _ = await wire.end()
            # A byte that crosses the answer resets the connection, and then it may be lost.
            assert came[:12] in (b"HTTP/1.1 408", b"")
        trickling.cancel()
        for wire in wires:
            wire.close()


async def test_a_burst_of_connections_by_one_caller(bounded) -> None:
    """Fault 41: who is one too many is told so, and others do not notice."""
    request = f"GET {ROOM} HTTP/1.1\r\nHost: 127.0.0.1:{bounded.port}\r\n\r\n".encode()
    async with bystanders(bounded, growth=128 * MEGABYTE, delay=4 * PATIENCE):
        with Sockets(bounded.port, address=STRANGER) as sockets:
            loop = asyncio.get_running_loop()
            statuses: Counter[bytes] = Counter()

            async def ask() -> None:
                # Stays open until all have come.
                answer = await loop.sock_recv(await sockets.open(request), 4096)
                statuses[answer[:12]] += 1

            asking = asyncio.gather(*(ask() for _ in range(BURST)))
            # In the middle of it others wait in the same queue of the kernel, and yet they come in.
            while statuses.total() < BURST // 2:
                await new_client(bounded)
            await asking
            assert statuses == {b"HTTP/1.1 200": PER_ADDRESS, b"HTTP/1.1 429": BURST - PER_ADDRESS}
            assert await new_client(bounded) < SERVED


async def test_accepting_goes_on_after_there_were_no_descriptors(server, tmp_path: Path) -> None:
    """Fault 41: who is connected does not notice, and who waits is served as soon as others have gone."""
    request = f"GET {ROOM} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    log = tmp_path / "tape.log"
    async with bystanders(server, growth=32 * MEGABYTE) as client, asyncio.timeout(PATIENCE):
        limit = Footprint(server.pid).descriptors + ROOM_FOR
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
        served: asyncio.Queue[socket.socket] = asyncio.Queue()

        async def watch(sock: socket.socket) -> None:
            assert (await asyncio.get_running_loop().sock_recv(sock, 4096)).startswith(b"HTTP/1.1 200")
            served.put_nowait(sock)

        with Sockets(server.port) as sockets:
            waiting = [await sockets.open(request) for _ in range(ROOM_FOR * 3 // 2)]
            watching = asyncio.gather(*map(watch, waiting))
            # The store may have taken, or given back, a few.
            first = [await served.get() for _ in range(ROOM_FOR - SPARE)]
            while "no more connections for now" not in log.read_text():  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)
            assert (await client.healthz())["status"] == "ok"
            assert not watching.done()
            for sock in first:
                sock.close()
            await watching
        assert await new_client(server) < SERVED
