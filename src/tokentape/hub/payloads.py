"""Encoded backlogs that many watchers want at once, bounded by bytes over all streams of the process."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from tokentape.hub.view import Payload, View

MAX_PAYLOAD: Final = 65_536
"""Bytes of records in one payload, or one record if that is larger. It is what a watcher that stops reading keeps."""
MAX_KEPT: Final = 16_777_216
"""Bytes of payloads that are kept; those that nobody has asked for the longest leave first."""


class Key(NamedTuple):
    """A backlog: of the stream with this epoch, as a view shows it, from a place on."""

    epoch: str
    view: View
    after: int
    merged: bool


class _Kept(NamedTuple):
    payload: Payload
    head: int | None
    """Where the stream ended when the payload reached its end; None when it was cut by its size, for good."""


class Payloads:
    """A cache of encodings: one for all who resume from the same place."""

    def __init__(self, max_bytes: int = MAX_KEPT) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()

    def get(self, key: Key, *, head: int, closed: bool) -> Payload | None:
        """What was kept, unless the stream has grown or ended since in a way that changes it."""
        kept = self._kept.get(key)
        if kept is None or (kept.head is not None and (kept.head != head or (closed and not kept.payload.ended))):
            return None
        self._kept.move_to_end(key)
        return kept.payload

    def put(self, key: Key, payload: Payload, *, head: int) -> None:
        """Keeps an encoding of a stream that ends at `head`."""
        before = self._kept.pop(key, None)
        if before is not None:
            self._bytes -= before.payload.size
        self._kept[key] = _Kept(payload, head if payload.last >= head else None)
        self._bytes += payload.size
        while self._bytes > self._max_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].payload.size
