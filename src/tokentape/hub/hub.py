"""The hub of a process: tails by name, the flush loop over them, and the one way to write and to watch."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from itertools import count
from time import monotonic, time
from typing import Any, Final

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.errors import CursorGone, ShuttingDown
from tokentape.core.events import SYSTEM_PREFIX, Event, decode_event, encode_event
from tokentape.core.merge import Entry
from tokentape.core.resume import From, locate
from tokentape.core.session import State
from tokentape.dialects import native
from tokentape.hub.flusher import Flusher
from tokentape.hub.infos import Infos
from tokentape.hub.metrics import HubMetrics
from tokentape.hub.pages import Pages
from tokentape.hub.payloads import Payloads
from tokentape.hub.reader import Reader
from tokentape.hub.recorder import Recorder, Writer
from tokentape.hub.sending import OneByOne, Sender
from tokentape.hub.states import States
from tokentape.hub.tail import Tail
from tokentape.hub.view import View
from tokentape.hub.watcher import Outlet, Watcher, check_begin
from tokentape.stores.base import Append, Appended, Broadcasting, Fence, Notifying, Standing, Store

_log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 5.0
"""What watchers that are behind get, when the server goes away; then they fetch the rest elsewhere."""
STALL_SECONDS: Final = 0.5
"""After which a watcher that got no further is not waited for."""
SETTLE_TICK: Final = 0.05


class HubLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the live part. The share is of one core; times are in seconds."""

    ring_records: int = 1024
    ring_bytes: int = 262_144
    idle_tails: int = 512
    """Tails kept for streams that nobody watches now, for those who come back."""
    flush_share: float = 0.8
    """The next flush starts when flushes have used no more than this share of the time (design §5.4)."""
    flush_slice: float = 0.003
    """How long a flush may hold the loop before others get a turn."""


class Hub:
    """The live part of a process."""

    def __init__(self, store: Store, limits: HubLimits | None = None, *, sender: Sender | None = None) -> None:
        self.store = store
        self._sender = sender or OneByOne()
        self._limits = limits or HubLimits()
        self._tails: dict[str, Tail] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        self.metrics = HubMetrics()
        # Of the server's own streams: what it tells itself is nobody's traffic.
        self._own_metrics = HubMetrics()
        self._flusher = Flusher(
            self._sender,
            share=self._limits.flush_share,
            slice_=self._limits.flush_slice,
            delivery=self.metrics.delivery,
        )
        self._numbers = count(1)
        self._recorder = Recorder(store, self._accepted, self._flusher.hurry)
        self._payloads = Payloads()
        self._pages = Pages(store, self._payloads, self.spawn)
        self._infos = Infos(store)
        self._states = States(store)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._hearers: dict[str, Callable[[bytes], None]] = {}
        self._forget_store = [store.notify(self._hinted)] if isinstance(store, Notifying) else []
        if isinstance(store, Broadcasting):
            self._forget_store.append(store.listen(self._heard))
        self.on_audience: list[Callable[[str, int], None]] = []
        """Called with a stream's name and its number of watchers here, whenever that changes."""

    # Writing

    async def append(self, item: Append, events: Sequence[Event]) -> Appended:
        """Records events and waits for acceptance; raises what the store answered. `item.records` is set here."""
        return await self._recorder.append(item, events)

    async def append_raw(self, item: Append) -> Appended:
        """As `append`, for records of a stream that is not of events."""
        return await self._recorder.append_raw(item)

    def writer(self, stream: str, *, fence: Fence | None = None) -> Writer:
        """A writer that takes events without waiting, for a run."""
        return self._recorder.writer(stream, fence=fence)

    def broadcast(self, stream: str, event: Event) -> None:
        """Shows an event to whoever watches now, through any process of the store, without storing it.

        Raises `InvalidEvent`, and `TooLarge` for more than `MAX_BROADCAST` bytes.
        """
        self.tell(stream, encode_event(event))

    def tell(self, topic: str, record: bytes) -> None:
        """Tells every process of the store; see `hear`."""
        if isinstance(self.store, Broadcasting):
            self.store.broadcast(topic, record)
        else:
            self._heard(topic, record)

    def hear(self, topic: str, hearer: Callable[[bytes], None]) -> None:
        """Hands what is told under this name to one hearer, instead of showing it; see `forget`."""
        self._hearers[topic] = hearer

    def forget(self, topic: str) -> None:
        """Ends a `hear`."""
        self._hearers.pop(topic, None)

    def show(self, stream: str, event: Event) -> None:
        """Shows an event to whoever watches now through this process.

        One of a run is not for those who watch another run on the same channel.
        """
        tail = self._tails.get(stream)
        for view, group in list(tail.live.items()) if tail is not None else ():
            if event.run is not None and view.run not in (None, event.run):
                continue
            payload = view.ephemeral(event)
            for watcher in tuple(group.watchers):
                watcher.ephemeral(payload)

    def _heard(self, topic: str, record: bytes) -> None:
        # Every process hears of every stream, so what concerns nobody here has to cost next to nothing.
        if (hearer := self._hearers.get(topic)) is not None:
            hearer(record)
        elif (tail := self._tails.get(topic)) is not None and tail.live:
            self.show(topic, decode_event(record))

    async def delete(self, stream: str) -> None:
        """Deletes a stream; its watchers are told that it is gone."""
        await self.store.delete(stream)
        tail = self._tails.pop(stream, None)
        self._idle.pop(stream, None)
        if tail is not None:
            for watcher in tuple(tail.attached):
                watcher.shut_down(CursorGone(f"The stream {stream!r} was deleted.", reason="deleted"))

    # Watching

    async def attach(self, stream: str, start: From, view: View, outlet: Outlet, *, begin: int = 0) -> Watcher:
        """Adds a watcher; call its `start` to begin. The view's run, if it is of one, begins after the offset `begin`.

        Raises `StreamNotFound`, and `CursorGone` when the view's dialect has no way to start over.
        """
        if self._closing:
            raise ShuttingDown("This server is going away; connect again in a moment.")
        # In the map before the store is asked: what is accepted meanwhile reaches it.
        tail = self._tail(stream)
        try:
            info = await self._infos.get(stream)
            ready = locate(start, epoch=info.epoch, first=info.first, last=info.last)
            check_begin(stream, view, ready)
            told = await self._states.at(stream, info.epoch, view, begin=begin, offset=ready.cursor.offset)
        except BaseException:
            # A caller that is cancelled here must not leave the tail behind.
            self._retire(tail)
            raise
        tail.learn(info.epoch, info.last, closed=info.closed)
        tail.kind = kind if isinstance(kind := info.config.attributes.get("kind"), str) else None
        watcher = Watcher(self, tail, view, outlet, ready, told=told, number=next(self._numbers), since=time())
        tail.metrics.outcomes[ready.outcome] += 1
        # A run on a channel has its own beginning, which is nobody's position yet.
        if isinstance(start, Cursor) and start.offset != begin:
            tail.metrics.reconnects += 1
            if ready.cursor == start:
                tail.returned(watcher.since, start.offset)
        tail.attached.add(watcher)
        self._idle.pop(stream, None)
        self._tell_audience(tail)
        return watcher

    async def told(self, stream: str, start: From, view: View, *, begin: int = 0) -> tuple[Cursor, Any]:
        """Where a watcher would begin, and what its dialect's state would be there; raises as `attach` does."""
        info = await self._infos.get(stream)
        ready = locate(start, epoch=info.epoch, first=info.first, last=info.last)
        check_begin(stream, view, ready)
        offset = ready.cursor.offset
        return ready.cursor, await self._states.at(stream, info.epoch, view, begin=begin, offset=offset)

    @asynccontextmanager
    async def reading(
        self, stream: str, start: From, *, run: str | None = None, merge: bool = True
    ) -> AsyncIterator[Reader]:
        """A pulling watcher in this process, as `async for` over its items; raises `StreamNotFound`."""
        reader = Reader()
        watcher = await self.attach(stream, start, View(native.items, stream, run=run, merge=merge), reader)
        try:
            watcher.start()
            yield reader
        finally:
            watcher.leave()

    def audience(self, stream: str) -> int:
        """How many watch a stream through this process."""
        tail = self._tails.get(stream)
        return len(tail.attached) if tail is not None else 0

    def watchers(self) -> int:
        """How many watch anything through this process; those who follow the server's own streams are no watchers."""
        return sum(len(tail.attached) for tail in self._tails.values() if not tail.name.startswith(SYSTEM_PREFIX))

    def tails(self) -> Collection[Tail]:
        """The streams that are, or were a moment ago, watched or written through this process; not to be changed."""
        return self._tails.values()

    def tail(self, stream: str) -> Tail | None:
        """One of them."""
        return self._tails.get(stream)

    def detached(self, watcher: Watcher) -> None:
        """A watcher has closed."""
        tail = watcher.tail
        tail.attached.discard(watcher)
        self._tell_audience(tail)
        self._retire(tail)

    def _tell_audience(self, tail: Tail) -> None:
        for listener in self.on_audience:
            listener(tail.name, len(tail.attached))

    def fetch(self, watcher: Watcher) -> None:
        """Reads the store for a watcher that is behind the ring."""
        self._pages.fetch(watcher)

    # Life

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs work in the background, until the hub closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Takes no new watchers, and lets those that are behind get what is recorded, before they are sent elsewhere.

        It waits for so long at most, and for `STALL_SECONDS` while nobody gets anywhere.
        """
        self._closing = True
        self._flusher.flush_now()
        behind, stalled, end = self._behind(), 0.0, monotonic() + seconds
        while behind and monotonic() < end and stalled < STALL_SECONDS:
            await asyncio.sleep(SETTLE_TICK)
            before, behind = behind, self._behind()
            stalled = stalled + SETTLE_TICK if behind == before else 0.0

    def _behind(self) -> dict[Watcher, tuple[int, State]]:
        """Where those are who do not have everything yet."""
        return {
            watcher: (watcher.cursor, watcher.state)
            for tail in self._tails.values()
            for watcher in tail.attached
            if watcher.state is not State.LIVE or not watcher.outlet.writable
        }

    def drain(self) -> None:
        """Takes no new watchers and ends those that are here, so that they reconnect elsewhere."""
        self._closing = True
        # What is recorded is shown first: who has seen the end of a run must not be cut.
        self._flusher.flush_now()
        for tail in tuple(self._tails.values()):
            for watcher in tuple(tail.attached):
                watcher.shut_down(ShuttingDown("This server is going away; reconnect with your cursor."))

    async def aclose(self) -> None:
        """Drains, and waits until everything that was handed in is recorded."""
        self.drain()
        for forget in self._forget_store:
            forget()
        await self._recorder.aclose()
        self._states.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._flusher.cancel()
        self._sender.close()

    # Tails

    def _tail(self, stream: str) -> Tail:
        tail = self._tails.get(stream)
        if tail is None:
            limits = self._limits
            tail = Tail(
                stream,
                self._payloads,
                shared=isinstance(self.store, Notifying),
                max_records=limits.ring_records,
                max_bytes=limits.ring_bytes,
                on_dirty=self._flusher.touch,
                metrics=self._metrics_of(stream),
            )
            self._tails[stream] = tail
        return tail

    def _retire(self, tail: Tail) -> None:
        if tail.attached or self._tails.get(tail.name) is not tail:
            return
        self._idle[tail.name] = None
        self._idle.move_to_end(tail.name)
        while len(self._idle) > self._limits.idle_tails:
            del self._tails[self._idle.popitem(last=False)[0]]

    def _metrics_of(self, stream: str) -> HubMetrics:
        return self._own_metrics if stream.startswith(SYSTEM_PREFIX) else self.metrics

    def _accepted(self, stream: str, appended: Appended, placed: Sequence[Entry], size: int) -> None:
        tail = self._tails.get(stream)
        if tail is None:
            self._metrics_of(stream).events += len(placed)
        else:
            tail.metrics.events += len(placed)
            tail.accept(appended, placed, size)

    def _hinted(self, standing: Standing) -> None:
        tail = self._tails.get(standing.stream)
        # A tail that does not know yet where its stream is, is asking the store at this moment.
        if tail is not None and tail.epoch is not None:
            tail.learn(standing.epoch, standing.last, closed=standing.closed)
