"""The tail of one stream: its newest entries in a bounded ring, and who watches it live.

Laws:
- `flushed ≤ head`; every live watcher's cursor is `flushed`, or beyond it because it joined since;
- a group stands at the least cursor of its watchers, and its state is the dialect's there;
- the ring holds the contiguous offsets up to `head`, or nothing;
- a tail never skips: what was not handed in is read from the store by whoever needs it;
- a watcher may be ahead of `head`: it heard from the store what is on its way here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tokentape.core.merge import Entry
from tokentape.hub.metrics import HubMetrics
from tokentape.hub.payloads import MAX_PAYLOAD, Key, Payloads
from tokentape.hub.view import Payload, View
from tokentape.stores.base import Appended

if TYPE_CHECKING:
    from tokentape.hub.watcher import Watcher


RETURNS: Final = 100
"""Watchers that came back, as a tail remembers them."""

_UNKNOWN: Final = object()


class Group:
    """The live watchers of one view, the offset where the first of them stands, and the dialect's state there.

    The state is unknown after a flush for which everybody has to read for himself, until the first who did comes back.
    """

    __slots__ = ("after", "state", "watchers")

    def __init__(self, after: int, state: Any) -> None:
        self.after = after
        self.state = state
        self.watchers: dict[Watcher, None] = {}


class Delivery(msgspec.Struct):
    """Part of a flush: what has come since the last one, for all who look the same way."""

    payload: Payload | None
    """For those who have everything up to `after`; None when everybody has to read for himself."""
    after: int
    watchers: Sequence[Watcher]
    view: View
    epoch: str
    entries: Sequence[Entry] | None
    """Those after `after`; None when they are not at hand."""
    parts: dict[int, Payload] | None = None

    def part(self, after: int, state: Any) -> Payload:
        """The rest of the payload, for those who joined in between, and have everything up to `after`.

        The dialect's state there is `state`.
        """
        whole, entries = self.payload, self.entries
        assert whole is not None
        assert entries is not None
        if self.parts is None:
            self.parts = {}
        part = self.parts.get(after)
        if part is None:
            rest = [entry for entry in entries if entry.offset > after]
            part = self.view.encode(
                self.epoch, rest, state, last=whole.last, merged=False, closed=whole.ended, current=True
            )
            self.parts[after] = part
        return part


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
        "_shared",
        "attached",
        "closed",
        "epoch",
        "flushed",
        "head",
        "kind",
        "live",
        "metrics",
        "name",
        "on_dirty",
        "returns",
    )

    def __init__(
        self,
        name: str,
        payloads: Payloads,
        *,
        shared: bool,
        max_records: int,
        max_bytes: int,
        on_dirty: Callable[[Tail], None],
        metrics: HubMetrics,
    ) -> None:
        """`max_records` and `max_bytes` bound the ring; whoever needs older entries reads the store.

        `shared` says that other processes append to the store too; otherwise everything comes by `accept`.
        """
        self.name = name
        self.metrics = metrics
        self.kind: str | None = None
        """What the stream's own attributes call it, once that is known."""
        self.returns: deque[tuple[float, int]] | None = None
        """When watchers came back, in seconds since the Unix epoch, and at which offset: the latest of them. Most
        streams see none."""
        self._shared = shared
        self.epoch: str | None = None
        """None until the store, or an append, has told where the stream is."""
        self.head = 0
        self.flushed = 0
        self.closed = False
        self.attached: set[Watcher] = set()
        self.live: dict[View, Group] = {}
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
        # In a store of our own, what lies ahead has been committed a moment ago, and is on its way here.
        behind = self.epoch != epoch or (self._shared and self.head < last)
        if behind:
            self._jump(epoch, last)
        ends = closed and self.head == last and not self.closed
        self.closed = self.closed or ends
        if behind or ends:
            self.on_dirty(self)

    def accept(self, appended: Appended, entries: Sequence[Entry], size: int) -> None:
        """Takes entries that the store has just accepted, of so many bytes, in the order of acceptance."""
        before = appended.last - len(entries)
        if before != self.head or appended.epoch != self.epoch:
            if before > self.head or appended.epoch != self.epoch:
                # Made anew, or somebody else's appends lie between: those are in the store.
                self._jump(appended.epoch, before)
            entries = entries[self.head - before :]
            size = sum([len(entry.record) for entry in entries])
        ring = self._ring
        ring.extend(entries)
        self._bytes += size
        while len(ring) > self._max_records or (self._bytes > self._max_bytes and len(ring) > 1):
            self._bytes -= len(ring.popleft().record)
        self.head += len(entries)
        if appended.closed:
            self.closed = True
        if self.live:
            fresh = self._fresh
            if fresh is not None:
                fresh.extend(entries)
                self._fresh_bytes += size
                if self._fresh_bytes > MAX_PAYLOAD and len(fresh) > 1:
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

    def returned(self, at: float, offset: int) -> None:
        """A watcher came back, with this position."""
        if self.returns is None:
            self.returns = deque(maxlen=RETURNS)
        self.returns.append((at, offset))

    @property
    def ring_bytes(self) -> int:
        """Of the records in the ring."""
        return self._bytes

    @property
    def last_at(self) -> int:
        """When the newest event in the ring was recorded, in milliseconds since the Unix epoch; 0 for unknown."""
        return self._ring[-1].event.at if self._ring else 0

    def payload(self, view: View, after: int, state: Any, *, merged: bool) -> Payload | None:
        """What follows `after` as this view shows it, up to `MAX_PAYLOAD`; None when the ring no longer has it.

        The dialect's state at `after` is `state`.
        """
        assert self.epoch is not None, "a watcher is attached"
        key = Key(self.epoch, view, after, merged)
        known = self._payloads.get(key, head=self.head, closed=self.closed)
        if known is not None:
            return known
        entries = self._since(after)
        if entries is None:
            return None
        last = entries[-1].offset if entries else max(after, self.head)
        closed = self.closed and last == self.head
        made = view.encode(
            self.epoch, entries, state, last=last, merged=merged, closed=closed, current=last == self.head
        )
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
        assert self.epoch is not None, "somebody watches"
        deliveries: list[Delivery] = []
        for view, group in self.live.items():
            stood, state, entries = group.after, group.state, fresh
            group.after, group.state = self.head, _UNKNOWN
            payload = None
            if entries is not None and state is not _UNKNOWN:
                if stood > after:
                    entries = [entry for entry in entries if entry.offset > stood]
                payload = view.encode(
                    self.epoch, entries, state, last=self.head, merged=False, closed=self.closed, current=True
                )
                group.state = payload.state
            deliveries.append(Delivery(payload, stood, tuple(group.watchers), view, self.epoch, entries))
        return deliveries

    def join(self, watcher: Watcher) -> None:
        """Adds a watcher whose cursor is at the head."""
        if not self.live:
            self.flushed = self.head
            self._fresh = []
            self._fresh_bytes = 0
        group = self.live.get(watcher.view)
        if group is None:
            group = self.live[watcher.view] = Group(watcher.cursor, watcher.told)
        elif group.state is _UNKNOWN:
            # Those who are still where it was before are behind now.
            group.after, group.state = watcher.cursor, watcher.told
        group.watchers[watcher] = None

    def leave(self, watcher: Watcher) -> None:
        """Removes a watcher from the live ones; without effect when it is not among them."""
        group = self.live.get(watcher.view)
        if group is not None:
            group.watchers.pop(watcher, None)
            if not group.watchers:
                del self.live[watcher.view]
