"""What every WebSocket of ours is, whichever language it speaks: carried out in order, bounded, and ended for a reason.

    client ─▶ wire ─▶ received ─▶ inbox ─▶ worker ─▶ wire ─▶ client
                         └── what cannot wait, at once ──▲
                                  watchers ──────────────┘

There is no task here while nothing is asked for: the wire calls when a message comes, and a worker lives as long
as there is something to carry out.

Laws:
- what was received is carried out, also when the client has gone meanwhile: a disconnect is not a stop (P6);
- reading never waits for the store unless the inbox is full, and nothing but the wire waits for the client;
- everything that waits is bounded, and whoever leaves answers unread while asking for more is closed;
- a connection that takes nothing until the write deadline is cut (P5).
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from tokentape.core.frames import CloseCode, closing_reason
from tokentape.server.services import Services
from tokentape.server.stream import pause_ms
from tokentape.server.websocket.inbox import Inbox
from tokentape.server.websocket.wire import Wire

_log = logging.getLogger(__name__)

AUTH_SECONDS: Final = 5.0
"""For a key to come in a message, where the upgrade had none."""
PARTING_SECONDS: Final = 5.0
"""For what was received to be carried out, and for what waits to leave; the write deadline if that is shorter."""

T = TypeVar("T")


class Closing(NamedTuple):
    """Why the server ends a connection."""

    code: CloseCode
    reason: str


class Watching(Protocol):
    """The watchers of a connection."""

    def block(self) -> None:
        """The wire is not writable any more."""
        ...

    def resume(self) -> None:
        """The wire is writable again."""
        ...

    def close(self) -> None:
        """Lets go of all of them; none can be added any more."""
        ...


class Conversation(ABC, Generic[T]):
    """One accepted connection: the `Host` of its wire. Its language says what messages mean and how to answer them."""

    __slots__ = (
        "_admitted",
        "_check",
        "_closing",
        "_held",
        "_inbox",
        "_late",
        "_over",
        "_services",
        "_wire",
        "_worker",
    )

    def __init__(self, services: Services, wire: Wire, *, check: Callable[[str | None], None], admitted: bool) -> None:
        """`check` raises `Unauthorized` for a token; unless `admitted`, the first message has to bring one."""
        self._services = services
        self._wire = wire
        self._check = check
        self._admitted = admitted
        # The inbox is there as long as the worker is, which is as long as there is something in it.
        self._inbox: Inbox[T] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._held = False
        self._over = False
        self._closing: Closing | None = None
        self._late: asyncio.TimerHandle | None = None
        services.connections.websocket += 1
        if not admitted:
            self._late = asyncio.get_running_loop().call_later(AUTH_SECONDS, self._refuse_late)

    # Who comes in

    def _admit(self, token: str | None) -> None:
        """Lets the client in with this token; raises `Unauthorized`."""
        self._check(token)
        self._admitted = True
        self._forget_late()

    def _refuse_late(self) -> None:
        self._violate(CloseCode.UNAUTHORIZED, f"No key came within {AUTH_SECONDS:g} s.")

    def _forget_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    # The language

    @property
    @abstractmethod
    def _watching(self) -> Watching: ...

    @abstractmethod
    def _take(self, text: str) -> None:
        """A text message came: `_enqueue` it, answer it, or `_violate`."""

    @abstractmethod
    async def _carry_out(self, item: T) -> None:
        """Does what was enqueued, and answers it."""

    async def _leave(self) -> None:
        """Takes back what lasts only as long as the connection."""

    # As the wire's host

    def received(self, message: str | bytes) -> None:
        if self._over:
            return
        if isinstance(message, bytes):
            self._violate(CloseCode.UNSUPPORTED_DATA, "There are text messages only here.")
            return
        try:
            self._take(message)
        except Exception:  # noqa: BLE001 - whatever failed, the client is told and the rest is put away
            self._fail()

    def blocked(self) -> None:
        self._watching.block()

    def unblocked(self) -> None:
        try:
            self._watching.resume()
        except Exception:  # noqa: BLE001 - as above
            self._fail()

    def lost(self) -> None:
        self._wire.seal()
        self._end(None)

    # Carrying out

    def _enqueue(self, item: T, size: int) -> None:
        inbox = self._inbox
        if inbox is None:
            inbox = self._inbox = Inbox()
            self._worker = self._wire.spawn(self._work(inbox))
        inbox.put(item, size)
        if not inbox.full:
            return
        if self._wire.answers_full:
            self._flood()
        elif not self._held:
            # The store is slow; so is TCP from here on.
            self._held = True
            self._wire.hold()

    async def _work(self, inbox: Inbox[T]) -> None:
        try:
            while (item := inbox.next()) is not None:
                if self._held and inbox.roomy:
                    self._held = False
                    self._wire.release()
                if self._wire.answers_full:
                    await self._wire.room()
                await self._carry_out(item)
        finally:
            self._inbox = self._worker = None

    # Ending

    def close(self, code: CloseCode, reason: str) -> None:
        """Ends the connection with a code, once what was received is carried out and answered."""
        self._end(Closing(code, reason))

    def _flood(self) -> None:
        self._violate(CloseCode.POLICY, "Too many requests whose answers were not read.")

    def _violate(self, code: CloseCode, reason: str) -> None:
        if not self._over:
            _log.warning("websocket of %s closed with %d: %s", self._wire.client, code, reason)
            self.close(code, reason)

    def _fail(self) -> None:
        _log.exception("a websocket failed")
        self.close(CloseCode.INTERNAL_ERROR, "The server failed; see its log.")

    def _restart(self) -> None:
        self.close(CloseCode.DRAINING, closing_reason(pause_ms(), "The server goes away; reconnect with your cursors."))

    def _end(self, closing: Closing | None) -> None:
        if self._over:
            return
        self._over = True
        self._services.connections.websocket -= 1
        self._closing = closing
        self._forget_late()
        self._watching.close()
        if self._wire.answers_full:
            self._wire.seal()  # nobody reads the answers any more
        self._wire.end()

    async def part(self) -> None:
        seconds = min(PARTING_SECONDS, float(self._services.config.limits.write_deadline))
        worker = self._worker
        try:
            if worker is not None:
                await asyncio.wait([worker], timeout=seconds)
            self._wire.seal()
            if self._closing is not None:
                await self._wire.close(*self._closing, within=seconds)
        finally:
            if worker is not None:
                worker.cancel()
            # Again, for what was still being added.
            self._watching.close()
            await self._leave()
