"""When a connection takes nothing any more (P5).

It is looked at some times within the deadline, and cut after so many looks in a row without progress. A time in which
this process itself stood still is one look, whatever its length: what came meanwhile is read after the timers are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

CHECKS: Final = 4
"""Looks at the progress within one deadline."""


class Progress(NamedTuple):
    """How far a connection is: any change of `sent` is progress, and so is less that waits."""

    sent: int
    waiting: int
    """Bytes; none when there is nothing to wait for."""


class StallWatch:
    """Tells when what waits has made no progress until a deadline. It has a timer only while something waits."""

    __slots__ = ("_deadline", "_idle", "_measure", "_on_stall", "_seen", "_timer")

    def __init__(self, deadline: float, measure: Callable[[], Progress], on_stall: Callable[[], None]) -> None:
        """`on_stall` is called once; the deadline is in seconds."""
        self._deadline = deadline
        self._measure = measure
        self._on_stall = on_stall
        self._seen = Progress(0, 0)
        self._idle = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Something waits; without effect while that is watched already."""
        if self._timer is None:
            self._seen = self._measure()
            self._idle = 0
            self._arm()

    def cancel(self) -> None:
        """Stops watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._deadline / CHECKS, self._check)

    def _check(self) -> None:
        self._timer = None
        before, self._seen = self._seen, self._measure()
        if not self._seen.waiting:
            return
        moved = self._seen.sent != before.sent or self._seen.waiting < before.waiting
        self._idle = 0 if moved else self._idle + 1
        if self._idle == CHECKS:
            self._on_stall()
        else:
            self._arm()
