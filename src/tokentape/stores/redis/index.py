"""The names of all streams, in order: a sorted set beside the streams, for listing them.

In a cluster the set lives on one node and the streams on all, so no step can change both. A name is put in before its
stream is made, and again after; names whose stream has gone are taken out by whoever comes across them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Final

from tokentape.core.errors import TokentapeError
from tokentape.stores.redis.keys import Keys
from tokentape.stores.redis.link import Link
from tokentape.stores.redis.scripts import Command

log = logging.getLogger("tokentape.store")

SLICE: Final = 500
SWEEP_SECONDS: Final = 30.0
"""How often a slice of the names is looked through, for streams whose time ran out and that nobody lists."""
BUSY: Final = 0.1
"""A slice with more than this share of names to take out is followed by the next one soon."""


class Index:
    """Adds, finds and clears names."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._swept = b""

    def adding(self, name: str) -> Command:
        """The command that puts a name in."""
        return ("ZADD", self._keys.index, 0, name)

    def removing(self, name: str) -> Command:
        """The command that takes a name out."""
        return ("ZREM", self._keys.index, name)

    async def names(self, prefix: str, after: str, limit: int) -> list[str]:
        """Names in order, some of them of streams that have gone."""
        low = b"[" + prefix.encode() if prefix > after else b"(" + after.encode()
        # No UTF-8 text contains the byte ff, so all names with the prefix sort before it.
        high = b"(" + prefix.encode() + b"\xff" if prefix else b"+"
        if not prefix and not after:
            low = b"-"
        [found] = await self._link.ask([("ZRANGEBYLEX", self._keys.index, low, high, "LIMIT", 0, limit)])
        return [name.decode() for name in found]

    async def prune(self, names: Sequence[str]) -> int:
        """Takes out the names of streams that have gone; returns how many."""
        gone = await self._missing(names)
        if not gone:
            return 0
        await self._link.ask([("ZREM", self._keys.index, *gone)])
        # One that was made in this very moment is put back.
        back = set(gone) - set(await self._missing(gone))
        if back:
            await self._link.ask([self.adding(name) for name in back])
        return len(gone) - len(back)

    async def restore(self, name: str) -> None:
        """Puts a name back that was taken out while another process made the stream anew."""
        if not await self._missing([name]):
            await self._link.ask([self.adding(name)])

    async def sweep_for_ever(self) -> None:
        """Looks through all names, slice by slice."""
        pause = SWEEP_SECONDS
        while True:
            await asyncio.sleep(pause)
            with contextlib.suppress(TokentapeError):  # whoever reads or appends says so
                pause = 1.0 if await self.sweep() > BUSY else SWEEP_SECONDS

    async def sweep(self) -> float:
        """Looks through the next slice; returns the share of names that were taken out."""
        low = b"(" + self._swept if self._swept else b"-"
        [found] = await self._link.ask([("ZRANGEBYLEX", self._keys.index, low, b"+", "LIMIT", 0, SLICE)])
        self._swept = found[-1] if len(found) == SLICE else b""
        if not found:
            return 0.0
        return await self.prune([name.decode() for name in found]) / len(found)

    async def _missing(self, names: Sequence[str]) -> list[str]:
        commands: list[Command] = [("EXISTS", self._keys.state(name)) for name in names]
        answers: list[Any] = await self._link.ask(commands)
        return [name for name, found in zip(names, answers, strict=True) if not found]
