"""Broadcasts through Redis: published as they come, never repeated, and dropped where they would have to wait long."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from tokentape.stores.broadcast import checked
from tokentape.stores.redis.link import Link, end
from tokentape.stores.redis.scripts import Command

log = logging.getLogger("tokentape.store")

MAX_QUEUED: Final = 2000
MAX_QUEUED_BYTES: Final = 4_194_304
"""What may wait to be published; more is dropped, since who needs it would need it now."""
PER_ROUND: Final = 500
FINISH_SECONDS: Final = 1.0
"""For what waits when the store is closed: that members leave, above all."""


class Broadcaster:
    """Publishes broadcasts of this process, and reads those of others: `<origin> <length of name> <name> <record>`."""

    def __init__(self, link: Link, channel: str, *, origin: str, tell: Callable[[str, bytes], None]) -> None:
        """`tell` gets what this process and others broadcast: its own at once, and not from Redis a second time."""
        self._link = link
        self.channel = channel
        self._origin = origin.encode()
        self._tell = tell
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._waiting = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._task = asyncio.create_task(self._publish(), name="tokentape-redis-broadcasts")

    def send(self, stream: str, record: bytes) -> None:
        """Tells this process now, and others soon; see `Broadcasting.broadcast`."""
        self._tell(stream, checked(record))
        name = stream.encode()
        payload = b"%b %d %b %b" % (self._origin, len(name), name, record)
        if len(self._queue) >= MAX_QUEUED or self._bytes + len(payload) > MAX_QUEUED_BYTES:
            self._drop(1)
            return
        self._queue.append(payload)
        self._bytes += len(payload)
        self._empty.clear()
        self._waiting.set()

    def take(self, payload: bytes) -> None:
        """Takes one that came from Redis."""
        origin, _, rest = payload.partition(b" ")
        if origin == self._origin:
            return
        try:
            length, _, rest = rest.partition(b" ")
            size = int(length)
            name = rest[:size].decode()
        except ValueError:
            log.warning("a broadcast on channel %r is not one of ours", self.channel)
            return
        self._tell(name, rest[size + 1 :])

    async def finish(self) -> None:
        """Publishes what waits, if that can be done at once, and ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                await self._empty.wait()
        await end([self._task])

    async def _publish(self) -> None:
        while True:
            await self._waiting.wait()
            commands: list[Command] = []
            while self._queue and len(commands) < PER_ROUND:
                payload = self._queue.popleft()
                self._bytes -= len(payload)
                commands.append(("PUBLISH", self.channel, payload))
            # Once: what may have been published must not be published again.
            answers = await self._link.ask_any(*commands)
            failed = [answer for answer in answers if isinstance(answer, BaseException)]
            if failed:
                # What waited for Redis to come back is no news any more.
                self._drop(len(failed) + len(self._queue))
                self._queue.clear()
                self._bytes = 0
                await self._link.mend(failed)
            elif self._dropped:
                log.warning("%d broadcasts were dropped; Redis takes them again", self._dropped)
                self._dropped = 0
            if not self._queue:
                self._waiting.clear()
                self._empty.set()

    def _drop(self, count: int) -> None:
        if not self._dropped:
            log.warning("broadcasts to other instances are dropped: Redis at %s takes none", self._link.where)
        self._dropped += count
