"""uvicorn's HTTP/1.1 with the connection within reach."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tokentape.server.protocols.bounds import Bounds
from tokentape.server.transport import EXTENSION

MAX_IGNORED: Final = 8_388_608
"""Bytes of a refused body that are read and thrown away, so that its sender gets to the answer."""


class HttpProtocol(HttpToolsProtocol, Bounds):
    """uvicorn's HTTP/1.1, with a link in each request's scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        self.link = self.make_link(transport, len(self.connections))
        self._ignored = 0

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.link.vanish()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._ignored = 0
        # uvicorn's type knows of no extension whose value is not a dict.
        self.scope["extensions"] = cast("dict[str, Any]", {EXTENSION: self.link})

    def on_body(self, body: bytes) -> None:
        if _is_answered(self.cycle):
            self._ignored += len(body)
            if self._ignored > MAX_IGNORED:
                self.transport.close()
        super().on_body(body)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.link.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.link.resume()


def _is_answered(cycle: RequestResponseCycle | None) -> bool:
    # None, whatever uvicorn's type says, when a request to upgrade has a body.
    return cycle is not None and cycle.response_complete
