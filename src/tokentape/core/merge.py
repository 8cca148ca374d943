"""Merging: adjacent mergeable events of one run become one event that bears the last one's offset.

Laws (tests/core/test_merge.py):
- what a client assembles from merged entries equals what it assembles from the originals;
- merging is idempotent, and merging the parts of a split and then the results gives the same;
- offsets stay strictly increasing, and the last one is unchanged.

Stored records are never rewritten: this is for whoever is behind, at encoding time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from tokentape.core.events import MERGEABLE, Event, decode_event, encode_event


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One record with its place: `offset`, the stored bytes, the event that they spell, and how many were merged.

    The rings hold hundreds of thousands of them, which the garbage collector need not visit: see `Event`.
    """

    offset: int
    record: bytes
    event: Event
    count: int = 1


RAW: Final = Event(type="$raw", data=None)
"""What an entry has for an event when its record is none: any bytes, of a stream that is not of events."""


def raw_entries(records: Iterable[tuple[int, bytes]]) -> list[Entry]:
    """A page of (offset, record) pairs as entries whose records are any bytes."""
    return [Entry(offset, record, RAW) for offset, record in records]


def entries(records: Iterable[tuple[int, bytes]]) -> list[Entry]:
    """Decodes a page of (offset, record) pairs."""
    return [Entry(offset, record, decode_event(record)) for offset, record in records]


def merge(items: Sequence[Entry]) -> list[Entry]:
    """The same story in as few entries as possible."""
    merged: list[Entry] = []
    group: list[Entry] = []
    for entry in items:
        if group and _joins(group[-1].event, entry.event):
            group.append(entry)
        else:
            if group:
                merged.append(_concatenate(group))
            group = [entry]
    if group:
        merged.append(_concatenate(group))
    return merged


def _joins(left: Event, right: Event) -> bool:
    # Without a run there is no telling whose text it is, so such events stay apart.
    if left.type != right.type or left.type not in MERGEABLE or left.run is None or left.run != right.run:
        return False
    # Its publisher looks for this very event by its id.
    if left.id is not None or right.id is not None:
        return False
    if left.type != "tool_call_delta":
        return isinstance(left.data, str) and isinstance(right.data, str)
    return _is_delta(left.data) and _is_delta(right.data) and left.data["id"] == right.data["id"]


def _is_delta(data: Any) -> bool:
    if not isinstance(data, dict) or data.keys() != {"id", "arguments"}:
        return False
    # Only text: 1 and True are equal to Python, and two calls to everybody else.
    return isinstance(data["id"], str) and isinstance(data["arguments"], str)


def _concatenate(group: list[Entry]) -> Entry:
    last = group[-1]
    if len(group) == 1:
        return last
    data: Any
    if last.event.type == "tool_call_delta":
        data = {"id": last.event.data["id"], "arguments": "".join(e.event.data["arguments"] for e in group)}
    else:
        data = "".join(e.event.data for e in group)
    event = Event(type=last.event.type, run=last.event.run, data=data, at=last.event.at)
    return Entry(last.offset, encode_event(event), event, sum([entry.count for entry in group]))
