"""The subscriptions of one WebSocket: one outlet for many watchers, told apart by the name that the client used."""

from __future__ import annotations

import copy
from collections.abc import Callable
from socket import socket

from tokentape.core import messages
from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest, ShuttingDown, TokentapeError, TooMany
from tokentape.core.messages import RequestId, Subscribe
from tokentape.core.resume import Ready
from tokentape.dialects import native
from tokentape.hub import Payload, View, Watcher
from tokentape.server.limits import check_audience
from tokentape.server.services import Services
from tokentape.server.transport import WEBSOCKET, Peer
from tokentape.server.watching import Watch, find, is_over, watch_of
from tokentape.server.websocket.wire import Sending


class Subscriptions:
    """An `Outlet` (see `tokentape.hub.watcher`) that writes into the connection's wire."""

    __slots__ = ("_closed", "_on_shutdown", "_opening", "_services", "_watchers", "_wire", "socket")

    def __init__(self, services: Services, wire: Sending, *, on_shutdown: Callable[[], None]) -> None:
        """`on_shutdown` is called when the hub sends its watchers elsewhere."""
        self.socket: socket | None = None
        """The wire's own, for as long as it is writable."""
        self._services = services
        self._wire = wire
        self._on_shutdown = on_shutdown
        # In the order of turns: whoever was served goes to the end.
        self._watchers: dict[str, Watcher] = {}
        # The one that is being added, until its request is answered: requests are carried out one at a time.
        self._opening: tuple[Watcher, RequestId] | None = None
        self._closed = False

    async def add(self, request: Subscribe) -> None:
        """Begins to watch; the request is answered by how the view begins, before its first event.

        Raises what a wrong name or position raises, `BadRequest` for a name that is subscribed already, and
        `TooMany`.
        """
        if request.stream in self._watchers:
            raise BadRequest(f"{request.stream!r} is subscribed on this connection already; unsubscribe it first.")
        limit = self._services.config.limits.max_streams
        if len(self._watchers) >= limit:
            raise TooMany(f"A connection has {limit} subscriptions at most; open another one.")
        watch = watch_of(request.stream, await find(self._services, request.stream), request.position)
        watcher = await self._attach(watch, request)
        if self._watchers.get(watch.label) is not watcher:
            return  # the connection has ended meanwhile
        if is_over(watch, watcher.ready, closed=watcher.tail.closed):
            self.remove(watch.label)
            self._opening = None
            self._wire.answer(messages.ack(request.id, watcher.ready.as_dict()))
            self._put(messages.end_message(watch.label, str(watcher.ready.cursor)))
        else:
            watcher.start()

    async def _attach(self, watch: Watch, request: Subscribe) -> Watcher:
        hub = self._services.hub
        check_audience(hub, watch.place.stream, self._services.config.limits)
        framing = self._wire.framing
        view = View(native.websocket, watch.label, run=watch.place.run, merge=request.merge, framing=framing)
        begin = watch.place.begin.offset if watch.place.begin is not None else 0
        watcher = await hub.attach(watch.place.stream, watch.start, view, self, begin=begin)
        if self._closed:
            watcher.lost()
        else:
            self._watchers[watch.label] = watcher
            self._opening = watcher, request.id
        return watcher

    def remove(self, name: str) -> None:
        """Stops watching; raises `BadRequest` for a name that is not subscribed."""
        watcher = self._watchers.pop(name, None)
        if watcher is None:
            raise BadRequest(f"{name[:80]!r} is not subscribed on this connection.")
        watcher.leave()

    def block(self) -> None:
        """The wire takes nothing now."""
        self.socket = None

    def resume(self) -> None:
        """The wire takes something again: the watchers go on as far as there is room, in turns."""
        if self._closed:
            return
        self.socket = self._wire.socket
        for name, watcher in tuple(self._watchers.items()):
            if not self.writable:
                return
            if self._watchers.pop(name, None) is watcher:
                self._watchers[name] = watcher
                watcher.resume()

    def close(self) -> None:
        """Stops watching everything."""
        self._closed = True
        self.socket = None
        while self._watchers:
            self._watchers.popitem()[1].lost()

    # The outlet

    @property
    def peer(self) -> Peer:
        return Peer(WEBSOCKET, self._wire.client)

    @property
    def writable(self) -> bool:
        return self._wire.writable

    def ready(self, watcher: Watcher, ready: Ready) -> None:
        request = self._answered(watcher)
        if request is not None:
            self._wire.answer(messages.ack(request, ready.as_dict()))
        else:
            self._put(messages.ready_message(watcher.view.label, ready.as_dict()))

    def write(self, watcher: Watcher, payload: Payload) -> None:  # noqa: ARG002 - all of them share the wire
        self._wire.events(payload.content, payload.size)

    def ended(self, watcher: Watcher) -> None:
        if watcher.view.run is None:
            # A closed channel: its format has no end of its own, so the subscription's is said here.
            position = Cursor(watcher.ready.cursor.epoch, watcher.cursor)
            self._put(messages.end_message(watcher.view.label, str(position)))
        self._wire.left(watcher.flushed)

    def finish(self, watcher: Watcher) -> None:
        self._watchers.pop(watcher.view.label, None)

    def abort(self, watcher: Watcher, error: TokentapeError | None) -> None:
        if error is None:
            return  # it is we who let go of it
        self._watchers.pop(watcher.view.label, None)
        if isinstance(error, ShuttingDown):
            # All of them will hear it, so the connection says it once, by its close code.
            self._on_shutdown()
        else:
            told = copy.copy(error)
            told.details = {**error.details, "stream": watcher.view.label}
            self._wire.answer(messages.error(self._answered(watcher), told))

    def _answered(self, watcher: Watcher) -> RequestId | None:
        """The request that this watcher owes an answer, which it owes no longer."""
        if self._opening is None or self._opening[0] is not watcher:
            return None
        request = self._opening[1]
        self._opening = None
        return request

    def _put(self, message: bytes) -> None:
        content = (message,) if self._wire.framing is None else self._wire.framing((message,))
        self._wire.events(content, len(message))
