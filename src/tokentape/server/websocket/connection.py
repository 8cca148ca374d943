"""One connection in the native language, `tokentape.v1`: who is let in, and how requests are answered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from tokentape.core import messages
from tokentape.core.errors import ProtocolError, TokentapeError, TooLarge, Unauthorized
from tokentape.core.frames import CloseCode
from tokentape.core.messages import Auth, Ping, Request
from tokentape.server.services import Services
from tokentape.server.websocket.attendance import Attendance
from tokentape.server.websocket.conversation import Conversation
from tokentape.server.websocket.inbox import Refused
from tokentape.server.websocket.requests import Requests
from tokentape.server.websocket.subscriptions import Subscriptions
from tokentape.server.websocket.wire import Wire

_log = logging.getLogger(__name__)

MAX_STRIKES: Final = 10
"""Messages that are no requests, after which a client is taken for something else."""


class Connection(Conversation[Request | Refused]):
    """One accepted connection: the `Host` of its wire."""

    __slots__ = ("_requests", "_strikes", "_subscriptions")

    def __init__(
        self,
        services: Services,
        attendance: Attendance,
        wire: Wire,
        *,
        check: Callable[[str | None], None],
        admitted: bool,
    ) -> None:
        """`check` raises `Unauthorized` for a token; unless `admitted`, the first message has to bring one."""
        super().__init__(services, wire, check=check, admitted=admitted)
        self._subscriptions = Subscriptions(services, wire, on_shutdown=self._restart)
        self._requests = Requests(services, self._subscriptions, attendance, check)
        self._strikes = 0

    @property
    def _watching(self) -> Subscriptions:
        return self._subscriptions

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
            self._authenticate(item)
        elif isinstance(item, Ping):
            self._pong(item)
        else:
            self._enqueue(item, len(text))
        if self._strikes >= MAX_STRIKES:
            self._violate(CloseCode.POLICY, f"{MAX_STRIKES} messages were no requests of tokentape.v1.")

    def _authenticate(self, item: Request | Refused) -> None:
        if not isinstance(item, Auth):
            self._violate(CloseCode.UNAUTHORIZED, "The first message has to be `auth`, with a key.")
            return
        try:
            self._admit(item.token)
        except Unauthorized as error:
            self._wire.answer(messages.error(item.id, error))
            self._violate(CloseCode.UNAUTHORIZED, error.message)
            return
        self._wire.answer(messages.ack(item.id, {}))

    def _pong(self, ping: Ping) -> None:
        # Not in its turn: it asks whether the connection lives, not whether the store does.
        if self._wire.answers_full:
            self._flood()
        else:
            self._wire.answer(messages.ack(ping.id, {}))

    # Carrying out

    async def _carry_out(self, item: Request | Refused) -> None:
        if isinstance(item, Refused):
            self._wire.answer(messages.error(item.id, item.error))
            return
        try:
            data = await self._requests.carry_out(item)
        except TokentapeError as error:
            self._wire.answer(messages.error(item.id, error))
        except Exception:  # noqa: BLE001 - every request is answered, and the connection outlives it
            _log.exception("a %s request failed", type(item).__name__.lower())
            fault = TokentapeError("The server failed; see its log.")
            self._wire.answer(messages.error(item.id, fault))
        else:
            if data is not None:
                self._wire.answer(messages.ack(item.id, data))

    async def _leave(self) -> None:
        await self._requests.leave()
