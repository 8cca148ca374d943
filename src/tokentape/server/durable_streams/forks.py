"""Who was forked from whom: so that the name of a deleted stream stays taken while a fork of it is there.

A fork has a copy of what it inherits, so none of this guards data: it is for the protocol's answers alone (410 until
the last fork is gone, section 4.2). Each stream that was forked has a ledger, a stream of the server's own: a record
for each fork, and one when the stream is deleted. Whether a fork is still there is looked up when somebody asks;
nothing is counted, so nothing can be counted wrongly, whichever processes fork, delete, expire or die meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from tokentape.core.errors import StreamNotFound, TokentapeError
from tokentape.core.events import SYSTEM_PREFIX
from tokentape.server.services import Services
from tokentape.stores.base import Append, Retention, StreamConfig

LEDGERS: Final = SYSTEM_PREFIX + "forks/"
MAX_BYTES: Final = 524_288
"""Of a ledger: some 6,000 forks. A name whose oldest forks were forgotten is free a little sooner, no more."""
CONFIG: Final = StreamConfig(
    retention=Retention(max_bytes=MAX_BYTES, idle=365 * 86_400),
    attributes={"kind": "forks"},
)
MAX_LOOKUPS: Final = 1000
"""Forks that are looked for to answer one question; a name with more of them that are gone stays taken."""


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of the life `epoch` of a stream: it was forked, or (without a fork) deleted."""

    epoch: str
    fork: str = ""
    fork_epoch: str = ""


class Forks:
    """The ledgers of a store."""

    def __init__(self, services: Services) -> None:
        self._store = services.store

    async def add(self, source: str, epoch: str, fork: str, fork_epoch: str) -> None:
        """Notes that a stream was forked."""
        await self._write(source, _Entry(epoch, fork, fork_epoch))

    async def retire(self, source: str, epoch: str) -> None:
        """Notes, before it is done, that a stream is deleted: its name is taken as long as a fork of it is there."""
        entries = await self._entries(source)
        if await self._any_there(entries, {epoch}):
            await self._write(source, _Entry(epoch))
        elif entries:
            await self._forget(source)

    async def is_retired(self, name: str) -> bool:
        """Whether the name of a stream that is not there is still taken."""
        entries = await self._entries(name)
        if not entries:
            return False
        if await self._any_there(entries, {entry.epoch for entry in entries if not entry.fork}):
            return True
        await self._forget(name)
        return False

    async def _any_there(self, entries: Sequence[_Entry], epochs: set[str]) -> bool:
        """Whether a fork of these lives goes on; or was deleted, and a fork of that goes on."""
        # From the end: the newest fork is the likeliest to be there.
        waiting = [entry for entry in entries if entry.fork and entry.epoch in epochs]
        for _ in range(MAX_LOOKUPS):
            if not waiting:
                return False
            entry = waiting.pop()
            with suppress(StreamNotFound):
                if (await self._store.info(entry.fork)).epoch == entry.fork_epoch:
                    return True
            its = [further for further in await self._entries(entry.fork) if further.epoch == entry.fork_epoch]
            if any(not further.fork for further in its):
                waiting += [further for further in its if further.fork]
        return True

    async def _entries(self, name: str) -> list[_Entry]:
        try:
            info = await self._store.info(LEDGERS + name)
            page = await self._store.read(LEDGERS + name, info.first - 1, max_bytes=MAX_BYTES, max_records=MAX_BYTES)
        except StreamNotFound:
            return []
        return [_decode(record) for _, record in page.records]

    async def _write(self, name: str, entry: _Entry) -> None:
        record = _encode(entry)
        await self._store.create(LEDGERS + name, CONFIG)
        # Its own key: whoever repeats it says nothing new.
        [answer] = await self._store.append([Append(stream=LEDGERS + name, records=[record], keys=[record.decode()])])
        if isinstance(answer, TokentapeError):
            raise answer

    async def _forget(self, name: str) -> None:
        with suppress(StreamNotFound):
            await self._store.delete(LEDGERS + name)


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Entry).decode
