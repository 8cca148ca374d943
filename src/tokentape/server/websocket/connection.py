"""One WebSocket: what is asked for is carried out in order, what is watched is sent, and how it all ends.

    client ─▶ wire ─▶ received ─▶ inbox ─▶ worker ─▶ wire ─▶ client
                         └── pings, at once ────────▲
                                  watchers ─────────┘

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
from collections.abc import Callable
from typing import Final, NamedTuple

from tokentape.core import messages
from tokentape.core.errors import ProtocolError, TokentapeError, TooLarge, Unauthorized
from tokentape.core.frames import CloseCode, closing_reason
from tokentape.core.messages import Auth, Ping, Request
from tokentape.server.services import Services
from tokentape.server.stream import pause_ms
from tokentape.server.websocket.attendance import Attendance
from tokentape.server.websocket.inbox import Inbox, Refused
from tokentape.server.websocket.requests import Requests
from tokentape.server.websocket.subscriptions import Subscriptions
from tokentape.server.websocket.wire import Wire

_log = logging.getLogger(__name__)

MAX_STRIKES: Final = 10
"""Messages that are no requests, after which a client is taken for something else."""
AUTH_SECONDS: Final = 5.0
"""For the first message, where it has to be `auth`."""
PARTING_SECONDS: Final = 5.0
"""For what was received to be carried out, and for what waits to leave; the write deadline if that is shorter."""


class Closing(NamedTuple):
    """Why the server ends a connection."""

    code: CloseCode
    reason: str


class Connection:
    """One accepted connection: the `Host` of its wire."""

    __slots__ = (
        "_admitted",
        "_check",
        "_closing",
        "_held",
        "_inbox",
        "_late",
        "_over",
        "_requests",
        "_services",
        "_strikes",
        "_subscriptions",
        "_wire",
        "_worker",
    )

    def __init__(
        self,
        services: Services,
        attendance: Attendance,
        wire: Wire,
        *,
        check: Callable[[str], None],
        admitted: bool,
    ) -> None:
        """`check` raises `Unauthorized` for a token; unless `admitted`, the first message has to bring one."""
        self._services = services
        self._wire = wire
        self._check = check
        self._admitted = admitted
        self._subscriptions = Subscriptions(services, wire, on_shutdown=self._restart)
        self._requests = Requests(services, self._subscriptions, attendance, check)
        # The inbox is there as long as the worker is, which is as long as there is something in it.
        self._inbox: Inbox | None = None
        self._worker: asyncio.Task[None] | None = None
        self._held = False
        self._strikes = 0
        self._over = False
        self._closing: Closing | None = None
        self._late: asyncio.TimerHandle | None = None
        if not admitted:
            self._late = asyncio.get_running_loop().call_later(AUTH_SECONDS, self._refuse_late)

    # As the wire's host

    def received(self, message: str | bytes) -> None:
        if self._over:
            return
        if isinstance(message, bytes):
            self._violate(CloseCode.UNSUPPORTED_DATA, "tokentape.v1 has text messages only.")
            return
        try:
            self._take(message)
        except Exception:  # noqa: BLE001 - whatever failed, the client is told and the rest is put away
            self._fail()

    def blocked(self) -> None:
        self._subscriptions.block()

    def unblocked(self) -> None:
        try:
            self._subscriptions.resume()
        except Exception:  # noqa: BLE001 - as above
            self._fail()

    def lost(self) -> None:
        self._wire.seal()
        self._end(None)

    # Reading

    def _take(self, text: str) -> None:
        item: Request | Refused
        try:
            item = messages.decode_request(text)
        except TooLarge as error:
            self._violate(CloseCode.TOO_BIG, error.message)
            return
        except TokentapeError as error:
            self._strikes += isinstance(error, ProtocolError)
            item = Refused(messages.request_id(error), error)
        if not self._admitted:
            self._admit(item)
        elif isinstance(item, Ping):
            self._pong(item)
        else:
            self._enqueue(item, len(text))
        if self._strikes >= MAX_STRIKES:
            self._violate(CloseCode.POLICY, f"{MAX_STRIKES} messages were no requests of tokentape.v1.")

    def _admit(self, item: Request | Refused) -> None:
        if not isinstance(item, Auth):
            self._violate(CloseCode.UNAUTHORIZED, "The first message has to be `auth`, with a key.")
            return
        try:
            self._check(item.token)
        except Unauthorized as error:
            self._wire.answer(messages.error(item.id, error))
            self._violate(CloseCode.UNAUTHORIZED, error.message)
            return
        self._admitted = True
        self._forget_late()
        self._wire.answer(messages.ack(item.id, {}))

    def _refuse_late(self) -> None:
        self._violate(CloseCode.UNAUTHORIZED, f"No `auth` came within {AUTH_SECONDS:g} s.")

    def _forget_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _pong(self, ping: Ping) -> None:
        # Not in its turn: it asks whether the connection lives, not whether the store does.
        if self._wire.answers_full:
            self._flood()
        else:
            self._wire.answer(messages.ack(ping.id, {}))

    def _enqueue(self, item: Request | Refused, size: int) -> None:
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

    def _flood(self) -> None:
        self._violate(CloseCode.POLICY, "Too many requests whose answers were not read.")

    def _violate(self, code: CloseCode, reason: str) -> None:
        if not self._over:
            _log.warning("websocket of %s closed with %d: %s", self._wire.client, code, reason)
            self.close(code, reason)

    def _fail(self) -> None:
        _log.exception("a websocket failed")
        self.close(CloseCode.INTERNAL_ERROR, "The server failed; see its log.")

    # Carrying out

    async def _work(self, inbox: Inbox) -> None:
        try:
            while (item := inbox.next()) is not None:
                if self._held and inbox.roomy:
                    self._held = False
                    self._wire.release()
                if self._wire.answers_full:
                    await self._wire.room()
                if isinstance(item, Refused):
                    self._wire.answer(messages.error(item.id, item.error))
                else:
                    await self._carry_out(item)
        finally:
            self._inbox = self._worker = None

    async def _carry_out(self, request: Request) -> None:
        try:
            data = await self._requests.carry_out(request)
        except TokentapeError as error:
            self._wire.answer(messages.error(request.id, error))
        except Exception:  # noqa: BLE001 - every request is answered, and the connection outlives it
            _log.exception("a %s request failed", type(request).__name__.lower())
            fault = TokentapeError("The server failed; see its log.")
            self._wire.answer(messages.error(request.id, fault))
        else:
            if data is not None:
                self._wire.answer(messages.ack(request.id, data))

    # Ending

    def close(self, code: CloseCode, reason: str) -> None:
        """Ends the connection with a code, once what was received is carried out and answered."""
        self._end(Closing(code, reason))

    def _restart(self) -> None:
        self.close(CloseCode.DRAINING, closing_reason(pause_ms(), "The server goes away; reconnect with your cursors."))

    def _end(self, closing: Closing | None) -> None:
        if self._over:
            return
        self._over = True
        self._closing = closing
        self._forget_late()
        self._subscriptions.close()
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
            # Again, for a subscription that was still being added.
            self._subscriptions.close()
            await self._requests.leave()
