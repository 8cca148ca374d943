"""A pulling watcher in this process: for `Tape.read`, long-poll, and the server's own use."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from tokentape.core.errors import TokentapeError
from tokentape.core.resume import Ready
from tokentape.dialects.native import Item
from tokentape.hub.view import Payload
from tokentape.hub.watcher import Watcher

MAX_BUFFERED: Final = 262_144
"""Bytes of events that wait for a slow reader; beyond that its cursor stays behind."""


class Reader:
    """An outlet that keeps a bounded batch of items until they are asked for; iterate it for items."""

    socket = None

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._watcher: Watcher | None = None
        self._wake = asyncio.Event()
        self._finished = False
        self._error: TokentapeError | None = None
        self.outcome: Ready | None = None
        """How the view began; anew when it started over."""

    @property
    def writable(self) -> bool:
        return self._bytes < MAX_BUFFERED

    @property
    def done(self) -> bool:
        """Whether the view came to its end and everything was taken."""
        return self._finished and not self._items

    def ready(self, watcher: Watcher, ready: Ready) -> None:
        self._watcher = watcher
        if self.outcome is not None:
            # It starts over in mid-read: what was read is void, and the reader has to know.
            self._items.extend(watcher.view.dialect.ready(watcher.view.label, ready))
        self.outcome = ready
        self._wake.set()

    def write(self, watcher: Watcher, payload: Payload) -> None:  # noqa: ARG002 - one watcher per reader
        self._items.extend(payload.content)
        self._bytes += payload.size
        self._wake.set()

    def ended(self, watcher: Watcher) -> None:
        # In process there is nothing to flush.
        watcher.flushed()

    def finish(self, watcher: Watcher) -> None:  # noqa: ARG002 - as above
        self._finished = True
        self._wake.set()

    def abort(self, watcher: Watcher, error: TokentapeError | None) -> None:  # noqa: ARG002 - as above
        self._error = error
        self._finished = True
        self._wake.set()

    def take(self) -> list[Item]:
        """Everything that is there now, without waiting."""
        taken = list(self._items)
        self._items.clear()
        self._bytes = 0
        self._wake.clear()
        if self._watcher is not None:
            self._watcher.resume()
        return taken

    async def wait(self) -> None:
        """Waits until there is something to take, or the view has ended; raises what aborted it."""
        while not self._items and not self._finished:
            self._wake.clear()
            await self._wake.wait()
        if not self._items and self._error is not None:
            raise self._error

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> Item:
        await self.wait()
        if not self._items:
            raise StopAsyncIteration
        item = self._items.popleft()
        if not self._items:
            self._bytes = 0
            if self._watcher is not None:
                self._watcher.resume()
        return item
