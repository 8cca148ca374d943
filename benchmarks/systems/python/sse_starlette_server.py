"""sse-starlette's EventSourceResponse over a generator with a queue per client, as in its documentation."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

from audience import Audience
from control import Tick
from serving import serve
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

Event = dict[str, str]
audience: Audience[Event] = Audience()


async def listen() -> AsyncGenerator[Event, None]:
    with audience.joined() as queue:
        yield {"comment": "connected"}
        while (event := await queue.get()) is not None:
            yield event


async def events(_request: Request) -> EventSourceResponse:
    # All defaults: a ping after 15 s, no deadline for a send.
    return EventSourceResponse(listen())


app = Starlette(routes=[Route("/events", events)])


async def play(ticks: AsyncGenerator[Tick, None]) -> None:
    async for seq, text in ticks:
        await audience.publish({"id": str(seq), "data": json.dumps({"text": text})})


if __name__ == "__main__":
    serve(app, play)
