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
    """Messages that were handed in together; `left` is to be called when the last of them has been sent."""

    messages: Sequence[bytes]
    answer: bool = False
    left: Callable[[], None] | None = None


class Outbox:
    """Filled by watchers and answers; emptied by a writer, with `next` and `sent`, or with `take`."""

    __slots__ = ("_answers", "_closed", "_events", "_full", "_parcels", "_room", "messages_sent")

    def __init__(self) -> None:
        self._parcels: deque[Parcel] = deque()
        self._full = False
        self._events = 0
        self._answers = 0
        self._closed = False
        # Only the worker of the connection waits here.
        self._room: asyncio.Future[None] | None = None
        self.messages_sent = 0

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._parcels)

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
            self._parcels.append(Parcel(messages, left=left))

    def answer(self, message: bytes) -> None:
        """Takes the answer to a request; without effect once closed."""
        if not self._closed:
            self._answers += len(message) + _ANSWER_COST
            self._parcels.append(Parcel((message,), answer=True))

    async def room(self) -> None:
        """Waits until there is room for another answer, or nothing more is taken."""
        while self.answers_full and not self._closed:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def close(self) -> None:
        """Takes nothing more; what waits can still be sent."""
        self._closed = True
        self._make_room()

    def next(self) -> Parcel | None:
        """The next parcel, None when nothing waits. Tell `sent` for each of its messages."""
        return self._parcels.popleft() if self._parcels else None

    def sent(self, parcel: Parcel, message: bytes) -> None:
        """One message of a parcel has left."""
        self.messages_sent += 1
        if parcel.answer:
            self._answers -= len(message) + _ANSWER_COST
            if not self.answers_full:
                self._make_room()
        else:
            self._events -= len(message)
            self._full = self._full and self._events > RESUME_AT

    def take(self, size: int) -> bytes:
        """The messages of the next parcels as one, `size` bytes of them or a whole one; they count as sent."""
        taken: list[bytes] = []
        while self._parcels and size > 0:
            parcel = self._parcels.popleft()
            for message in parcel.messages:
                self.sent(parcel, message)
                taken.append(message)
                size -= len(message)
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
