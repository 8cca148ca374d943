"""An SSE response over ASGI's `send`, pumped by the request's own coroutine: for servers that are not ours.

The laws are those of `tokentape.server.stream`; what is pending beyond `MAX_PENDING` makes the hub wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Final

from starlette.types import Message, Send

from tokentape.core.errors import TokentapeError
from tokentape.hub import Watcher
from tokentape.server.config import Limits
from tokentape.server.stall import CHECKS
from tokentape.server.stream import HEARTBEAT
from tokentape.server.transport import Connection

_log = logging.getLogger(__name__)

MAX_PENDING: Final = 65_536
"""Bytes that wait for the connection before the hub is told to hold back."""
SLICE: Final = 65_536
"""Bytes of one write, so that a large payload waits here, where it is shared, and not in a socket's buffer."""


class _Ending(Enum):
    FINISH = auto()
    """With the end of the response: every view on it is whole."""
    CUT = auto()
    """Without it, once what is pending has left."""


class PumpedStream:
    """The bytes of one response on their way to the client, and the watchers that they come from."""

    def __init__(self, connection: Connection, watchers: list[Watcher], send: Send, limits: Limits) -> None:
        self.watchers = watchers
        self._connection = connection
        self._send = send
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []
        self._size = 0
        self._flushing: list[Watcher] = []
        self._ending: _Ending | None = None
        self._idle: asyncio.Future[None] | None = None
        self._written = self._loop.time()
        self._heartbeat: asyncio.TimerHandle | None = None

    # For the outlets

    @property
    def client(self) -> str | None:
        return self._connection.client

    @property
    def writable(self) -> bool:
        return self._size < MAX_PENDING and self._ending is None

    def put(self, data: bytes) -> None:
        """Takes bytes, to be written as soon as possible."""
        if self._ending is None:
            self._pending.append(data)
            self._size += len(data)
            self._wake()

    write = put  # views frame nothing here: the server does

    def flush(self, watcher: Watcher) -> None:
        """Tells the watcher when everything up to here has left."""
        self._flushing.append(watcher)
        self._wake()

    def finish(self) -> None:
        """Everything was written: the response is whole."""
        self._end(_Ending.FINISH)

    def cut(self, error: TokentapeError | None, last: bytes = b"") -> None:
        """The response will not be whole. Without an error its connection is lost already."""
        if last:
            self.put(last)
        self._end(_Ending.CUT)
        if error is not None and self._connection.paused:
            # A client that takes nothing now is not waited for.
            self._connection.abort()

    def _end(self, ending: _Ending) -> None:
        self._ending = self._ending or ending
        self._wake()

    # The pump

    async def play(self) -> None:
        """Writes the body until the end, whichever it is; the head has been sent."""
        withdraw = self._connection.when_lost(self._lose)
        self._heartbeat = self._loop.call_later(self._limits.heartbeat, self._beat)
        try:
            while not self._connection.lost:
                if self._pending:
                    await self._write_pending()
                elif self._flushing:
                    await self._flush()
                elif self._ending is not None:
                    await self._write_end()
                    break
                else:
                    self._idle = self._loop.create_future()
                    await self._idle
        except TimeoutError:
            _log.info("a watcher took nothing for %g s, and was cut", self._limits.write_deadline)
            self._connection.abort()
            await self._connection.closed()
        except OSError:
            pass  # how servers say that the client is gone (ASGI, HTTP version 2.4)
        finally:
            withdraw()
            if self._heartbeat is not None:
                self._heartbeat.cancel()
            self._lose()

    async def _write_pending(self) -> None:
        data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        self._pending.clear()
        for start in range(0, len(data), SLICE):
            piece = data[start : start + SLICE]
            await self._write({"type": "http.response.body", "body": piece, "more_body": True})
            self._size -= len(piece)
        for watcher in self.watchers:
            watcher.resume()

    async def _flush(self) -> None:
        await self._within_deadline(self._connection.drained)
        flushed, self._flushing = self._flushing, []
        for watcher in flushed:
            watcher.flushed()

    async def _write_end(self) -> None:
        if self._ending is _Ending.FINISH:
            await self._write({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            self._connection.close()
            await self._within_deadline(self._connection.closed)

    async def _write(self, message: Message) -> None:
        if self._connection.paused:
            await self._within_deadline(lambda: self._send(message))
        else:
            await self._send(message)
        self._written = self._loop.time()

    async def _within_deadline(self, work: Callable[[], Awaitable[None]]) -> None:
        # uvicorn waits before it writes, never after: what ran out of time has done nothing, and can be repeated.
        before, idle = self._connection.buffered(), 0
        while True:
            try:
                async with asyncio.timeout(self._limits.write_deadline / CHECKS):
                    await work()
                    return
            except TimeoutError:
                left = self._connection.buffered()
                idle = 0 if left < before else idle + 1
                if idle == CHECKS:
                    raise
                before = left

    def _beat(self) -> None:
        idle = self._loop.time() - self._written
        wait = self._limits.heartbeat - idle
        if wait <= 0:
            wait = self._limits.heartbeat
            if not self._pending:
                self.put(HEARTBEAT)
        self._heartbeat = self._loop.call_later(wait, self._beat)

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _lose(self) -> None:
        self._wake()
        for watcher in self.watchers:
            watcher.lost()
