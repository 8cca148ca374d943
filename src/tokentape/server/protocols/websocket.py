"""uvicorn's WebSocket with the connection within reach."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from tokentape.server.protocols.bounds import Bounds
from tokentape.server.transport import EXTENSION
from tokentape.server.websocket_guard import GuardedWebSocketProtocol

_quiet = logging.getLogger("tokentape.server.websocket")
# uvicorn logs every WebSocket at INFO with its query, which may hold a credential.
_quiet.setLevel(logging.WARNING)


class WebSocketProtocol(GuardedWebSocketProtocol, Bounds):
    """uvicorn's WebSocket, guarded, with a link in its scope, and without the query in its log."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _quiet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.link = self.make_link(cast("asyncio.Transport", transport), len(self.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.link.vanish()

    async def run_asgi(self) -> None:
        cast("dict[str, Any]", self.scope["extensions"])[EXTENSION] = self.link
        await super().run_asgi()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.link.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.link.resume()
