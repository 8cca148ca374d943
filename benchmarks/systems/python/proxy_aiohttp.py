"""A proxy with FastAPI in front and aiohttp's client behind: the provider's stream is read line by line."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from control import arguments
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from serving import serve


class Chat(BaseModel):
    model: str
    messages: list[dict[str, Any]]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    # By default 100 connections and 300 s for a whole answer.
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=600)
    async with aiohttp.ClientSession(arguments().upstream, connector=connector, timeout=timeout) as session:
        app.state.session = session
        yield


app = FastAPI(lifespan=lifespan)


async def tokens(session: aiohttp.ClientSession, chat: Chat) -> AsyncGenerator[str, None]:
    request = {**chat.model_dump(), "stream": True}
    async with session.post("/v1/chat/completions", json=request, raise_for_status=True) as response:
        async for line in response.content:
            if not line.startswith(b"data: "):
                continue
            data = line.removeprefix(b"data: ").rstrip()
            if data == b"[DONE]":
                break
            choices = json.loads(data)["choices"]
            if choices and (text := choices[0]["delta"].get("content")):
                yield f"data: {json.dumps({'text': text})}\n\n"
    yield "data: [DONE]\n\n"


@app.post("/chat")
async def chat(body: Chat, request: Request) -> StreamingResponse:
    return StreamingResponse(tokens(request.app.state.session, body), media_type="text/event-stream")


if __name__ == "__main__":
    serve(app)
