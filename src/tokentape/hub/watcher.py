"""A watcher: a cursor over a stream plus a connection. It has no queue: what it lacks, the tail or the store has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from socket import socket
from typing import Any, Protocol

from tokentape.core.cursor import Cursor
from tokentape.core.errors import CursorGone, TokentapeError
from tokentape.core.resume import Ready, locate
from tokentape.core.session import Action, Input, State, step
from tokentape.hub.tail import Delivery, Tail
from tokentape.hub.view import Payload, View
from tokentape.stores.base import Page, Store

_log = logging.getLogger(__name__)


class Outlet(Protocol):
    """The connection side of one or more watchers: it takes payloads and says when it is full.

    It MUST NOT block, and MUST take what it is given even when that fills it: the hub writes nothing more
    while `writable` is false, so an outlet holds at most one payload for each of its watchers beyond its
    own limit. When it is writable again it MUST call `resume` of its watchers; when the last byte after
    `ended` has left, `flushed`; when the connection is lost or stands still past its deadline, `lost`.
    """

    @property
    def socket(self) -> socket | None:
        """The connection itself, where the content of payloads may go to it as it is: then the hub sends it.

        What it does not take goes to `write`, at once. It MUST be None while `writable` is false. Without it the hub
        calls `write` for everything.
        """
        ...

    @property
    def writable(self) -> bool: ...

    def ready(self, watcher: Watcher, ready: Ready) -> None:
        """A view begins, or starts over after `gone` in mid-watch."""
        ...

    def write(self, watcher: Watcher, payload: Payload) -> None: ...

    def ended(self, watcher: Watcher) -> None:
        """The last payload of this watcher has been written; answer with `watcher.flushed()` once it has left."""
        ...

    def finish(self, watcher: Watcher) -> None:
        """End this view cleanly."""
        ...

    def abort(self, watcher: Watcher, error: TokentapeError | None) -> None:
        """End this view so that nobody takes it for a whole one. No error: the connection was lost anyway."""
        ...


class Spawner(Protocol):
    """What a watcher needs of the hub."""

    store: Store

    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...

    def fetch(self, watcher: Watcher) -> None:
        """Reads the store from the watcher's cursor, and calls it back: `took_page`, `took_nothing` or `failed`."""
        ...

    def detached(self, watcher: Watcher) -> None: ...


def check_begin(stream: str, view: View, ready: Ready) -> None:
    """Raises `CursorGone` for a view that would have to start over, in a format that has no way to say so."""
    if ready.outcome == "gone" and not view.dialect.starts_over:
        message = f"What follows this position of {stream!r} can no longer be had. Watch it from the start."
        raise CursorGone(message, reason=ready.reason)


class Watcher:
    """One watch. `cursor` is the offset up to which everything has been handed to the outlet.

    `told` is the dialect's state there.
    """

    __slots__ = ("_hub", "_reading", "cursor", "number", "outlet", "ready", "since", "state", "tail", "told", "view")

    def __init__(
        self,
        hub: Spawner,
        tail: Tail,
        view: View,
        outlet: Outlet,
        ready: Ready,
        *,
        told: Any = None,
        number: int = 0,
        since: float = 0.0,
    ) -> None:
        """`number` is its own in this process; `since` is when it came, in seconds since the Unix epoch."""
        self.number = number
        self.since = since
        self._hub = hub
        self._reading = False
        self.tail = tail
        self.view = view
        self.outlet = outlet
        self.ready = ready
        self.cursor = ready.cursor.offset
        self.told = told
        self.state = State.REPLAY

    def start(self) -> None:
        """Announces how the view begins, then plays."""
        self.outlet.ready(self, self.ready)
        self.resume()

    def frame(self, framing: Callable[[Any], bytes] | None) -> None:
        """Says how the connection frames what the view encodes; before `start`."""
        self.view = replace(self.view, framing=framing)

    def deliver(self, delivery: Delivery) -> None:
        """Takes its part of a flush; what it cannot take now it reads later."""
        if self.state is not State.LIVE:
            return
        payload = delivery.payload
        if payload is not None and self.cursor >= payload.last and not payload.ended:
            return  # it joined after these
        if payload is None or self.cursor < delivery.after or not self.outlet.writable:
            self._step(Input.BEHIND)
        else:
            self._write(payload if self.cursor == delivery.after else delivery.part(self.cursor, self.told))

    def resume(self) -> None:
        """Goes on from the cursor as far as the connection and the ring allow."""
        while self.state is State.REPLAY and not self._reading and self.outlet.writable:
            same_epoch = self.tail.epoch == self.ready.cursor.epoch
            if same_epoch and self.cursor >= self.tail.head and not self.tail.closed:
                self._step(Input.CAUGHT_UP)
                continue
            payload = self.tail.payload(self.view, self.cursor, self.told, merged=True) if same_epoch else None
            if payload is None:
                self._reading = True
                self._hub.fetch(self)
            elif self.cursor >= self.tail.head and not payload.ended:
                self._step(Input.CAUGHT_UP)
            else:
                self._write(payload)

    def took_page(self, page: Page, payload: Payload) -> None:
        """What follows the cursor has been read."""
        self._reading = False
        if self.state is State.REPLAY:
            self._write(payload)
            self.tail.learn(page.epoch, page.last, closed=page.closed)
            self.resume()

    def took_nothing(self) -> None:
        """What follows the cursor is no longer kept, or belongs to another stream of the same name."""
        if self.state is State.REPLAY:
            self._hub.spawn(self._start_over())
        else:
            self._reading = False

    def failed(self, error: TokentapeError) -> None:
        """What follows the cursor could not be read."""
        self._reading = False
        self.shut_down(error)

    def ephemeral(self, payload: Payload) -> None:
        """Takes an event that nobody needs later, if there is room for it now."""
        if self.state is State.LIVE and self.outlet.writable:
            self.outlet.write(self, payload)

    def flushed(self) -> None:
        """The outlet's last byte has left."""
        if self.state is State.DRAINING:
            self._step(Input.FLUSHED)

    def lost(self) -> None:
        """The connection is gone."""
        self._count_end()
        self._step(Input.LOST)

    def leave(self) -> None:
        """The client wants no more, and goes on."""
        self._step(Input.LOST)

    def shut_down(self, error: TokentapeError) -> None:
        """Ends the watch from the server's side; the client may come back with its cursor."""
        self._count_end()
        self._step(Input.SHUTDOWN, error)

    def _count_end(self) -> None:
        if self.state in (State.REPLAY, State.LIVE):
            self.tail.metrics.aborted += 1

    def _write(self, payload: Payload) -> None:
        self.cursor = payload.last
        self.told = payload.state
        if payload.size:
            metrics = self.tail.metrics
            metrics.delivered += payload.count
            metrics.bytes_out += payload.size
            self.outlet.write(self, payload)
        # Writing may have found the connection lost.
        if payload.ended and self.state in (State.LIVE, State.REPLAY):
            self._step(Input.ENDED)

    async def _start_over(self) -> None:
        try:
            info = await self._hub.store.info(self.tail.name)
            mine = Cursor(self.ready.cursor.epoch, self.cursor)
            ready = locate(mine, epoch=info.epoch, first=info.first, last=info.last)
            check_begin(self.tail.name, self.view, ready)
        except TokentapeError as error:
            self.failed(error)
            return
        except Exception:  # noqa: BLE001 - its connection must not be left hanging
            _log.exception("a watcher of %s failed", self.tail.name)
            self.failed(TokentapeError("The server failed while it read this stream."))
            return
        self._reading = False
        if self.state is State.REPLAY:
            if ready.outcome == "gone":
                self.told = None
            self.ready = ready
            self.cursor = ready.cursor.offset
            self.tail.learn(info.epoch, info.last, closed=info.closed)
            self._step(Input.GONE)
            self.resume()

    def _step(self, event: Input, error: TokentapeError | None = None) -> None:
        before = self.state
        self.state, action = step(before, event)
        if before is State.LIVE:
            self.tail.leave(self)
        match action:
            case Action.JOIN:
                self.tail.join(self)
            case Action.READ:
                self.resume()
            case Action.SNAPSHOT:
                self.outlet.ready(self, self.ready)
            case Action.FINISH:
                self.outlet.finish(self)
            case Action.ABORT:
                self.outlet.abort(self, error)
            case Action.NONE:
                if self.state is State.DRAINING and before is not State.DRAINING:
                    self.outlet.ended(self)
        if self.state is State.CLOSED and before is not State.CLOSED:
            self._hub.detached(self)
