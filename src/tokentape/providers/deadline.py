"""One timer for a whole stream: moving the deadline is an assignment, not a call to the loop.

A stream of a thousand tokens a second would otherwise make and cancel a thousand timers a second. The
timer that is armed looks, when it fires, whether the deadline has moved on since, and if so goes back to sleep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf


class Deadline:
    """Calls `expire` once when the time that was set last has come; times are the loop's, in seconds."""

    __slots__ = ("_armed", "_expire", "_handle", "_loop", "_when", "expired")

    def __init__(self, expire: Callable[[], None]) -> None:
        self.expired = False
        self._loop = asyncio.get_running_loop()
        self._expire = expire
        self._when = inf
        self._armed = inf
        self._handle: asyncio.TimerHandle | None = None

    def set(self, when: float) -> None:
        """Moves the deadline; `inf` is never."""
        self._when = when
        if when < self._armed:
            self._arm(when)

    def cancel(self) -> None:
        """Forgets it for good."""
        self._when = inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed = when
        self._handle = self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        self._handle = None
        self._armed = inf
        if self._when > self._loop.time():
            if self._when < inf:
                self._arm(self._when)
            return
        self.expired = True
        self._expire()
