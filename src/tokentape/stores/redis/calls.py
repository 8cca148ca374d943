"""A round as few script calls: entries of many streams in each, where all streams live on one server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from redis.exceptions import ResponseError

from tokentape.stores.base import Fence
from tokentape.stores.redis.entries import FAILED, Entry
from tokentape.stores.redis.keys import Keys
from tokentape.stores.redis.scripts import APPEND, Command, Value

MAX_ENTRIES: Final = 128
MAX_BYTES: Final = 1_048_576
"""A call takes no further entry once it has as much: Redis serves nobody else for a millisecond or two meanwhile."""


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
            if count and (
                count >= MAX_ENTRIES or size + entry.size > MAX_BYTES or (spread and name not in parts)
            ):
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
    body: list[Value] = []
    for name, entries in streams.items():
        names += keys.stream(name)
        of_stream: list[Value] = []
        for entry in entries:
            arguments = entry.arguments(leases)
            of_stream.append(len(arguments))
            of_stream += arguments
        body += (name, len(entries), len(of_stream))
        body += of_stream
    if leases:
        names.append(keys.leases)
    command = APPEND.command(
        names, *head.clock, keys.channel, head.origin, head.round, "r" if head.repeated else "",
        len(leases), *[fence.lease for fence in leases], *body,
    )  # fmt: skip
    return Call([entry for entries in streams.values() for entry in entries], command)
