"""A queue per client: how Python servers broadcast when their library leaves that to the application."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from itertools import islice
from typing import Final, Generic, TypeVar

E = TypeVar("E")

BEHIND: Final = 4096
"""A client that is so many events behind, beyond its socket's buffers, is let go: its queue must not grow for ever."""
AHEAD: Final = 4
"""So many events may wait for everybody before the producer waits too."""
_SAMPLE: Final = 8


class Audience(Generic[E]):
    """Everybody who listens now."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[E | None]] = set()

    @contextmanager
    def joined(self) -> Generator[asyncio.Queue[E | None], None, None]:
        """A client's queue, for as long as it stays; None is its end."""
        queue: asyncio.Queue[E | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)

    async def publish(self, event: E) -> None:
        """Hands the same object to all; waits while not even the quickest client keeps up."""
        for queue in list(self._queues):
            if queue.qsize() < BEHIND:
                queue.put_nowait(event)
            else:
                self._queues.discard(queue)
                queue.put_nowait(None)
        # Without this a server at its limit would let everybody go. One that reads slowly must not hold up the rest,
        # so the best of a few is looked at: when the server itself is what is slow, all queues grow alike.
        while min((queue.qsize() for queue in islice(self._queues, _SAMPLE)), default=0) > AHEAD:  # noqa: ASYNC110
            await asyncio.sleep(0)  # the clients' tasks are what runs meanwhile
