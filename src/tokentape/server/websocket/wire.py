"""The two sides of one WebSocket: the connection, which knows what is asked for, and the wire, which moves messages.

There are two kinds of wires: `direct`, over our own protocol, and `asgi`, over any server. What they share:

- what is handed in leaves in that order, or not at all;
- nothing here blocks: what cannot leave now is kept, within bounds that the other side respects;
- a client that takes nothing until the write deadline is cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from socket import socket
from typing import Any, Protocol

from tokentape.core.frames import CloseCode


class Sending(Protocol):
    """The sending half of a wire. Events and answers are bounded apart: see `tokentape.server.websocket.outbox`."""

    @property
    def client(self) -> str:
        """Who is at the other end, for people."""
        ...

    @property
    def framing(self) -> Callable[[Sequence[bytes]], bytes] | None:
        """What makes messages into what `events` takes; None when that is the messages themselves."""
        ...

    socket: socket | None
    """Where framed events may go directly while `writable`; None where they may not (see `hub.watcher.Outlet`)."""

    @property
    def writable(self) -> bool:
        """Whether watchers may write."""
        ...

    @property
    def answers_full(self) -> bool:
        """Whether so many answers wait that there should be no more of them."""
        ...

    def events(self, content: Any, size: int) -> None:
        """Takes messages of a watcher; `size` is that of a payload."""
        ...

    def answer(self, message: bytes) -> None:
        """Takes the answer to a request."""
        ...

    def left(self, callback: Callable[[], None]) -> None:
        """Calls back when everything that was handed in has left."""
        ...

    async def room(self) -> None:
        """Waits while `answers_full`, unless the wire is sealed."""
        ...

    def seal(self) -> None:
        """Takes nothing more; what waits can still leave."""
        ...


class Wire(Sending, Protocol):
    """Moves the messages of one connection."""

    def hold(self) -> None:
        """Reads no further, until `release`."""
        ...

    def release(self) -> None:
        """Reads on."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs work that the server waits for when it ends."""
        ...

    def end(self) -> None:
        """The connection is over: reads no further, and sees to it that `Host.part` runs."""
        ...

    async def close(self, code: CloseCode, reason: str, *, within: float) -> None:
        """Closes with a code once everything has left; cuts the connection if that takes more seconds."""
        ...


class Host(Protocol):
    """The connection, as its wire sees it."""

    def received(self, message: str | bytes) -> None:
        """A whole message, text or binary."""
        ...

    def blocked(self) -> None:
        """The wire is not `writable` any more."""
        ...

    def unblocked(self) -> None:
        """The wire is `writable` again."""
        ...

    def lost(self) -> None:
        """The client is gone, or as good as gone; may be told more than once."""
        ...

    async def part(self) -> None:
        """Does what is left to do after the end, and leaves nothing behind."""
        ...
