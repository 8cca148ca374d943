"""A wire over ASGI, for servers that are not ours: the request's coroutine reads, a task writes while there is need."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from socket import socket
from typing import Any, Final

from tokentape.core.frames import CloseCode
from tokentape.server.stall import Progress, StallWatch
from tokentape.server.websocket.outbox import Outbox
from tokentape.server.websocket.socket import Gone, Socket
from tokentape.server.websocket.wire import Host

_log = logging.getLogger(__name__)

YIELD_EVERY: Final = 32
"""Messages read, or written, before others get a turn of the loop."""


class AsgiWire:
    """A `Wire` over a `Socket`; `serve` is its whole life."""

    framing: Callable[[Sequence[bytes]], bytes] | None = None
    socket: socket | None = None

    def __init__(self, socket: Socket, *, write_deadline: float) -> None:
        self.client = socket.client
        self._socket = socket
        self._deadline = write_deadline
        self._outbox = Outbox()
        self._stall = StallWatch(write_deadline, self._progress, self._cut)
        self._host: Host | None = None
        self._reading: asyncio.Timeout | None = None
        self._writer: asyncio.Task[None] | None = None
        self._held: asyncio.Future[None] | None = None
        self._ended = False

    async def serve(self, host: Host) -> None:
        """Serves until either side ends the connection, and everything is done that follows."""
        self._host = host
        try:
            await self._read(host)
        finally:
            if not self._ended:
                host.lost()
            try:
                await host.part()
            finally:
                self._stall.cancel()
                if self._writer is not None:
                    self._writer.cancel()

    # Sending

    @property
    def writable(self) -> bool:
        return self._outbox.writable

    @property
    def answers_full(self) -> bool:
        return self._outbox.answers_full

    def events(self, content: Sequence[bytes], size: int) -> None:
        self._outbox.events(content, size)
        self._go()

    def answer(self, message: bytes) -> None:
        self._outbox.answer(message)
        self._go()

    def left(self, callback: Callable[[], None]) -> None:
        self._outbox.events((), 0, left=callback)
        self._go()

    async def room(self) -> None:
        await self._outbox.room()

    def seal(self) -> None:
        self._outbox.close()

    def _go(self) -> None:
        if self._writer is None and self._outbox:
            self._writer = self.spawn(self._send())
            self._stall.begin()

    async def _send(self) -> None:
        assert self._host is not None, "it is served"
        try:
            await self._send_all(self._host)
        except Gone:
            self._host.lost()
        except Exception:  # noqa: BLE001 - whatever a server fails with, nothing can be sent any more
            _log.exception("a websocket of %s failed", self.client)
            self._host.lost()
        finally:
            self._writer = None

    async def _send_all(self, host: Host) -> None:
        turn = 0
        while (parcel := self._outbox.next()) is not None:
            for message in parcel.messages:
                await self._socket.send(message)
                was_writable = self._outbox.writable
                self._outbox.sent(parcel, message)
                if self._outbox.writable and not was_writable:
                    host.unblocked()
                turn += 1
                if turn % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
            if parcel.left is not None:
                parcel.left()

    def _progress(self) -> Progress:
        return Progress(self._outbox.messages_sent, self._outbox.waiting + self._socket.buffered())

    def _cut(self) -> None:
        assert self._host is not None, "it is served"
        _log.info("websocket of %s cut: it took nothing for %g s", self.client, self._deadline)
        self._socket.abort()
        self._host.lost()

    # Reading

    async def _read(self, host: Host) -> None:
        turn = 0
        try:
            async with asyncio.timeout(None) as self._reading:
                while not self._ended and (message := await self._socket.receive()) is not None:
                    host.received(message)
                    while self._held is not None and not self._ended:
                        await self._held
                    turn += 1
                    if turn % YIELD_EVERY == 0:
                        await asyncio.sleep(0)
        except TimeoutError:
            pass  # it was ended from our side
        finally:
            self._reading = None

    def hold(self) -> None:
        if self._held is None:
            self._held = asyncio.get_running_loop().create_future()

    def release(self) -> None:
        held, self._held = self._held, None
        if held is not None and not held.done():
            held.set_result(None)

    # Life

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # Whoever asked keeps it, and `serve` does not return before it is done with.
        return asyncio.get_running_loop().create_task(work)

    def end(self) -> None:
        self._ended = True
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def close(self, code: CloseCode, reason: str, *, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                if self._writer is not None:
                    await asyncio.wait([self._writer])
                await self._socket.close(code, reason)
        except TimeoutError:
            self._socket.abort()
        except Gone:
            pass
