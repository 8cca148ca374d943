"""Presence within one process: for stores whose streams belong to one process anyway."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tokentape.stores.base import Member

SWEEP_SECONDS = 30.0
"""How often streams that nobody asks about are cleared of members who have gone."""


class _Present(NamedTuple):
    member: Member
    until: float


class LocalPresence:
    """The `Presence` capability, kept in memory.

    A process that ends takes its watchers' connections with it, so there is nothing to write down. Members
    who have gone are dropped when their stream is asked about, and everywhere every `SWEEP_SECONDS`.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._presence_clock = monotonic
        self._present: dict[str, dict[str, _Present]] = {}
        self._next_presence_sweep = monotonic() + SWEEP_SECONDS

    async def track(self, stream: str, member: Member, *, seconds: float) -> bool:
        """Adds, changes or keeps a member; True when it was not there before."""
        now = self._presence_clock()
        if now >= self._next_presence_sweep:
            self._next_presence_sweep = now + SWEEP_SECONDS
            for name in list(self._present):
                self._current(name)
        present = self._current(stream)
        new = member.id not in present
        present[member.id] = _Present(member, now + seconds)
        self._present[stream] = present
        return new

    async def untrack(self, stream: str, member_id: str) -> bool:
        """Removes a member; False when it was not there."""
        present = self._current(stream)
        found = present.pop(member_id, None) is not None
        if not present:
            self._present.pop(stream, None)
        return found

    async def members(self, stream: str) -> list[Member]:
        """Those present now, in the order of arrival."""
        return [entry.member for entry in self._current(stream).values()]

    def _current(self, stream: str) -> dict[str, _Present]:
        """The members of a stream without those who have gone; a stream without members is forgotten."""
        present = self._present.get(stream, {})
        now = self._presence_clock()
        for member_id in [key for key, entry in present.items() if now >= entry.until]:
            del present[member_id]
        if not present:
            self._present.pop(stream, None)
        return present
