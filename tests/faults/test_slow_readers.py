"""Fault 4 and P5: readers of 1 KB/s get merged events, whole and in order, and cost bounded memory."""

import asyncio
import json
import socket

import httptools
import psutil
from cutting import Seen
from served import Served

from tokentape.core.sse import SseDecoder

READERS = 20
SLOW_SECONDS = 4
TOKENS = 12_000
BUFFERED = 1_048_576
"""Bytes of process memory that one slow reader may cost: its connection's buffers, with room for the allocator."""


class _Reader:
    """A watcher over SSE that takes so many bytes at a time."""

    def __init__(self) -> None:
        self.seen = Seen()
        self._decoder = SseDecoder()
        self._parser = httptools.HttpResponseParser(self)

    async def connect(self, port: int, path: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, ("127.0.0.1", port))
        await loop.sock_sendall(self._socket, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())

    async def read(self, size: int) -> None:
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, size), 20)
        assert data, "it was cut"
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        for block in self._decoder.receive_data(data):
            if block.data == "[DONE]":
                self.seen.ended = True
            elif block.id:
                self.seen.take(block.id, json.loads(block.data))

    async def watch(self) -> None:
        for _ in range(SLOW_SECONDS):
            await self.read(1024)
            await asyncio.sleep(1)  # the reader's pace, not a wait for something
        while not self.seen.ended:
            await self.read(65_536)
        self._socket.close()


async def test_readers_of_a_kilobyte_a_second_are_merged_and_bounded(tmp_path) -> None:
    async with Served(tmp_path / "tape.db") as server, server.client() as client:
        pace = {"rate": 2500, "tokens": TOKENS, "seed": 4}
        run = await client.start({"messages": [{"role": "user", "content": "Go on"}], "simulated": pace})
        process = psutil.Process(server.pid)
        before = process.memory_info().rss
        readers = [_Reader() for _ in range(READERS)]
        await asyncio.gather(*(reader.connect(server.port, f"/v1/runs/{run.id}/events") for reader in readers))
        watching = asyncio.gather(*(reader.watch() for reader in readers))
        whole = [i async for i in client.watch(run.stream, merge=False) if i.cursor]
        cost = process.memory_info().rss - before
        await watching
        text = "".join(i.event.data for i in whole if i.event.type == "token")
        # The run itself keeps its newest records in memory, whoever reads.
        assert cost <= READERS * BUFFERED + sum(len(i.record) for i in whole) * 4
        for reader in readers:
            assert (reader.seen.last, reader.seen.text()) == (whole[-1].cursor.offset, text)
            assert len(reader.seen.events) < TOKENS * 0.9, "its backlog was not merged"
