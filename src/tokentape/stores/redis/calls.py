"""A round as few script calls: entries of many streams in each, where all streams live on one server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from redis.exceptions import ResponseError

from tokentape.stores.base import Fence
from tokentape.stores.redis.entries import FAILED, Entry
from tokentape.stores.redis.keys import Keys
from tokentape.stores.redis.scripts import APPEND, Command

MAX_ENTRIES: Final = 128
MAX_BYTES: Final = 1_048_576
"""A call takes no further entry once it has as much: Redis serves nobody else for a millisecond or two meanwhile."""
BEFORE_RECORDS: Final = 7
"""Arguments of append.lua that come before the records."""

_encode: Final = msgspec.msgpack.Encoder().encode


class Rare(msgspec.Struct, omit_defaults=True, gc=False):
    """What most entries do not ask for; what is not asked for is not there."""

    keys: Sequence[str | None] | None = None
    epoch: str | None = None
    lease_ends: int | None = None
    """Of the lease that it needs, as looked up elsewhere."""
    producer: tuple[str, int, int] | None = None
    sequence: str | None = None
    close: bool = False
    harmless: bool = False
    """May be repeated whatever came of it."""


_NOTHING: Final = Rare()


class Head(NamedTuple):
    """What all entries of a round have in common."""

    clock: tuple[Any, Any]
    """Wall and steady, or empty for the server's."""
    origin: str
    round: int
    repeated: bool


class Call(NamedTuple):
    """Some entries, and the command that appends them; its answer has one for each of them, in this order."""

    entries: list[Entry]
    command: Command

    def answers(self, answer: Any) -> list[Any]:
        """An answer or an exception for each entry."""
        if isinstance(answer, BaseException):
            return [answer] * len(self.entries)
        return [ResponseError(each[1].decode()) if each[0] == FAILED else each for each in answer]


def calls(entries: Sequence[Entry], head: Head, keys: Keys, *, spread: bool) -> list[Call]:
    """Groups entries by stream, in their order, and streams into calls; one stream for each when they are `spread`."""
    streams: dict[str, list[Entry]] = {}
    for entry in entries:
        streams.setdefault(entry.append.stream, []).append(entry)
    found: list[Call] = []
    parts: dict[str, list[Entry]] = {}
    count = size = 0
    for name, mine in streams.items():
        for entry in mine:
            if count and (count >= MAX_ENTRIES or size + entry.size > MAX_BYTES or (spread and name not in parts)):
                found.append(_call(parts, head, keys))
                parts, count, size = {}, 0, 0
            parts.setdefault(name, []).append(entry)
            count += 1
            size += entry.size
    if parts:
        found.append(_call(parts, head, keys))
    return found


def _call(streams: dict[str, list[Entry]], head: Head, keys: Keys) -> Call:
    names: list[str] = []
    leases: dict[Fence, int] = {}
    records: list[bytes] = []
    plan: list[object] = [None]
    for name, entries in streams.items():
        names += keys.stream(name)
        plan += (name, len(entries))
        for entry in entries:
            append, lease, token = entry.append, 0, 0
            if append.fence is not None and entry.lease_ends is None:
                lease, token = leases.setdefault(append.fence, len(leases) + 1), append.fence.token
            plan += (entry.index, BEFORE_RECORDS + len(records), len(append.records), lease, token, _rare(entry))
            records += append.records
    plan[0] = [fence.lease for fence in leases]
    if leases:
        names.append(keys.leases)
    repeated = "r" if head.repeated else ""
    command = APPEND.command(
        names, *head.clock, keys.channel, head.origin, head.round, repeated, _encode(plan), *records
    )
    return Call([entry for entries in streams.values() for entry in entries], command)


def _rare(entry: Entry) -> Rare | bool:
    append = entry.append
    rare = Rare(
        keys=append.keys,
        epoch=append.epoch,
        lease_ends=entry.lease_ends,
        producer=append.producer,
        sequence=append.sequence,
        close=append.close,
        harmless=append.producer is not None
        or not append.records
        or (append.keys is not None and None not in append.keys),
    )
    return rare if rare != _NOTHING else False
