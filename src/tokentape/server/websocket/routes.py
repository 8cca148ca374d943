"""Who may come in by WebSocket, and in which language: `tokentape.v1` (docs/websocket.md), the AI SDK's, or `chunk`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Receive, Scope, Send

from tokentape.core.errors import BadRequest, TokentapeError, TooMany
from tokentape.core.frames import CloseCode, fit_reason
from tokentape.core.messages import SUBPROTOCOL
from tokentape.server.auth import Gate
from tokentape.server.config import Auth, ServerConfig
from tokentape.server.problems import problem
from tokentape.server.protocols.websocket import WebSocketLink
from tokentape.server.services import Services
from tokentape.server.transport import link_of
from tokentape.server.websocket.ai_sdk import ChatConnection
from tokentape.server.websocket.asgi import AsgiWire
from tokentape.server.websocket.attendance import Attendance
from tokentape.server.websocket.chunk import ChunkConnection
from tokentape.server.websocket.connection import Connection
from tokentape.server.websocket.direct import DirectWire
from tokentape.server.websocket.socket import Socket
from tokentape.server.websocket.wire import Host, Wire


def websocket_routes(services: Services) -> list[BaseRoute]:
    """The routes of WebSockets."""
    attendance = Attendance(services.channels)
    # One for all connections: each would otherwise hold a bound method of its own.
    check = Gate(services.config).check_token

    def native(wire: Wire, admitted: bool) -> Host:  # noqa: FBT001 - as `_Endpoint` calls it
        return Connection(services, attendance, wire, check=check, admitted=admitted)

    def chat(wire: Wire, admitted: bool) -> Host:  # noqa: FBT001 - as above
        return ChatConnection(services, wire, check=check, admitted=admitted)

    def chunk(wire: Wire, admitted: bool) -> Host:  # noqa: FBT001 - as above
        return ChunkConnection(services, wire, check=check, admitted=admitted)

    return [
        WebSocketRoute("/v1/ws", _Endpoint(services, native, choose_subprotocol), name="websocket"),
        WebSocketRoute("/v1/ws/chunk", _Endpoint(services, chunk, first_subprotocol), name="chunk websocket"),
        WebSocketRoute("/api/chat", _Endpoint(services, chat, first_subprotocol), name="chat websocket"),
    ]


class WrongSubprotocol(BadRequest):
    """The client speaks other subprotocols only."""


class _Endpoint:
    """Takes connections, or refuses them before the upgrade."""

    def __init__(
        self,
        services: Services,
        speak: Callable[[Wire, bool], Host],
        choose: Callable[[Sequence[str]], str | None],
    ) -> None:
        """`speak` serves a wire, whose client is admitted or has to show a key; `choose` picks the subprotocol."""
        self._services = services
        self._speak = speak
        self._choose = choose
        self._gate = Gate(services.config)
        self._has_keys = bool(services.config.auth.api_keys)
        self._origins = _origins_gate(services.config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # `websocket.connect`
        try:
            admitted = self._admit(scope)
            subprotocol = self._choose(scope.get("subprotocols", ()))
        except TokentapeError as error:
            await _refuse(error, scope, send)
            return
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        deadline = float(self._services.config.limits.write_deadline)
        link = link_of(scope)
        # Unless somebody between has kept the acceptance back, or answered it in a way of their own.
        if isinstance(link, WebSocketLink) and link.accepted:
            direct = DirectWire(link, write_deadline=deadline)
            direct.begin(self._speak(direct, admitted))
        else:
            wire = AsgiWire(Socket(scope, receive, send), write_deadline=deadline)
            await wire.serve(self._speak(wire, admitted))

    def _admit(self, scope: Scope) -> bool:
        """Whether the client may come in as it is; False when it has to send `auth` first."""
        link = link_of(scope)
        if link is not None and link.crowded:
            raise TooMany("This server has too many connections; try again in a moment.")
        if self._has_keys and not any(name == b"authorization" for name, _ in scope["headers"]):
            # A browser cannot send the header with an upgrade; its page's origin it does send.
            if self._origins is not None:
                self._origins.check(scope)
            return False
        self._gate.check(scope)
        return True


def _origins_gate(config: ServerConfig) -> Gate | None:
    """Checks where pages come from, and nothing else; None when they may come from anywhere."""
    if "*" in config.cors.origins:
        return None
    return Gate(msgspec.structs.replace(config, auth=Auth(delegated=True)))


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """The one to speak; None for a client that asks for none. Raises `WrongSubprotocol`."""
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    if offered:
        raise WrongSubprotocol(f"This is {SUBPROTOCOL}, and none of {', '.join(offered)[:200]}.")
    return None


def first_subprotocol(offered: Sequence[str]) -> str | None:
    """The one to speak where the language has none of its own: browsers refuse a server that picks none of theirs."""
    return offered[0] if offered else None


async def _refuse(error: TokentapeError, scope: Scope, send: Send) -> None:
    if "websocket.http.response" in scope.get("extensions", {}):
        response = problem(error)
        headers = response.raw_headers
        await send({"type": "websocket.http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": bytes(response.body)})
    elif isinstance(error, WrongSubprotocol):
        # A close before the upgrade could only be 403, which says something else.
        await send({"type": "websocket.accept"})
        await send(
            {"type": "websocket.close", "code": int(CloseCode.PROTOCOL_VERSION), "reason": fit_reason(error.message)}
        )
    else:
        await send({"type": "websocket.close"})
