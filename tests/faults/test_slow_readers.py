"""Fault 4 and P5: readers of 1 KB/s get merged events, whole and in order, and cost bounded memory."""

import asyncio
import json
import socket
from abc import ABC, abstractmethod

import httptools
import psutil
import pytest
from cutting import Seen
from served import Served
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from tokentape.core.sse import SseDecoder
from tokentape.runs import RunInfo

READERS = 20
SLOW_SECONDS = 3
TOKENS = 8_000
BUFFERED = 1_048_576
"""Bytes of process memory that one slow reader may cost: its connection's buffers, with room for the allocator."""


class _Reader(ABC):
    """A watcher that takes so many bytes at a time."""

    def __init__(self, port: int, run: RunInfo) -> None:
        self.seen = Seen()
        self._port = port
        self._run = run

    async def connect(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)
        await asyncio.get_running_loop().sock_connect(self._socket, ("127.0.0.1", self._port))
        await self.send(self.request())

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    @abstractmethod
    def request(self) -> bytes:
        """What begins the watch."""

    @abstractmethod
    def take(self, data: bytes) -> bytes:
        """Reads what came; returns what is to be sent for it."""

    async def read(self, size: int) -> None:
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, size), 20)
        assert data, "it was cut"
        if answer := self.take(data):
            await self.send(answer)

    async def watch(self) -> None:
        for _ in range(SLOW_SECONDS):
            await self.read(1024)
            await asyncio.sleep(1)  # the reader's pace, not a wait for something
        # With a window smaller than a segment, the kernel would send a few of them per second from now on.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
        while not self.seen.ended:
            await self.read(65_536)
        self._socket.close()


class _Sse(_Reader):
    def request(self) -> bytes:
        self._decoder = SseDecoder()
        self._parser = httptools.HttpResponseParser(self)
        return f"GET /v1/runs/{self._run.id}/events HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode()

    def take(self, data: bytes) -> bytes:
        self._parser.feed_data(data)
        return b""

    def on_body(self, data: bytes) -> None:
        for block in self._decoder.receive_data(data):
            if block.data == "[DONE]":
                self.seen.ended = True
            elif block.id:
                self.seen.take(block.id, json.loads(block.data))


class _WebSocket(_Reader):
    def request(self) -> bytes:
        self._asked = False
        self._protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{self._port}/v1/ws"), subprotocols=["tokentape.v1"])
        self._protocol.send_request(self._protocol.connect())
        return b"".join(self._protocol.data_to_send())

    def take(self, data: bytes) -> bytes:
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode is Opcode.TEXT:
                message = json.loads(frame.data)
                self.seen.ended = message["op"] == "end"
                if message["op"] == "event":
                    self.seen.take(message["cursor"], message["event"])
        if self._protocol.state is State.OPEN and not self._asked:
            self._asked = True
            subscribe = {"op": "subscribe", "id": 1, "stream": self._run.stream, "from": "start"}
            self._protocol.send_text(json.dumps(subscribe).encode())
        return b"".join(self._protocol.data_to_send())


@pytest.mark.parametrize("kind", [_Sse, _WebSocket], ids=["sse", "websocket"])
async def test_readers_of_a_kilobyte_a_second_are_merged_and_bounded(tmp_path, kind: type[_Reader]) -> None:
    async with Served(tmp_path / "tape.db") as server, server.client() as client:
        pace = {"rate": 2500, "tokens": TOKENS, "seed": 4}
        run = await client.start({"messages": [{"role": "user", "content": "Go on"}], "simulated": pace})
        process = psutil.Process(server.pid)
        before = process.memory_info().rss
        readers = [kind(server.port, run) for _ in range(READERS)]
        await asyncio.gather(*(reader.connect() for reader in readers))
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
