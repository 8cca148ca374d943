"""Leases on Redis: one hash of all of them, so that one look lists them and one atomic step changes one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tokentape.stores.base import Fence, LeaseInfo
from tokentape.stores.redis.keys import Keys
from tokentape.stores.redis.link import Link
from tokentape.stores.redis.scripts import ACQUIRE, LEASES, RELEASE, RENEW, Command


class RedisLeases:
    """The `Leasing` capability. Time is the server's; a lease that has run out stays listed until it is acquired.

    Redis has no clock that nobody can set, so a jump of the server's clock ends leases early or late. Who may write
    stays certain all the same: tokens only grow, and an append is checked against them.
    """

    _link: Link
    _keys: Keys

    def _time(self) -> tuple[Any, Any]:
        raise NotImplementedError

    async def acquire(self, name: str, holder: str, *, seconds: float, value: bytes = b"") -> LeaseInfo | None:
        """Takes a lease; see `Leasing.acquire`."""
        keys = self._keys.leases, self._keys.token
        [token] = await self._link.ask([ACQUIRE.command(keys, *self._time(), name, holder, _ms(seconds), value)])
        return LeaseInfo(name, token, holder, value, live=True) if token else None

    async def renew(self, name: str, token: int, *, seconds: float) -> bool:
        """Keeps a lease; False when it was lost."""
        [kept] = await self._link.ask([RENEW.command((self._keys.leases,), *self._time(), name, token, _ms(seconds))])
        return bool(kept)

    async def renew_all(self, held: Sequence[Fence], *, seconds: float) -> Sequence[bool]:
        """Keeps leases, as one pipeline; see `Leasing.renew_all`."""
        keys, milliseconds = (self._keys.leases,), _ms(seconds)
        commands = [RENEW.command(keys, *self._time(), name, token, milliseconds) for name, token in held]
        return [bool(kept) for kept in await self._link.ask(commands)]

    async def release(self, name: str, token: int) -> None:
        """Gives a lease back; without effect when it was lost."""
        await self._link.ask([RELEASE.command((self._keys.leases,), *self._time(), name, token)])

    async def leases(self, prefix: str = "", *, dead: bool = False) -> Sequence[LeaseInfo]:
        """All leases that were acquired and not released, by name; with `dead` those alone that are not live."""
        pattern = "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in prefix) + "*"
        found: dict[str, LeaseInfo] = {}
        cursor: bytes = b"0"
        while True:
            command: Command = LEASES.command((self._keys.leases,), *self._time(), cursor, pattern, int(dead))
            [[cursor, fields]] = await self._link.ask([command])
            for at in range(0, len(fields), 5):
                raw_name, token, live, holder, value = fields[at : at + 5]
                name = raw_name.decode()
                found[name] = LeaseInfo(name, token, holder.decode(), value, live=bool(live))
            if cursor == b"0":
                return [found[name] for name in sorted(found)]


def _ms(seconds: float) -> int:
    """Whole milliseconds, at least one."""
    return max(1, math.ceil(seconds * 1000))
