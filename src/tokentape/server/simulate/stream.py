"""An answer of the simulator on its way out, with the faults that only the wire can show."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import aclosing
from typing import Final

from starlette.types import Send

from tokentape.providers.script import Play
from tokentape.providers.simulated import perform
from tokentape.providers.simulation import Fault, Options
from tokentape.server.simulate.wire import Wire

_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)
_PIECE: Final = 65_536
_MEGABYTE: Final = 1_000_000
_BOMB: Final = 100 * _MEGABYTE
_APART: Final = 0.002
"""Seconds between the two halves of a character, so that they arrive in two reads."""
_ODDITIES: Final = ("empty-choices", "null-content")


class Streaming:
    """Sends one answer as an event stream.

    A response that is left without its end is the connection cut: ASGI has no other way to say so.
    """

    def __init__(self, wire: Wire, options: Options, send: Send) -> None:
        self._wire = wire
        self._rate = options.rate
        self._asgi = send
        names = {fault.name for fault in options.faults()}
        self._crlf = "crlf" in names
        self._split = "split-utf8" in names
        self._mark = "no-done" not in names
        self._oddities = [name for name in _ODDITIES if name in names]

    async def run(self, play: Play) -> bool:
        """Streams it to its end, or to the fault that ends it; False when the response was left without its end."""
        await self._asgi({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        waiting = self._wire.begin()
        async with aclosing(perform(play, self._rate)) as batches:
            async for batch in batches:
                if not isinstance(batch, Fault):
                    await self._send(waiting + self._odd() + self._wire.say(batch))
                    waiting = b""
                    continue
                if batch.name != "slow-start":
                    await self._send(waiting)
                    waiting = b""
                if batch.name == "cut":
                    return False
                if batch.name == "error":
                    await self._end(self._wire.fail())
                    return True
                await self._suffer(batch)
        await self._end(waiting + self._odd() + self._wire.end(play.finish, play.usage, mark=self._mark))
        return True

    async def _suffer(self, fault: Fault) -> None:
        match fault.name:
            case "stall" | "slow-start":
                await asyncio.sleep(fault.seconds)
            case "long-line":
                await self._long_line(fault.megabytes)
            case _:
                pass  # those of the whole stream

    async def _end(self, data: bytes) -> None:
        await self._send(data)
        await self._asgi({"type": "http.response.body", "body": b""})

    async def _long_line(self, megabytes: int) -> None:
        left = megabytes * _MEGABYTE
        await self._send(b"data: ")
        while left > 0:
            await self._send(b"x" * min(left, _PIECE))
            left -= _PIECE
            await asyncio.sleep(0)
        await self._send(b"\n\n")

    def _odd(self) -> bytes:
        return b"".join(map(self._wire.oddity, self._oddities))

    async def _send(self, data: bytes) -> None:
        if self._crlf:
            data = data.replace(b"\n", b"\r\n")
        for piece in _apart(data) if self._split else (data,):
            if piece:
                await self._asgi({"type": "http.response.body", "body": piece, "more_body": True})
            if self._split:
                await asyncio.sleep(_APART)


def _apart(data: bytes) -> Iterator[bytes]:
    """Cuts after the first byte of each character that has several."""
    start = 0
    for place, byte in enumerate(data):
        if byte >= 0xC0:
            yield data[start : place + 1]
            start = place + 1
    yield data[start:]


async def send_bomb(send: Send) -> None:
    """A compressed answer, whatever the client said that it accepts."""
    headers = [*_HEADERS, (b"content-encoding", b"gzip")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    packer = zlib.compressobj(wbits=31)
    for _ in range(0, _BOMB, _MEGABYTE):
        await send({"type": "http.response.body", "body": packer.compress(b"x" * _MEGABYTE), "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": packer.flush()})
