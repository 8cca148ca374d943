"""The answers that one chat connection is getting: a watcher for each request, whose chunks it numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal

from tokentape.core.errors import BadRequest, ShuttingDown, TokentapeError, TooMany
from tokentape.core.resume import Ready
from tokentape.dialects import ai_sdk, ai_sdk_frames
from tokentape.hub import Payload, View, Watcher
from tokentape.hub.channels import RUN_STREAMS
from tokentape.server.limits import check_audience
from tokentape.server.services import Services
from tokentape.server.transport import WEBSOCKET, Peer
from tokentape.server.watching import watch_of
from tokentape.server.websocket.wire import Sending

Kind = Literal["send", "resume"]


class Answer:
    """An `Outlet` (see `tokentape.hub.watcher`) for one request, until its run has ended or nobody wants it."""

    __slots__ = ("_answers", "_from", "_head", "_request", "_sequence", "kind", "run", "watcher")

    socket = None

    def __init__(self, answers: Answers, request: str, kind: Kind, run: str, *, after: int | None) -> None:
        """`after` is the number of the last chunk that the client has."""
        self.kind = kind
        self.run = run
        self.watcher: Watcher | None = None
        self._answers = answers
        self._request = request
        self._head = ai_sdk_frames.chunk_head(request)
        self._sequence = 0
        self._from = 0 if after is None else after + 1

    @property
    def peer(self) -> Peer:
        return Peer(WEBSOCKET, self._answers.wire.client)

    @property
    def writable(self) -> bool:
        return self._answers.wire.writable

    def ready(self, watcher: Watcher, ready: Ready) -> None:
        """Nothing: a chunk says it."""

    def write(self, watcher: Watcher, payload: Payload) -> None:  # noqa: ARG002 - there is only one
        first, self._sequence = self._sequence, self._sequence + len(payload.content)
        frames = [
            ai_sdk_frames.chunk(self._head, number, content)
            for number, content in enumerate(payload.content, first)
            if number >= self._from
        ]
        if frames:
            self._answers.put(tuple(frames))

    def ended(self, watcher: Watcher) -> None:
        self._answers.put((ai_sdk_frames.end(self._request),))
        self._answers.wire.left(watcher.flushed)

    def finish(self, watcher: Watcher) -> None:  # noqa: ARG002 - as above
        self._answers.forget(self._request)

    def abort(self, watcher: Watcher, error: TokentapeError | None) -> None:  # noqa: ARG002 - as above
        self._answers.forget(self._request)
        if error is not None:
            self._answers.broken(self._request, error)


class Answers:
    """All of one connection, by request."""

    __slots__ = ("_answers", "_closed", "_on_shutdown", "_services", "wire")

    def __init__(self, services: Services, wire: Sending, *, on_shutdown: Callable[[], None]) -> None:
        """`on_shutdown` is called when the hub sends its watchers elsewhere."""
        self.wire = wire
        self._services = services
        self._on_shutdown = on_shutdown
        # In the order of turns: whoever was served goes to the end.
        self._answers: dict[str, Answer] = {}
        self._closed = False

    def check(self, request: str) -> None:
        """Raises `BadRequest` for a request that is under way already, and `TooMany`."""
        if request in self._answers:
            raise BadRequest(f"The request {request[:80]!r} is under way already.")
        limit = self._services.config.limits.max_streams
        if len(self._answers) >= limit:
            raise TooMany(f"A connection gets {limit} answers at a time; open another one.")

    async def add(self, request: str, kind: Kind, run: str, *, after: int | None = None) -> None:
        """Begins to tell a run as the answer to a request."""
        label = RUN_STREAMS + run
        watch = watch_of(label, self._services.runs.locate(label), None)
        place = watch.place
        check_audience(self._services.hub, place.stream, self._services.config.limits)
        answer = Answer(self, request, kind, run, after=after)
        view = View(ai_sdk.chunks, label, run=place.run, merge=False)
        begin = place.begin.offset if place.begin is not None else 0
        watcher = await self._services.hub.attach(place.stream, watch.start, view, answer, begin=begin)
        if self._closed:
            watcher.lost()  # the connection has ended meanwhile
            return
        answer.watcher = watcher
        self._answers[request] = answer
        watcher.start()

    def remove(self, request: str) -> Answer | None:
        """Lets go of the answer to a request; None when there is none any more."""
        answer = self._answers.pop(request, None)
        if answer is not None and answer.watcher is not None:
            answer.watcher.leave()
        return answer

    def forget(self, request: str) -> None:
        """It has ended."""
        self._answers.pop(request, None)

    def put(self, messages: tuple[bytes, ...]) -> None:
        """Sends frames of a watcher."""
        framing = self.wire.framing
        if framing is None:
            self.wire.events(messages, sum(map(len, messages)))
        else:
            framed = framing(messages)
            self.wire.events(framed, len(framed))

    def broken(self, request: str, error: TokentapeError) -> None:
        """A view had to end."""
        if isinstance(error, ShuttingDown):
            # All of them will hear it, so the connection says it once, by its close code.
            self._on_shutdown()
        else:
            self.wire.answer(ai_sdk_frames.error(request, error.message))

    # As what a conversation watches

    def block(self) -> None:
        """The wire takes nothing now: `writable` says so."""

    def resume(self) -> None:
        """The wire takes something again: the watchers go on as far as there is room, in turns."""
        for request, answer in copy.copy(self._answers).items():
            if not self.wire.writable:
                return
            if self._answers.pop(request, None) is answer:
                self._answers[request] = answer
                if answer.watcher is not None:
                    answer.watcher.resume()

    def close(self) -> None:
        """Lets go of all of them; none can be added any more."""
        self._closed = True
        for request in tuple(self._answers):
            self.remove(request)
