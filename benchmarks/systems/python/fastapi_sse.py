"""FastAPI's own Server-Sent Events (`fastapi.sse`): a route that yields, fed by a queue per client."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from audience import Audience
from control import Tick
from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent
from serving import serve

app = FastAPI()
audience: Audience[ServerSentEvent] = Audience()


@app.get("/events", response_class=EventSourceResponse)
async def events() -> AsyncGenerator[ServerSentEvent, None]:
    # The keep-alive comment after 15 silent seconds is FastAPI's own.
    with audience.joined() as queue:
        yield ServerSentEvent(comment="connected")
        while (event := await queue.get()) is not None:
            yield event


async def play(ticks: AsyncGenerator[Tick, None]) -> None:
    async for seq, text in ticks:
        # Validated once; FastAPI encodes it for each client.
        await audience.publish(ServerSentEvent(data={"text": text}, id=str(seq)))


if __name__ == "__main__":
    serve(app, play)
