"""What waits to be sent on one WebSocket: one queue in order, bounded by bytes for events and for answers apart.

Events stop coming when it is full (P5: a watcher that cannot write stays behind, and catches up merged).
Answers to requests must come, so it is the requests that stop: see `tokentape.server.websocket.connection`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

MAX_EVENTS: Final = 262_144
"""Bytes of events that may wait before watchers are told to hold back; each may have one payload on its way."""
RESUME_AT: Final = 65_536
"""Bytes of waiting events at which watchers go on: with a gap to the limit, what they catch up on is merged well."""
MAX_ANSWERS: Final = 262_144
"""Bytes of answers that may wait before no further request is carried out."""
_ANSWER_COST: Final = 128
"""What an answer costs in memory besides its bytes."""


class Parcel(NamedTuple):
    """Messages that were handed in together; `left` is called when the last of them has been sent."""

    messages: Sequence[bytes]
    answer: bool = False
    left: Callable[[], None] | None = None


class Outbox:
    """Filled by watchers and answers, emptied by one writer with `next` and `sent`."""

    def __init__(self, on_writable: Callable[[], None]) -> None:
        """`on_writable` is called when there is room for events again after there was none."""
        self._on_writable = on_writable
        self._parcels: deque[Parcel] = deque()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._full = False
        self._events = 0
        self._answers = 0
        self._closed = False
        self.messages_sent = 0

    @property
    def writable(self) -> bool:
        """Whether watchers may write."""
        return not (self._full or self._closed)

    @property
    def answers_full(self) -> bool:
        """Whether the client leaves so many answers unread that it gets no more of them."""
        return self._answers >= MAX_ANSWERS

    @property
    def waiting(self) -> int:
        """Bytes, roughly, that wait."""
        return self._events + self._answers

    def events(self, messages: Sequence[bytes], size: int, *, left: Callable[[], None] | None = None) -> None:
        """Takes messages of a watcher, `size` bytes of them; without effect once closed."""
        if not self._closed:
            self._events += size
            self._full = self._full or self._events >= MAX_EVENTS
            self._put(Parcel(messages, left=left))

    def answer(self, message: bytes) -> None:
        """Takes the answer to a request; without effect once closed."""
        if not self._closed:
            self._answers += len(message) + _ANSWER_COST
            if self.answers_full:
                self._room.clear()
            self._put(Parcel((message,), answer=True))

    def _put(self, parcel: Parcel) -> None:
        self._parcels.append(parcel)
        self._filled.set()

    async def room(self) -> None:
        """Waits until there is room for another answer, or nothing more is taken."""
        await self._room.wait()

    def close(self) -> None:
        """Takes nothing more; what waits can still be sent."""
        self._closed = True
        self._room.set()
        self._filled.set()

    async def next(self) -> Parcel | None:
        """The next parcel, None when it is closed and empty. Tell `sent` for each message, `emptied` at its end."""
        while not self._parcels:
            if self._closed:
                return None
            self._filled.clear()
            await self._filled.wait()
        return self._parcels.popleft()

    def sent(self, parcel: Parcel, message: bytes) -> None:
        """One message of a parcel has left."""
        self.messages_sent += 1
        if parcel.answer:
            self._answers -= len(message) + _ANSWER_COST
            if not self.answers_full:
                self._room.set()
            return
        self._events -= len(message)
        if self._full and self._events <= RESUME_AT:
            self._full = False
            if not self._closed:
                self._on_writable()

    def emptied(self, parcel: Parcel) -> None:
        """All messages of a parcel have left."""
        if parcel.left is not None:
            parcel.left()
