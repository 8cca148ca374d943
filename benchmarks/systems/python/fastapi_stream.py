"""FastAPI's StreamingResponse with a queue per client: the way to broadcast that most answers recommend."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

from audience import Audience
from control import Tick
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from serving import serve

app = FastAPI()
audience: Audience[bytes] = Audience()


async def listen() -> AsyncGenerator[bytes, None]:
    with audience.joined() as queue:
        yield b": connected\n\n"
        while (event := await queue.get()) is not None:
            yield event


@app.get("/events")
async def events() -> StreamingResponse:
    return StreamingResponse(listen(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


async def play(ticks: AsyncGenerator[Tick, None]) -> None:
    async for seq, text in ticks:
        # Encoded once: all clients are handed the same bytes.
        await audience.publish(f"id: {seq}\ndata: {json.dumps({'text': text})}\n\n".encode())


if __name__ == "__main__":
    serve(app, play)
