"""The tail of one stream: its newest entries in a bounded ring, and who watches it live.

Laws:
- `flushed ≤ head`; every live watcher's cursor is `flushed`, or beyond it because it joined since;
- the ring holds the contiguous offsets up to `head`, or nothing;
- a tail never skips: what was not handed in is read from the store by whoever needs it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from tokentape.core.merge import Entry
from tokentape.hub.view import Payload, View

if TYPE_CHECKING:
    from tokentape.hub.watcher import Watcher

CACHED_PAYLOADS: Final = 64
"""Encodings kept between two appends: enough for everybody who resumes at once from a few places."""

YIELD_EVERY: Final = 64
"""Watchers served between two looks at the clock."""


class Tail:
    """The live end of one stream, in memory."""

    __slots__ = (
        "_bytes",
        "_cache",
        "_max_bytes",
        "_max_records",
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

    def __init__(self, name: str, *, max_records: int, max_bytes: int, on_dirty: Callable[[Tail], None]) -> None:
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
        self._ring: deque[Entry] = deque()
        self._bytes = 0
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._cache: dict[tuple[View, int, int, bool], Payload] = {}

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
        fresh = entries[self.head - before :]
        self._ring.extend(fresh)
        self._bytes += sum(len(entry.record) for entry in fresh)
        while len(self._ring) > self._max_records or (self._bytes > self._max_bytes and len(self._ring) > 1):
            self._bytes -= len(self._ring.popleft().record)
        self.head += len(fresh)
        self.closed = self.closed or closed
        self._cache.clear()
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
        self._cache.clear()

    def since(self, after: int) -> Sequence[Entry] | None:
        """The entries after `after`; None when the ring no longer has them all."""
        count = self.head - after
        if count <= 0:
            return ()
        if count > len(self._ring):
            return None
        return list(islice(self._ring, len(self._ring) - count, None))

    def payload(self, view: View, after: int, *, merged: bool) -> Payload | None:
        """All entries after `after` as this view shows them, encoded once; None when the ring lacks some."""
        key = (view, after, self.head, merged)
        cached = self._cache.get(key)
        if cached is not None:
            return cached
        entries = self.since(after)
        if entries is None:
            return None
        assert self.epoch is not None
        made = view.encode(self.epoch, entries, last=self.head, merged=merged, closed=self.closed)
        if len(self._cache) < CACHED_PAYLOADS:
            self._cache[key] = made
        return made

    def flush(self) -> Iterator[None]:
        """Gives every live watcher what has come since the last flush; yields now and then to be interrupted."""
        after, self.flushed = self.flushed, self.head
        # Encoded before the first pause: what is accepted meanwhile belongs to the next flush.
        groups = [(tuple(group), self.payload(view, after, merged=False)) for view, group in self.live.items()]
        count = 0
        for watchers, payload in groups:
            for watcher in watchers:
                watcher.deliver(after, payload)
                count += 1
                if count % YIELD_EVERY == 0:
                    yield

    def join(self, watcher: Watcher) -> None:
        """Adds a watcher whose cursor is at the head."""
        if not self.live:
            self.flushed = self.head
        self.live.setdefault(watcher.view, {})[watcher] = None

    def leave(self, watcher: Watcher) -> None:
        """Removes a watcher from the live ones; without effect when it is not among them."""
        group = self.live.get(watcher.view)
        if group is not None:
            group.pop(watcher, None)
            if not group:
                del self.live[watcher.view]
