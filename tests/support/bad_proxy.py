"""A proxy as some are: it passes no upgrade, tears lines apart, and closes what takes long as if that were all."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST: Final = 600
"""Bytes of an event stream before it is closed."""
TORN: Final = 3
"""Of so many events one comes in two packets."""
GAP: Final = 0.1
"""Seconds between two packets, so that they are two to a browser."""


class BadProxy:
    """An application behind it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
            return
        # What the application hears when it goes on writing.
        with suppress(OSError):
            await self._app(scope, receive, _Narrow(send).send)


class _Narrow:
    """One answer on its way: only event streams are touched."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_stream = False
        self._left = MOST
        self._events = 0

    async def send(self, message: Message) -> None:
        if self._left <= 0:
            raise OSError("the proxy has closed it")
        if message["type"] == "http.response.start":
            self._is_stream = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
        body = message.get("body", b"")
        if not (self._is_stream and body):
            await self._send(message)
            return
        self._events += 1
        passed = body[: self._left]
        if self._events % TORN == 0:
            # Within the word `data`: neither half is a line that means anything.
            await self._send({**message, "body": passed[:3], "more_body": True})
            await asyncio.sleep(GAP)
            passed = passed[3:]
        await self._send({**message, "body": passed})
        self._left -= len(body)
        if self._left <= 0:
            await self._send({"type": "http.response.body"})
