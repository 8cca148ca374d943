"""One accepted WebSocket as ASGI gives it: messages in, text out, and a way to cut it where the server offers one."""

from __future__ import annotations

from starlette.types import Message, Receive, Scope, Send

from tokentape.core.frames import CloseCode, fit_reason
from tokentape.server.transport import link_of


class Gone(Exception):
    """The client has gone, or the server beneath has given the connection up."""


class Socket:
    """Reads and writes one connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._link = link_of(scope)
        address = scope.get("client")
        self.client = f"{address[0]}:{address[1]}" if address else "unknown"
        """Who is at the other end, for the log."""

    async def receive(self) -> str | bytes | None:
        """The next message, text or binary; None when the client has gone."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def send(self, text: bytes) -> None:
        """Sends a text message; waits while the connection takes nothing. Raises `Gone`."""
        await self._pass_on({"type": "websocket.send", "text": text.decode()})

    async def close(self, code: CloseCode, reason: str) -> None:
        """Closes with a code and as much of the reason as fits; raises `Gone`."""
        await self._pass_on({"type": "websocket.close", "code": int(code), "reason": fit_reason(reason)})

    async def _pass_on(self, message: Message) -> None:
        try:
            await self._send(message)
        except (OSError, RuntimeError) as error:
            # OSError is ASGI's word for it. uvicorn says RuntimeError after it has closed by itself, for unanswered
            # pings for instance.
            raise Gone from error

    def buffered(self) -> int:
        """Bytes that have not left the process, as far as that is known."""
        return self._link.buffered() if self._link is not None else 0

    def abort(self) -> None:
        """Cuts the connection; where the server gives no way to, the end of the application has to do."""
        if self._link is not None:
            self._link.abort()
