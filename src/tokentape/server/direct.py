"""An SSE response written straight to its connection: no task, no queue and no coroutine while it lasts.

The head of the response goes through ASGI, where middleware sees it; then the request's coroutine returns, and what
is left is a callback of the connection, and a timer. The laws are those of `tokentape.server.stream`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from socket import socket
from typing import NoReturn, Protocol

from tokentape.core.errors import TokentapeError
from tokentape.core.sse import encode_chunk
from tokentape.hub import Watcher
from tokentape.server.config import Limits
from tokentape.server.protocols.http import HttpLink
from tokentape.server.stall import Progress, StallWatch
from tokentape.server.stream import HEARTBEAT
from tokentape.server.transport import Connections

_log = logging.getLogger(__name__)


class Plain(Protocol):
    """An outlet whose content goes to the connection as it is: see `tokentape.hub.watcher.Outlet`."""

    socket: socket | None


class DirectStream:
    """The rest of one response, once its head has left; `take` begins it."""

    __slots__ = (
        "_connections",
        "_flushing",
        "_framing",
        "_heartbeat",
        "_limits",
        "_link",
        "_open",
        "_outlet",
        "_pulse",
        "_socket",
        "_spoke",
        "_stall",
        "_withdraw",
        "_write",
        "watchers",
    )

    def __init__(self, link: HttpLink, watchers: list[Watcher], limits: Limits, connections: Connections) -> None:
        self.watchers = watchers
        self._connections = connections
        self._link = link
        self._limits = limits
        self._open = False
        self._outlet: Plain | None = None
        self._framing: Callable[[bytes], bytes] | None = None
        self._write: Callable[[bytes], None] = _nowhere
        self._socket: socket | None = None
        self._withdraw: Callable[[], None] = _nothing
        self._flushing: list[Watcher] = []
        # For the heartbeat: whether anything was written since the last look.
        self._spoke = False
        self._pulse: asyncio.TimerHandle | None = None
        self._stall: StallWatch | None = None

    def prepare(self) -> None:
        """Lets the head, too, leave at once, so that nothing waits before what follows it."""
        if not self._link.lost:  # uvloop takes no orders for a connection that is gone
            self._link.write_through()

    def take(self, outlet: Plain | None) -> bool:
        """Takes the connection; False when the response has to go through ASGI.

        `outlet` is the one outlet on this response, if what its views encode can go out as it is. How the body is
        framed becomes clear only here, so they are told here, before they start.
        """
        body = self._link.take_body(self)
        if body is None:
            self._link.give_back()
            return False
        self._open = True
        self._connections.sse += 1
        self._write, self._socket = body.way
        self._framing = encode_chunk if body.chunked else None
        self._outlet = outlet
        if outlet is not None:
            for watcher in self.watchers:
                watcher.frame(self._framing)
        self._schedule_pulse()
        self._withdraw = self._link.when_lost(self._lose)
        return True

    # For the outlets

    @property
    def client(self) -> str | None:
        return self._link.client

    @property
    def writable(self) -> bool:
        return self._open and not self._link.paused

    def put(self, data: bytes) -> None:
        self.write(data if self._framing is None else self._framing(data))

    def write(self, content: bytes) -> None:
        if self._open:
            if not self._spoke:
                self._spoke = True
                self._open_shortcut()
            self._write(content)

    def flush(self, watcher: Watcher) -> None:
        if self._link.paused:
            self._flushing.append(watcher)
        else:
            watcher.flushed()

    def finish(self) -> None:
        if self._open:
            self._release()
            self._link.end_body()

    def cut(self, error: TokentapeError | None, last: bytes = b"") -> None:
        if not self._open:
            return
        if last:
            self.put(last)
        stuck = self._link.paused
        self._release()
        if error is not None and stuck:
            # A client that takes nothing now is not waited for.
            self._link.abort()
        else:
            self._link.close()

    def _release(self) -> None:
        self._connections.sse -= self._open
        self._open = False
        self._withdraw()
        if self._outlet is not None:
            self._outlet.socket = None
        for timer in (self._pulse, self._stall):
            if timer is not None:
                timer.cancel()
        self._pulse = self._stall = None

    def _lose(self) -> None:
        self._release()
        for watcher in self.watchers:
            watcher.lost()

    # For the connection

    def on_paused(self) -> None:
        if self._open:
            if self._outlet is not None:
                self._outlet.socket = None
            self._stall = StallWatch(self._limits.write_deadline, self._progress, self._cut_short)
            self._stall.begin()

    def on_writable(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if not self._open:
            return
        self._open_shortcut()
        flushing, self._flushing = self._flushing, []
        for watcher in flushing:
            watcher.flushed()
        for watcher in self.watchers:
            watcher.resume()

    def _progress(self) -> Progress:
        return Progress(0, self._link.buffered())

    def _cut_short(self) -> None:
        self._stall = None
        _log.info("a watcher took nothing for %g s, and was cut", self._limits.write_deadline)
        self._link.abort()

    # Heartbeats

    def _schedule_pulse(self) -> None:
        # Twice in an interval: nobody waits for a byte longer than half as much again.
        self._pulse = asyncio.get_running_loop().call_later(self._limits.heartbeat / 2, self._beat)

    def _beat(self) -> None:
        if not self._spoke and self.writable:
            self.put(HEARTBEAT)
        else:
            # The cursor would not tell: it also passes what a view does not show. So the first write after a look
            # comes by here, and the others go straight to the connection.
            self._spoke = False
            if self._outlet is not None:
                self._outlet.socket = None
        self._schedule_pulse()

    def _open_shortcut(self) -> None:
        if self._outlet is not None and self._spoke and self.writable:
            self._outlet.socket = self._socket


def _nothing() -> None:
    pass


def _nowhere(data: bytes) -> NoReturn:
    raise AssertionError(f"{len(data)} bytes were written before the connection was taken")
