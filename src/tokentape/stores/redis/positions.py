"""Where the streams in use stand, as far as this process knows: so a lost wake-up, or lost data, is noticed."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tokentape.stores.base import Standing
from tokentape.stores.log import fresh_epoch
from tokentape.stores.redis.keys import Keys
from tokentape.stores.redis.link import Link
from tokentape.stores.redis.scripts import REWIND, Command
from tokentape.stores.redis.state import unpack_state

log = logging.getLogger("tokentape.store")

MAX_STREAMS: Final = 10_000
"""Positions of more streams are forgotten, those first that were not used for longest."""
SLICE: Final = 500
"""As many are looked up at once."""


class _Known(NamedTuple):
    standing: Standing
    at: float


class Positions:
    """The last known standing of each stream that this process appends to or reads."""

    def __init__(self, link: Link, keys: Keys, clock: Callable[[], tuple[Any, Any]]) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def saw(self, standing: Standing) -> None:
        """This process read or appended to a stream. What is older than what is known changes nothing."""
        known = self._known.get(standing.stream)
        if known is not None and known.standing.epoch == standing.epoch and known.standing.last > standing.last:
            standing = known.standing
        self._known[standing.stream] = _Known(standing, time.monotonic())
        self._known.move_to_end(standing.stream)
        if len(self._known) > MAX_STREAMS:
            self._known.popitem(last=False)

    def told(self, standing: Standing) -> None:
        """A wake-up arrived; of streams that this process has nothing to do with, nothing is kept."""
        if standing.stream in self._known:
            self.saw(standing)

    def forget(self, stream: str) -> None:
        """The stream was deleted."""
        self._known.pop(stream, None)

    async def check(self, *, older_than: float) -> list[Standing]:
        """Asks Redis for the streams that nothing was heard of for so many seconds; returns what has changed."""
        before = time.monotonic() - older_than
        due = [name for name, known in self._known.items() if known.at <= before]
        changed: list[Standing] = []
        for start in range(0, len(due), SLICE):
            changed += await self._check(due[start : start + SLICE])
        return changed

    async def _check(self, names: list[str]) -> list[Standing]:
        # What is known is noted before Redis is asked: so Redis cannot rightly know less.
        asked = [(name, known) for name in names if (known := self._known.get(name)) is not None]
        answers = await self._ask([name for name, _ in asked])
        changed: list[Standing] = []
        rewound: list[Standing] = []
        for (name, known), standing in zip(asked, answers, strict=True):
            if standing is None:
                self._known.pop(name, None)
                changed.append(Standing(name, "", 0, closed=False))
                continue
            if standing.epoch == known.standing.epoch and standing.last < known.standing.last:
                rewound.append(known.standing)
                continue
            if standing != known.standing:
                changed.append(standing)
            self.saw(standing)
        if rewound:
            changed += await self._renew(rewound)
        return changed

    async def _renew(self, rewound: list[Standing]) -> list[Standing]:
        """Streams that lost their end get a new epoch: what was there is gone, and said to be."""
        log.error("Redis at %s has lost the end of %d streams that it had accepted", self._link.where, len(rewound))
        commands: list[Command] = [
            REWIND.command(
                self._keys.stream(name), *self._clock(), self._keys.channel, name, epoch, last, fresh_epoch()
            )
            for name, epoch, last, _ in rewound
        ]
        await self._link.ask(commands)
        for standing in rewound:
            self.forget(standing.stream)
        return await self._ask_anew([standing.stream for standing in rewound])

    async def _ask_anew(self, names: list[str]) -> list[Standing]:
        found = [standing for standing in await self._ask(names) if standing is not None]
        for standing in found:
            self.saw(standing)
        return found

    async def _ask(self, names: list[str]) -> list[Standing | None]:
        answers = await self._link.ask([("HGET", self._keys.state(name), "state") for name in names])
        return [
            None if packed is None else unpack_state(packed).standing(name)
            for name, packed in zip(names, answers, strict=True)
        ]
