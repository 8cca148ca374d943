"""Clients that read a given number of bytes, reset their connection, and resume: as a bad network makes them.

They are written against PROTOCOL.md with plain sockets, and know nothing of the project's own client, which
would hide a repeated event.
"""

import asyncio
import json
import socket
import struct
from typing import Self

import httptools
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from tokentape.core.sse import SseDecoder

_RESET = struct.pack("ii", 1, 0)


class Seen:
    """What a watcher has assembled: each event with its cursor, checked as it comes."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.events: list[tuple[int, dict]] = []
        self.ended = False
        self.cuts = 0
        self._taken = asyncio.Event()

    def take(self, cursor: str, event: dict) -> None:
        epoch, _, offset = cursor.partition("-")
        assert self.cursor is None or self.cursor.startswith(f"{epoch}-"), "the epoch changed"
        assert int(offset) > self.last, f"offset {offset} after {self.last}: repeated or out of order (P1)"
        self.cursor = cursor
        self.events.append((int(offset), event))
        self._taken.set()

    async def until(self, last: int) -> None:
        """Waits until it has seen so much."""
        while self.last < last:
            self._taken.clear()
            await self._taken.wait()

    @property
    def last(self) -> int:
        return self.events[-1][0] if self.events else 0

    def text(self) -> str:
        return "".join(event["data"] for _, event in self.events if event["type"] == "token")


class _Wire:
    """One connection, of which so many bytes are read."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._target)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def read(self, budget: int) -> bytes:
        async with asyncio.timeout(20):
            return await self._reader.read(min(budget, 4096))


async def cut_sse(port: int, path: str, seen: Seen, *, budget: int) -> None:
    """Reads `budget` bytes of a view over SSE at the most, then resets the connection."""
    decoder = SseDecoder()
    body: list[bytes] = []
    parser = httptools.HttpResponseParser(_Body(body))
    resume = f"Last-Event-ID: {seen.cursor}\r\n" if seen.cursor else ""
    async with _Wire("127.0.0.1", port) as wire:
        wire.send(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n{resume}\r\n".encode()
        )
        while budget > 0 and not seen.ended:
            data = await wire.read(budget)
            if not data:
                break
            budget -= len(data)
            parser.feed_data(data)
            if parser.get_status_code() >= 500:
                break  # of a proxy that finds nobody
            # Cut between `done` and `[DONE]`: nothing follows, and the server says so.
            seen.ended = bool(seen.events) and parser.get_status_code() == 204
            for block in decoder.receive_data(b"".join(body)):
                if block.data == "[DONE]":
                    seen.ended = True
                    continue
                event = json.loads(block.data)
                if event["type"] == "status" and event["data"]["state"] == "queued":
                    continue  # of the moment: it has no id of its own, and the decoder gives it the last one
                if event["type"] != "ready":
                    seen.take(block.id, event)
                else:
                    assert event["data"]["outcome"] in ("replayed", "live"), event
            body.clear()
    seen.cuts += not seen.ended


class _Body:
    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)


async def cut_websocket(port: int, stream: str, seen: Seen, *, budget: int, merge: bool) -> None:
    """Reads `budget` bytes of a subscription at the most, then resets the connection."""
    protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}/v1/ws"), subprotocols=["tokentape.v1"])
    protocol.send_request(protocol.connect())
    subscribe = {"op": "subscribe", "id": 1, "stream": stream, "from": seen.cursor or "start", "merge": merge}
    asked = False
    async with _Wire("127.0.0.1", port) as wire:
        while budget > 0 and not seen.ended:
            for data in protocol.data_to_send():
                wire.send(data)
            data = await wire.read(budget)
            if not data:
                break
            budget -= len(data)
            protocol.receive_data(data)
            for frame in protocol.events_received():
                if isinstance(frame, Frame) and frame.opcode is Opcode.TEXT:
                    _take_message(json.loads(frame.data), seen)
            if protocol.handshake_exc is not None:
                raise protocol.handshake_exc
            if protocol.state.name == "OPEN" and not asked:
                asked = True
                protocol.send_text(json.dumps(subscribe).encode())
    seen.cuts += not seen.ended


def _take_message(message: dict, seen: Seen) -> None:
    match message["op"]:
        case "ack":
            assert message["data"]["outcome"] in ("replayed", "live"), message
        case "event":
            if message.get("cursor") is not None:
                seen.take(message["cursor"], message["event"])
        case "end":
            seen.ended = True
        case _:
            raise AssertionError(message)
