"""The tail of one stream: its newest entries in a bounded ring, and who watches it live.

Laws:
- `flushed ≤ head`; every live watcher's cursor is `flushed`, or beyond it because it joined since;
- the ring holds the contiguous offsets up to `head`, or nothing;
- a tail never skips: what was not handed in is read from the store by whoever needs it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from tokentape.core.merge import Entry
from tokentape.hub.payloads import MAX_PAYLOAD, Key, Payloads
from tokentape.hub.view import Payload, View

if TYPE_CHECKING:
    from tokentape.hub.watcher import Watcher


class Delivery(NamedTuple):
    """Part of a flush: one payload for all who look the same way; None when they have to read for themselves."""

    payload: Payload | None
    after: int
    watchers: Sequence[Watcher]


class Tail:
    """The live end of one stream, in memory."""

    __slots__ = (
        "_bytes",
        "_fresh",
        "_fresh_bytes",
        "_max_bytes",
        "_max_records",
        "_payloads",
        "_ring",
        "attached",
        "closed",
        "epoch",
        "flushed",
        "head",
        "live",
        "name",
        "on_dirty",
    )

    def __init__(
        self,
        name: str,
        payloads: Payloads,
        *,
        max_records: int,
        max_bytes: int,
        on_dirty: Callable[[Tail], None],
    ) -> None:
        """`max_records` and `max_bytes` bound the ring; whoever needs older entries reads the store."""
        self.name = name
        self.epoch: str | None = None
        """None until the store, or an append, has told where the stream is."""
        self.head = 0
        self.flushed = 0
        self.closed = False
        self.attached: set[Watcher] = set()
        self.live: dict[View, dict[Watcher, None]] = {}
        self.on_dirty = on_dirty
        self._payloads = payloads
        self._ring: deque[Entry] = deque()
        self._bytes = 0
        self._max_records = max_records
        self._max_bytes = max_bytes
        # What the next flush carries: the entries in (flushed, head], None when they are not all at hand.
        self._fresh: list[Entry] | None = []
        self._fresh_bytes = 0

    def learn(self, epoch: str, last: int, *, closed: bool) -> None:
        """Takes what the store says of the stream; keeps what it already knows better."""
        behind = self.epoch != epoch or self.head < last
        if behind:
            self._jump(epoch, last)
        ends = closed and self.head == last and not self.closed
        self.closed = self.closed or ends
        if behind or ends:
            self.on_dirty(self)

    def accept(self, epoch: str, entries: Sequence[Entry], *, last: int, closed: bool) -> None:
        """Takes entries that the store has just accepted, the final one at `last`, in the order of acceptance."""
        before = last - len(entries)
        if epoch != self.epoch or before > self.head:
            # Made anew, or somebody else's appends lie between: those are in the store.
            self._jump(epoch, before)
        if before < self.head:
            entries = entries[self.head - before :]
        size = sum([len(entry.record) for entry in entries])
        self._ring.extend(entries)
        self._bytes += size
        while len(self._ring) > self._max_records or (self._bytes > self._max_bytes and len(self._ring) > 1):
            self._bytes -= len(self._ring.popleft().record)
        self.head += len(entries)
        self.closed = self.closed or closed
        if self.live and self._fresh is not None:
            self._fresh.extend(entries)
            self._fresh_bytes += size
            if self._fresh_bytes > MAX_PAYLOAD and len(self._fresh) > 1:
                # Too much for one write: everybody catches up from the ring, in pieces that they share.
                self._fresh = None
        self.on_dirty(self)

    def _jump(self, epoch: str, head: int) -> None:
        if epoch != self.epoch:
            # No watcher of the old epoch may take a flush of the new one for its own next.
            self.flushed = -1
            self.closed = False
        self.epoch = epoch
        self.head = head
        self._ring.clear()
        self._bytes = 0
        self._fresh = None

    def payload(self, view: View, after: int, *, merged: bool) -> Payload | None:
        """What follows `after` as this view shows it, up to `MAX_PAYLOAD`; None when the ring no longer has it."""
        assert self.epoch is not None, "a watcher is attached"
        key = Key(self.epoch, view, after, merged)
        known = self._payloads.get(key, head=self.head, closed=self.closed)
        if known is not None:
            return known
        entries = self._since(after)
        if entries is None:
            return None
        last = entries[-1].offset if entries else self.head
        closed = self.closed and last == self.head
        made = view.encode(self.epoch, entries, last=last, merged=merged, closed=closed)
        self._payloads.put(key, made, head=self.head)
        return made

    def _since(self, after: int) -> Sequence[Entry] | None:
        count = self.head - after
        if count <= 0:
            return ()
        if count > len(self._ring):
            return None
        # From the right, where most of those who read it are.
        entries = list(islice(reversed(self._ring), count))
        entries.reverse()
        size = 0
        for place, entry in enumerate(entries):
            size += len(entry.record)
            if size > MAX_PAYLOAD and place:
                return entries[:place]
        return entries

    def flush(self) -> list[Delivery]:
        """What has come since the last flush, encoded now, and who is to have it."""
        after, self.flushed = self.flushed, self.head
        fresh, self._fresh, self._fresh_bytes = self._fresh, [], 0
        if fresh is None or self.epoch is None:
            return [Delivery(None, after, tuple(group)) for group in self.live.values()]
        return [
            Delivery(
                view.encode(self.epoch, fresh, last=self.head, merged=False, closed=self.closed), after, tuple(group)
            )
            for view, group in self.live.items()
        ]

    def join(self, watcher: Watcher) -> None:
        """Adds a watcher whose cursor is at the head."""
        if not self.live:
            self.flushed = self.head
            self._fresh = []
            self._fresh_bytes = 0
        self.live.setdefault(watcher.view, {})[watcher] = None

    def leave(self, watcher: Watcher) -> None:
        """Removes a watcher from the live ones; without effect when it is not among them."""
        group = self.live.get(watcher.view)
        if group is not None:
            group.pop(watcher, None)
            if not group:
                del self.live[watcher.view]
