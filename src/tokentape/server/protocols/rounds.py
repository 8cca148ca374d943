"""One timer for what all connections of a server wait for equally long.

A timer of its own costs a connection 750 bytes, which is much for one that is silent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from itertools import islice, takewhile
from typing import Final, Generic, TypeVar

_log = logging.getLogger(__name__)

PER_TURN: Final = 32
"""Members that are called before others get a turn of the loop."""
PAUSE: Final = 0.01
"""Seconds between two such turns: thousands of connections that came together are not called together."""

T = TypeVar("T", bound=Hashable)


class Rounds(Generic[T]):
    """Calls each member once, some time after it was added; the time is the same for all of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float, call: Callable[[T], None]) -> None:
        """The delay is in seconds."""
        self._loop = loop
        self._delay = delay
        self._call = call
        # In the order of their times, which is that of their coming.
        self._due: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._due)

    def add(self, member: T) -> None:
        """Has it called after the delay, counted from now."""
        self._due.pop(member, None)
        self._due[member] = self._loop.time() + self._delay
        if self._timer is None:
            self._arm(self._delay)

    def discard(self, member: T) -> None:
        """Has it not called; without effect when it does not wait."""
        self._due.pop(member, None)

    def _arm(self, wait: float) -> None:
        self._timer = self._loop.call_later(wait, self._go)

    def _go(self) -> None:
        now = self._loop.time()
        some = islice(self._due.items(), PER_TURN)
        called = [member for member, _ in takewhile(lambda waiting: waiting[1] <= now, some)]
        for member in called:
            del self._due[member]
        for member in called:
            try:
                self._call(member)
            except Exception:  # noqa: BLE001 - the others are called whatever became of this one
                _log.exception("a connection failed in its turn")
        self._timer = None
        for due in self._due.values():
            self._arm(max(PAUSE, due - self._loop.time()))
            break
