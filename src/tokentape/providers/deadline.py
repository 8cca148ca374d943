"""One timer for a whole stream: moving the deadline is an assignment, not a call to the loop.

A stream of a thousand tokens a second would otherwise make and cancel a thousand timers a second. The
timer that is armed looks, when it fires, whether the deadline has moved on since, and if so goes back to sleep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf


class Deadline:
    """Calls `expire` once when the time that was set last has come, or `limit`; times are the loop's, in seconds."""

    __slots__ = ("_armed", "_expire", "_handle", "_limit", "_loop", "expired", "when")

    def __init__(self, expire: Callable[[], None], limit: float = inf) -> None:
        self.expired = False
        self.when = inf
        """May be assigned, to move it on; for what may be earlier than before there is `set`."""
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._expire = expire
        self._armed = inf
        self._handle: asyncio.TimerHandle | None = None

    def set(self, when: float) -> None:
        """Moves the deadline; `inf` is never, but for the limit."""
        self.when = when
        due = min(when, self._limit)
        if due < self._armed:
            self._arm(due)

    def cancel(self) -> None:
        """Forgets it for good, and whom to call."""
        self.when = self._limit = inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._expire = _nothing

    def _arm(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed = when
        self._handle = self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        self._handle = None
        self._armed = inf
        due = min(self.when, self._limit)
        if due > self._loop.time():
            if due < inf:
                self._arm(due)
            return
        self.expired = True
        self._expire()


def _nothing() -> None: ...
