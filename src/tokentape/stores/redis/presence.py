"""Presence on Redis: who is here, across all processes, with an end for each."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from tokentape.stores.base import Member
from tokentape.stores.redis.keys import Keys
from tokentape.stores.redis.link import Link
from tokentape.stores.redis.scripts import MEMBERS, TRACK, UNTRACK


class RedisPresence:
    """The `Presence` capability. A member whose process has ended goes when its time is up."""

    _link: Link
    _keys: Keys

    def _time(self) -> tuple[Any, Any]:
        raise NotImplementedError

    async def track(self, stream: str, member: Member, *, seconds: float) -> bool:
        """Adds, changes or keeps a member; True when it was not there before."""
        command = TRACK.command(
            self._keys.presence(stream),
            *self._time(),
            member.id,
            msgspec.json.encode(member.data),
            max(1, math.ceil(seconds * 1000)),
        )
        [new] = await self._link.ask([command])
        return bool(new)

    async def untrack(self, stream: str, member_id: str) -> bool:
        """Removes a member; False when it was not there."""
        [found] = await self._link.ask([UNTRACK.command(self._keys.presence(stream), *self._time(), member_id)])
        return bool(found)

    async def members(self, stream: str) -> list[Member]:
        """Those present now, in the order of arrival."""
        [fields] = await self._link.ask([MEMBERS.command(self._keys.presence(stream), *self._time())])
        found: list[tuple[int, str, bytes]] = []
        for member_id, known in zip(fields[::2], fields[1::2], strict=True):
            if known is None:  # the server dropped one key of two: it evicts when it is full
                continue
            arrival, _, data = known.partition(b" ")
            found.append((int(arrival), member_id.decode(), data))
        return [Member(member_id, msgspec.json.decode(data)) for _, member_id, data in sorted(found)]
