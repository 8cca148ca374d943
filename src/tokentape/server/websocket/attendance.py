"""Who is present through WebSockets: a member stays until the last connection that brought it has gone."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tokentape.core.errors import BadRequest, TokentapeError, TooMany
from tokentape.hub.channels import Channels
from tokentape.stores.base import Member

_log = logging.getLogger(__name__)

MAX_MEMBERS: Final = 64
"""Members that one connection may bring."""


class _Seat:
    """One member on one channel: the connections that hold it, and whose turn it is to tell the store."""

    __slots__ = ("holders", "turn", "users")

    def __init__(self) -> None:
        self.holders: set[Members] = set()
        self.turn = asyncio.Lock()
        self.users = 0


class Attendance:
    """The members of this process. Two tabs of one person are two connections, and one member."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._seats: dict[tuple[str, str], _Seat] = {}

    async def track(self, holder: Members, stream: str, member: Member) -> None:
        """Makes a member present for this connection, or changes its data."""
        async with self._seat(stream, member.id) as holders:
            new = holder not in holders
            # Before the store is told: a connection that breaks meanwhile takes the member with it.
            holders.add(holder)
            try:
                await self._channels.track(stream, member)
            except TokentapeError:
                if new:
                    holders.discard(holder)
                raise

    async def untrack(self, holder: Members, stream: str, member_id: str) -> None:
        """Makes a member absent, unless another connection holds it too."""
        async with self._seat(stream, member_id) as holders:
            holders.discard(holder)
            if not holders:
                await self._channels.untrack(stream, member_id)

    @asynccontextmanager
    async def _seat(self, stream: str, member_id: str) -> AsyncIterator[set[Members]]:
        # One at a time: a join must not overtake the leave of the connection before.
        seat = self._seats.setdefault((stream, member_id), _Seat())
        seat.users += 1
        try:
            async with seat.turn:
                yield seat.holders
        finally:
            seat.users -= 1
            if not seat.users and not seat.holders:
                del self._seats[stream, member_id]


class Members:
    """The members that one connection brought."""

    def __init__(self, attendance: Attendance) -> None:
        self._attendance = attendance
        self._mine: set[tuple[str, str]] = set()
        self.default_id = f"c_{secrets.token_hex(8)}"
        """The id of a member that the client gave none."""

    async def track(self, stream: str, member_id: str, data: Any) -> None:
        """Makes a member present."""
        key = stream, member_id
        if key in self._mine:
            await self.update(stream, member_id, data)
            return
        if len(self._mine) >= MAX_MEMBERS:
            raise TooMany(f"A connection brings {MAX_MEMBERS} members at most.")
        self._mine.add(key)
        try:
            await self._attendance.track(self, stream, Member(member_id, data))
        except TokentapeError:
            self._mine.discard(key)
            raise

    async def update(self, stream: str, member_id: str, data: Any) -> None:
        """Changes a member's data."""
        self._check_mine(stream, member_id)
        await self._attendance.track(self, stream, Member(member_id, data))

    async def untrack(self, stream: str, member_id: str) -> None:
        """Makes a member absent."""
        self._check_mine(stream, member_id)
        self._mine.discard((stream, member_id))
        await self._attendance.untrack(self, stream, member_id)

    def _check_mine(self, stream: str, member_id: str) -> None:
        if (stream, member_id) not in self._mine:
            raise BadRequest(f"Member {member_id[:80]!r} of {stream[:80]!r} is not tracked by this connection.")

    async def leave(self) -> None:
        """Makes all of them absent; a store that fails is left to let them expire."""
        while self._mine:
            stream, member_id = self._mine.pop()
            try:
                await self._attendance.untrack(self, stream, member_id)
            except TokentapeError as error:
                _log.warning("%s could not be told that %s has left: %s", stream, member_id, error)
