"""The flush loop: at once when idle; under load each write carries what came since the last one (design §5.4).

Laws:
- all that is accepted in one turn of the event loop leaves in one write per watcher;
- flushes use no more than a share of the time, so that the rest of the process goes on, and what waits grows
  into fewer and larger writes instead of into a queue;
- a flush holds the event loop for a slice at a time: new connections and other streams never wait for its end;
- the more others have to do, the smaller is the share, down to `MIN_SHARE`: a thousand clients that connect at once are
  let in first, and the events of those who watch already leave in fewer and larger writes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from socket import socket
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final

from tokentape.core.metrics import Histogram
from tokentape.core.session import State
from tokentape.hub.sending import Sender
from tokentape.hub.tail import Delivery, Tail
from tokentape.hub.view import NOTHING, Payload

if TYPE_CHECKING:
    from tokentape.hub.watcher import Watcher

_log = logging.getLogger(__name__)

BATCH: Final = 128
"""Watchers served together, between two looks at the clock: some 600 µs."""
MIN_SHARE: Final = 0.15
"""Of the time, for flushes, when others could use all of it."""
MAX_SLICE: Final = 0.03
"""Seconds of a slice at most, however long others have just held the loop."""


class Flusher:
    """Carries what tails have accepted to their live watchers."""

    def __init__(self, sender: Sender, *, share: float, slice_: float, delivery: Histogram) -> None:
        """The share is of one core; the slice is in seconds. `delivery` is told how old events are when they leave."""
        self._sender = sender
        self._share = share
        self._slice = slice_
        self._dirty: dict[Tail, None] = {}
        self._flushing: Iterator[None] | None = None
        self._scheduled: asyncio.Handle | None = None
        self._running = False
        self._not_before = 0.0
        self._seen_cpu = 0.0
        self._delivery = delivery
        # When the oldest event was accepted of what waits, and of what is being flushed.
        self._waits_since = 0.0
        self._flushes_since = 0.0

    def touch(self, tail: Tail) -> None:
        """A tail has something for its live watchers."""
        if tail.live:
            if not self._dirty:
                self._waits_since = monotonic()
            self._dirty[tail] = None
            if self._scheduled is None:
                self._schedule()

    def hurry(self) -> None:
        """Flushes in this turn of the loop what would have its turn in the next one."""
        # Not from within a flush: what an outlet does there may record something.
        if self._scheduled is not None and not self._running and self._not_before <= monotonic():
            self._scheduled.cancel()
            self._flush()

    def flush_now(self) -> None:
        """Delivers everything, without a pause."""
        while self._flushing is not None or self._dirty:
            for _ in self._flushing or ():
                pass
            self._flushing = self._begin() if self._dirty else None

    def cancel(self) -> None:
        """Stops for good."""
        if self._scheduled is not None:
            self._scheduled.cancel()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        wait = self._not_before - monotonic()
        # call_soon, so that all that is accepted in one turn of the loop leaves in one write.
        self._scheduled = loop.call_soon(self._flush) if wait <= 0 else loop.call_later(wait, self._flush)

    def _begin(self) -> Iterator[None]:
        tails, self._dirty = self._dirty, {}
        self._flushes_since = self._waits_since
        return _deliver(tails, self._sender)

    def _flush(self) -> None:
        started = monotonic()
        slice_ = next_slice(self._slice, others=thread_time() - self._seen_cpu)
        self._running, complete = True, True
        try:
            complete = self._deliver_until(started + slice_)
        finally:
            # Also after a mistake of ours: whoever was left out is behind, and the next flush must come.
            self._running = False
            self._rest(started)
            self._scheduled = None
            if not complete:
                self._scheduled = asyncio.get_running_loop().call_soon(self._flush)
            else:
                self._flushing = None
                if self._dirty:
                    self._schedule()

    def _deliver_until(self, end: float) -> bool:
        if self._flushing is None:
            self._flushing = self._begin()
        for _ in self._flushing:
            now = monotonic()
            self._delivery.add(now - self._flushes_since)
            if now > end:
                return False
        self._delivery.add(monotonic() - self._flushes_since)
        return True

    def _rest(self, started: float) -> None:
        self._seen_cpu = thread_time()
        begin = max(self._not_before, started)
        self._not_before = begin + (monotonic() - started) / self._share


def next_slice(usual: float, *, others: float) -> float:
    """Seconds for which a flush may hold the loop, after others have held it for so many since its last slice.

    Those who hold it for less than a usual slice leave it half of the time at the least. From there on it gives way,
    until it has its least share: where a turn of the loop takes others long, even that is a long slice.
    """
    giving_way = usual * min(1.0, usual / others) if others > 0 else usual
    return max(giving_way, min(MAX_SLICE, others * MIN_SHARE / (1 - MIN_SHARE)))


_Part = tuple[Payload, "list[Watcher]", list[socket]]
"""Watchers in step, who get one payload as it is."""


def _deliver(tails: Iterable[Tail], sender: Sender) -> Iterator[None]:
    """Gives every live watcher its part; yields now and then to be interrupted. This is the innermost loop."""
    live = State.LIVE
    parts: list[_Part] = []
    others: list[tuple[Watcher, Delivery]] = []
    left = BATCH
    for tail in tails:
        metrics = tail.metrics
        # Encoded before the first pause: what is accepted meanwhile belongs to the next flush.
        try:
            deliveries = tail.flush()
        except Exception:  # noqa: BLE001 - an event that cannot be encoded is not the other streams' trouble
            # Its watchers are behind now; whoever meets that event again is let go there.
            _log.exception("events of %s could not be encoded", tail.name)
            continue
        for delivery in deliveries:
            payload, after, everybody = delivery.payload, delivery.after, delivery.watchers
            plain = NOTHING if payload is None or payload.ended else payload
            last, size, told = plain.last, plain.size, plain.state
            for some in (everybody,) if len(everybody) <= left else _pieces(everybody, left):
                left -= len(some)
                watchers: list[Watcher] = []
                sockets: list[socket] = []
                for watcher in some:
                    if size and watcher.cursor == after and watcher.state is live and (sock := watcher.outlet.socket):
                        watcher.cursor = last
                        watcher.told = told
                        watchers.append(watcher)
                        sockets.append(sock)
                    else:
                        others.append((watcher, delivery))
                if watchers:
                    parts.append((plain, watchers, sockets))
                    served = len(watchers)
                    metrics.delivered += plain.count * served
                    metrics.bytes_out += size * served
                if not left:
                    _send(parts, others, sender)
                    parts, others, left = [], [], BATCH
                    yield
    _send(parts, others, sender)


def _pieces(everybody: Sequence[Watcher], first: int) -> Iterator[Sequence[Watcher]]:
    """So many of them, and then a batch at a time."""
    yield everybody[:first]
    for start in range(first, len(everybody), BATCH):
        yield everybody[start : start + BATCH]


def _send(parts: list[_Part], others: list[tuple[Watcher, Delivery]], sender: Sender) -> None:
    taken = sender.send([(payload.content, sockets) for payload, _, sockets in parts])
    if taken is not None:
        counts = iter(taken)
        for payload, watchers, _ in parts:
            for watcher in watchers:
                count = next(counts)
                if count != payload.size:
                    with _contained(watcher):
                        watcher.outlet.write(watcher, payload.after(count))
    # After the sockets have been used: these may close connections, or fill them.
    for watcher, delivery in others:
        with _contained(watcher):
            watcher.deliver(delivery)


@contextmanager
def _contained(watcher: Watcher) -> Iterator[None]:
    try:
        yield
    except Exception:  # noqa: BLE001 - the others are to have their part
        _log.exception("a watcher of %s failed", watcher.tail.name)
        try:
            watcher.lost()
        except Exception as error:  # noqa: BLE001 - as above
            context = {"message": "A watcher that failed could not be let go.", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
