"""python-socketio as an ASGI application: clients join a room, events are emitted to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import socketio  # type: ignore[import-untyped]
from control import Tick
from serving import serve

# Heartbeats are the default's (25 s, 20 s for the answer). `http_compression` concerns long-polling only.
sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins=[])
app = socketio.ASGIApp(sio)


async def connect(sid: str, _environ: dict[str, Any], _auth: object) -> None:
    await sio.enter_room(sid, "bench")


sio.on("connect", connect)


async def play(ticks: AsyncGenerator[Tick, None]) -> None:
    async for _seq, text in ticks:
        await sio.emit("tick", {"text": text}, room="bench")


if __name__ == "__main__":
    serve(app, play)
