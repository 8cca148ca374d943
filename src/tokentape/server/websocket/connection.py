"""One WebSocket: a reader, a worker that carries out requests in order, a writer, and how it all ends.

    client ─▶ reader ─▶ inbox ─▶ worker ─▶ outbox ─▶ writer ─▶ client
                └── pings, at once ────────▲
                          watchers ────────┘

Laws:
- what was received is carried out, also when the client has gone meanwhile: a disconnect is not a stop (P6);
- the reader never waits for the store unless the inbox is full, and nothing but the writer waits for the client;
- everything that waits is bounded, and whoever leaves answers unread while asking for more is closed;
- a connection that takes nothing until the write deadline is cut (P5).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from tokentape.core import messages
from tokentape.core.errors import ProtocolError, TokentapeError, TooLarge, Unauthorized
from tokentape.core.frames import CloseCode
from tokentape.core.messages import Auth, Ping, Request
from tokentape.server.services import Services
from tokentape.server.websocket.attendance import Attendance, Members
from tokentape.server.websocket.inbox import Inbox, Refused
from tokentape.server.websocket.outbox import Outbox
from tokentape.server.websocket.requests import Requests
from tokentape.server.websocket.socket import Gone, Socket, UnsupportedData
from tokentape.server.websocket.subscriptions import Subscriptions

_log = logging.getLogger(__name__)

MAX_STRIKES: Final = 10
"""Messages that are no requests, after which a client is taken for something else."""
AUTH_SECONDS: Final = 5.0
"""For the first message, where it has to be `auth`."""
PARTING_SECONDS: Final = 5.0
"""For what was received to be carried out, and for what waits to leave; the write deadline if that is shorter."""
YIELD_EVERY: Final = 32
"""Messages read, or written, before others get a turn of the loop."""
CHECKS: Final = 4
"""Looks at the connection's progress within one write deadline."""


class Closing(NamedTuple):
    """Why the server ends a connection."""

    code: CloseCode
    reason: str


class Connection:
    """One accepted connection; `serve` is its whole life."""

    def __init__(
        self,
        services: Services,
        attendance: Attendance,
        socket: Socket,
        *,
        check: Callable[[str], None],
        admitted: bool,
    ) -> None:
        """`check` raises `Unauthorized` for a token; unless `admitted`, the first message has to bring one."""
        self._socket = socket
        self._check = check
        self._admitted = admitted
        self._deadline = float(services.config.limits.write_deadline)
        self._inbox = Inbox()
        self._outbox = Outbox(self._resume)
        self._subscriptions = Subscriptions(services, self._outbox, on_shutdown=self._restart)
        self._members = Members(attendance)
        self._requests = Requests(services, self._subscriptions, self._members, check)
        self._strikes = 0
        self._over = asyncio.Event()
        self._closing: Closing | None = None
        self._progress = (0, 0)
        self._progress_at = 0.0

    async def serve(self) -> None:
        """Serves the client until either side ends it, and leaves nothing behind."""
        loop = asyncio.get_running_loop()
        reader, worker, writer = (loop.create_task(self._guard(w)) for w in (self._read(), self._work(), self._write()))
        watch = loop.create_task(self._guard(self._watch()))
        late = loop.call_later(AUTH_SECONDS, self._refuse_late) if not self._admitted else None
        try:
            await self._over.wait()
            await self._stop(reader, watch)
            await self._part(worker, writer)
        finally:
            if late is not None:
                late.cancel()
            await self._stop(reader, watch, worker, writer)
            self._subscriptions.close()
            await self._members.leave()

    def close(self, code: CloseCode, reason: str) -> None:
        """Ends the connection with a code, once what waits has been sent."""
        if not self._over.is_set():
            self._closing = Closing(code, reason)
            self._over.set()

    def _restart(self) -> None:
        self.close(CloseCode.SERVICE_RESTART, "The server restarts; reconnect with your cursors.")

    def _resume(self) -> None:
        self._subscriptions.resume()

    # Reading

    async def _read(self) -> None:
        turn = 0
        try:
            while (text := await self._socket.receive()) is not None:
                await self._take(text)
                if self._over.is_set():
                    return
                turn += 1
                if turn % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
        except UnsupportedData:
            self._violate(CloseCode.UNSUPPORTED_DATA, "tokentape.v1 has text messages only.")
        else:
            self._over.set()

    async def _take(self, text: str) -> None:
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
            await self._enqueue(item, len(text))
        if self._strikes >= MAX_STRIKES:
            self._violate(CloseCode.POLICY, f"{MAX_STRIKES} messages were no requests of tokentape.v1.")

    def _admit(self, item: Request | Refused) -> None:
        if not isinstance(item, Auth):
            self._violate(CloseCode.UNAUTHORIZED, "The first message has to be `auth`, with a key.")
            return
        try:
            self._check(item.token)
        except Unauthorized as error:
            self._outbox.answer(messages.error(item.id, error))
            self._violate(CloseCode.UNAUTHORIZED, error.message)
            return
        self._admitted = True
        self._outbox.answer(messages.ack(item.id, {}))

    def _refuse_late(self) -> None:
        if not self._admitted:
            self._violate(CloseCode.UNAUTHORIZED, f"No `auth` came within {AUTH_SECONDS:g} s.")

    def _pong(self, ping: Ping) -> None:
        # Not in its turn: it asks whether the connection lives, not whether the store does.
        if self._outbox.answers_full:
            self._flood()
        else:
            self._outbox.answer(messages.ack(ping.id, {}))

    async def _enqueue(self, item: Request | Refused, size: int) -> None:
        if self._inbox.full:
            if self._outbox.answers_full:
                self._flood()
                return
            # The store is slow; so is TCP from here on.
            await self._inbox.room()
        self._inbox.put(item, size)

    def _flood(self) -> None:
        self._violate(CloseCode.POLICY, "Too many requests whose answers were not read.")

    def _violate(self, code: CloseCode, reason: str) -> None:
        if not self._over.is_set():
            _log.warning("websocket of %s closed with %d: %s", self._socket.client, code, reason)
            self.close(code, reason)

    # Carrying out

    async def _work(self) -> None:
        while (item := await self._inbox.next()) is not None:
            await self._outbox.room()
            if isinstance(item, Refused):
                self._outbox.answer(messages.error(item.id, item.error))
            else:
                await self._carry_out(item)

    async def _carry_out(self, request: Request) -> None:
        try:
            data = await self._requests.carry_out(request)
        except TokentapeError as error:
            self._outbox.answer(messages.error(request.id, error))
        except Exception:  # noqa: BLE001 - every request is answered, and the connection outlives it
            _log.exception("a %s request failed", type(request).__name__.lower())
            fault = TokentapeError("The server failed; see its log.")
            self._outbox.answer(messages.error(request.id, fault))
        else:
            if data is not None:
                self._outbox.answer(messages.ack(request.id, data))

    # Writing

    async def _write(self) -> None:
        turn = 0
        while (parcel := await self._outbox.next()) is not None:
            for message in parcel.messages:
                await self._socket.send(message)
                self._outbox.sent(parcel, message)
                turn += 1
                if turn % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
            self._outbox.emptied(parcel)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        self._progress_at = loop.time()
        while True:
            await asyncio.sleep(self._deadline / CHECKS)
            if self._stalled(loop.time()):
                _log.info("websocket of %s cut: it took nothing for %g s", self._socket.client, self._deadline)
                self._socket.abort()
                self._over.set()

    def _stalled(self, now: float) -> bool:
        sent, waiting = self._outbox.messages_sent, self._outbox.waiting + self._socket.buffered()
        if not waiting or sent != self._progress[0] or waiting < self._progress[1]:
            self._progress_at = now
        self._progress = sent, waiting
        return now - self._progress_at >= self._deadline

    # Ending

    async def _part(self, worker: asyncio.Task[None], writer: asyncio.Task[None]) -> None:
        self._inbox.close()
        self._subscriptions.close()
        if self._closing is None or self._outbox.answers_full:
            self._outbox.close()  # nobody reads the answers any more
        seconds = min(PARTING_SECONDS, self._deadline)
        await asyncio.wait([worker], timeout=seconds)
        self._outbox.close()
        if self._closing is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await writer
                await self._socket.close(*self._closing)
        except TimeoutError:
            self._socket.abort()
        except Gone:
            pass

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Gone:
            self._over.set()
        except Exception:  # noqa: BLE001 - whatever failed, the client is told and the rest is put away
            _log.exception("a websocket failed")
            self.close(CloseCode.INTERNAL_ERROR, "The server failed; see its log.")

    @staticmethod
    async def _stop(*tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
