"""A wire over our own protocol: frames go straight to the socket, and messages come straight from the parser.

A connection that is idle, or that only gets events, has neither a task nor a queue here. When the socket takes
nothing more, watchers stay behind, and what must not (answers, and what a watcher had under way) waits in an
`Outbox` until it does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from socket import socket
from typing import Any, Final

from tokentape.core.frames import CloseCode, frame_messages, text_frame
from tokentape.server.protocols.websocket import WebSocketLink
from tokentape.server.stall import Progress, StallWatch
from tokentape.server.transport import Way
from tokentape.server.websocket.outbox import Outbox
from tokentape.server.websocket.wire import Host

_log = logging.getLogger(__name__)

BATCH: Final = 65_536
"""Bytes of what waited that are written at once."""


class DirectWire:
    """A `Wire`, for the link of a connection that has been accepted."""

    __slots__ = (
        "_deadline",
        "_drained",
        "_host",
        "_leaving",
        "_link",
        "_outbox",
        "_resumed",
        "_sealed",
        "_stall",
        "_way",
        "socket",
    )

    framing = staticmethod(frame_messages)

    def __init__(self, link: WebSocketLink, *, write_deadline: float) -> None:
        self.socket: socket | None = None
        self._way: Way | None = None
        self._link = link
        self._deadline = write_deadline
        self._host: Host | None = None
        self._sealed = False
        self._resumed = 0
        # These cost too much to have them in each silent connection.
        self._outbox: Outbox | None = None
        self._stall: StallWatch | None = None
        self._leaving: list[Callable[[], None]] | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def client(self) -> str:
        return self._link.client

    def begin(self, host: Host) -> None:
        """Takes the connection over from ASGI; what has come already is handed over at once."""
        self._host = host
        self._way = self._link.take(self)
        self.socket = self._way.socket
        if self.writable:
            host.unblocked()
        self._link.adopt(self)

    # Sending

    @property
    def writable(self) -> bool:
        return not (self._link.paused or self._sealed or self._outbox is not None)

    @property
    def answers_full(self) -> bool:
        return self._outbox is not None and self._outbox.answers_full

    def events(self, content: bytes, size: int) -> None:
        if self.writable:
            self._write(content)
        elif not self._sealed:
            self._waiting().events((content,), size)

    def answer(self, message: bytes) -> None:
        frame = text_frame(message)
        if self.writable:
            self._write(frame)
        elif not self._sealed:
            self._waiting().answer(frame)

    def left(self, callback: Callable[[], None]) -> None:
        if self.writable:
            callback()
        elif self._leaving is None:
            self._leaving = [callback]
        else:
            self._leaving.append(callback)

    async def room(self) -> None:
        if self._outbox is not None:
            await self._outbox.room()

    def seal(self) -> None:
        self._sealed = True
        if self._outbox is not None:
            self._outbox.close()

    def _write(self, data: bytes) -> None:
        assert self._way is not None, "the wire has begun"
        self._way.write(data)

    def _waiting(self) -> Outbox:
        if self._outbox is None:
            self._outbox = Outbox()
        return self._outbox

    # As the link's `Flow`

    def on_paused(self) -> None:
        """The socket takes nothing more."""
        if self._stall is None:
            self._stall = StallWatch(self._deadline, self._progress, self._cut)
        self._stall.begin()
        if self._host is not None:
            self._host.blocked()

    def on_writable(self) -> None:
        """The socket has taken everything."""
        self._resumed += 1
        while self._outbox is not None and not self._link.paused:
            data = self._outbox.take(BATCH)
            if not self._outbox:
                self._outbox = None
            self._write(data)
        if not self._link.paused:
            self._has_drained()
            if self.writable and self._host is not None:
                self._host.unblocked()

    def _has_drained(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        leaving, self._leaving = self._leaving, None
        for callback in leaving or ():
            callback()

    def _progress(self) -> Progress:
        if not self._link.paused:
            return Progress(self._resumed, 0)
        waiting = self._outbox.waiting if self._outbox is not None else 0
        return Progress(self._resumed, self._link.buffered() + waiting)

    def _cut(self) -> None:
        _log.info("websocket of %s cut: it took nothing for %g s", self.client, self._deadline)
        self._link.abort()
        self.lost()

    # As the link's `Sink`

    def received(self, message: str | bytes) -> None:
        """A message came."""
        assert self._host is not None, "the wire has begun"
        self._host.received(message)

    def lost(self) -> None:
        """The client is gone, or has said that it goes."""
        self.seal()
        self._outbox = None
        self._has_drained()
        if self._stall is not None:
            self._stall.cancel()
        if self._host is not None:
            self._host.lost()

    # Life

    def hold(self) -> None:
        self._link.hold()

    def release(self) -> None:
        self._link.release()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._link.spawn(work)

    def end(self) -> None:
        assert self._host is not None, "the wire has begun"
        self._link.spawn(self._host.part())

    async def close(self, code: CloseCode, reason: str, *, within: float) -> None:
        if self._link.paused or self._outbox is not None:
            self._drained = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(within):
                    await self._drained
            except TimeoutError:
                self._link.abort()
                return
        self._link.end(code, reason)
