"""What a client asked for on one WebSocket and is not carried out yet: in order, bounded by number and by bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, NamedTuple

from tokentape.core.errors import TokentapeError
from tokentape.core.messages import Request, RequestId

MAX_REQUESTS: Final = 256
"""Requests that may wait: as many as a client may reasonably send without waiting for answers."""
MAX_BYTES: Final = 1_048_576
"""Bytes of waiting requests, beyond the last one."""


class Refused(NamedTuple):
    """A message that is no valid request; it is answered when its turn comes."""

    id: RequestId | None
    error: TokentapeError


class Inbox:
    """Filled by the reader of a connection, emptied by the one who carries out its requests."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Request | Refused, int]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether nothing more may be put in before something was taken out."""
        return len(self._waiting) >= MAX_REQUESTS or self._bytes >= MAX_BYTES

    def put(self, item: Request | Refused, size: int) -> None:
        """Takes one, of `size` bytes."""
        self._waiting.append((item, size))
        self._bytes += size
        self._changed.set()

    async def room(self) -> None:
        """Waits while it is full."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def close(self) -> None:
        """Nothing more comes; what waits can still be taken out."""
        self._closed = True
        self._changed.set()

    async def next(self) -> Request | Refused | None:
        """The next one, None when nothing more comes."""
        while not self._waiting:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        item, size = self._waiting.popleft()
        self._bytes -= size
        self._room.set()
        return item
