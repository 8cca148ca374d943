"""What an SSE response is to the outlets on it, whichever way its bytes go.

Laws of every implementation:
- what waits to be written is bounded: the hub is told to wait, and its cursor stays behind;
- a response ends cleanly only when every view on it has (P4); all else cuts the connection;
- a client that takes no byte until the write deadline is cut (P5), and one that goes is noticed at once.
"""

from __future__ import annotations

import secrets
from typing import Final, Protocol

from tokentape.core.errors import TokentapeError
from tokentape.hub import Watcher

HEARTBEAT: Final = b": hb\n\n"
RECONNECT_MS: Final = (500, 3500)
"""From and to; drawn, so that the clients of a server that goes away do not come back as one."""


class Stream(Protocol):
    """The bytes of one response on their way to the client, and the watchers that they come from."""

    watchers: list[Watcher]

    @property
    def client(self) -> str | None:
        """Who is at the other end, for people."""
        ...

    @property
    def writable(self) -> bool: ...

    def put(self, data: bytes) -> None:
        """Takes bytes of the event stream, to be written as soon as possible."""
        ...

    def write(self, content: bytes) -> None:
        """Takes what a view has encoded, with its framing."""
        ...

    def flush(self, watcher: Watcher) -> None:
        """Tells the watcher when everything up to here has left."""
        ...

    def finish(self) -> None:
        """Everything was written: the response is whole."""
        ...

    def cut(self, error: TokentapeError | None, last: bytes = b"") -> None:
        """The response will not be whole; `last` is what is said before its connection is closed.

        Without an error that is lost already.
        """
        ...


class Unsent:
    """Stands in for a stream until the head of the response has been sent."""

    client = None
    writable = False

    def __init__(self, watchers: list[Watcher]) -> None:
        self.watchers = watchers
        self._ended: tuple[TokentapeError | None, bytes] | None = None

    def put(self, data: bytes) -> None:
        raise AssertionError(f"{len(data)} bytes were written before the views were started")

    write = put

    def flush(self, watcher: Watcher) -> None:
        raise AssertionError(f"a view of {watcher.tail.name} ended before it was started")

    def finish(self) -> None:
        raise AssertionError("the response ended before its views were started")

    def cut(self, error: TokentapeError | None, last: bytes = b"") -> None:
        self._ended = self._ended or (error, last)

    def become(self, stream: Stream) -> None:
        """Starts the views on the real one, unless they were cut meanwhile."""
        if self._ended is not None:
            stream.cut(*self._ended)
            return
        for watcher in tuple(self.watchers):
            watcher.start()


def pause_ms() -> int:
    """When one client of a server that goes away should come back."""
    low, high = RECONNECT_MS
    return low + secrets.randbelow(high - low)
