"""Long-poll: the same events as JSON, for whoever cannot hold a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.errors import CursorGone
from tokentape.core.merge import entries
from tokentape.core.resume import Outcome, Ready
from tokentape.dialects import native
from tokentape.dialects.native import Item
from tokentape.hub import Payload, Reader, View, Watcher
from tokentape.server.limits import check_audience
from tokentape.server.services import Services
from tokentape.server.transport import Peer
from tokentape.server.watching import Watch, is_over

READY: Final = "ready"
"""An item of this type comes when the watch starts over while it waits; here `outcome` says so."""


class Polled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Events after a position. Each is the event itself with its `cursor`, if it was stored."""

    events: list[msgspec.Raw]
    cursor: str
    """Where to go on: the next `from`."""
    outcome: Outcome
    reason: str | None = None
    """Of `gone`: `epoch`, `future` or `trimmed`."""
    ended: bool
    """Nothing will follow, ever."""


class _Poller(Reader):
    """A reader for one answer."""

    peer = Peer("long-poll", None)


async def poll(services: Services, watch: Watch, *, merge: bool, wait: float) -> Polled:
    """What there is after a position, at most about a page; when there is nothing, what comes within `wait` seconds.

    A client that polls counts as a watcher while it waits. Raises `StreamNotFound`.
    """
    place = watch.place
    check_audience(services.hub, place.stream, services.config.limits)
    view = View(native.items, watch.label, run=place.run, merge=merge)
    reader = _Poller()
    watcher = await services.hub.attach(place.stream, watch.start, view, reader)
    try:
        recorded = await _recorded(services, watcher)
        ended = recorded.ended or is_over(watch, watcher.ready, closed=False)
        if recorded.content or ended or not wait:
            return _polled(watcher.ready, recorded.content, last=recorded.last, ended=ended)
        watcher.start()
        await _until_something(reader, wait)
        # Before it is taken: taking makes room for what comes after it.
        last = watcher.cursor
        items = [item for item in reader.take() if item.event.type != READY]
        return _polled(watcher.ready, items, last=last, ended=reader.done)
    finally:
        watcher.leave()


async def _recorded(services: Services, watcher: Watcher) -> Payload:
    """What the store has after the watcher's position, at most a page of it."""
    nothing = Payload((), 0, watcher.cursor, ended=False)
    try:
        page = await services.store.read(watcher.tail.name, watcher.cursor)
    except CursorGone:
        return nothing  # trimmed in this moment: the watch itself, or the next poll, will tell
    if page.epoch != watcher.ready.cursor.epoch:
        return nothing
    last = page.records[-1][0] if page.records else page.last
    closed = page.closed and last == page.last
    return watcher.view.encode(
        page.epoch, entries(page.records), None, last=last, merged=True, closed=closed, current=last == page.last
    )


async def _until_something(reader: Reader, wait: float) -> None:
    try:
        async with asyncio.timeout(wait):
            await reader.wait()
    except TimeoutError:
        pass


def _polled(ready: Ready, items: Sequence[Item], *, last: int, ended: bool) -> Polled:
    return Polled(
        events=[_with_cursor(item) for item in items],
        cursor=str(Cursor(ready.cursor.epoch, last)),
        outcome=ready.outcome,
        reason=ready.reason,
        ended=ended,
    )


def _with_cursor(item: Item) -> msgspec.Raw:
    if item.cursor is None:
        return msgspec.Raw(item.record)
    return msgspec.Raw(b'%b,"cursor":"%b"}' % (item.record[:-1], str(item.cursor).encode()))
