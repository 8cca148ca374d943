"""A proxy with FastAPI in front and httpx behind: the provider's stream is read line by line."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
from control import arguments
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from serving import serve


class Chat(BaseModel):
    model: str
    messages: list[dict[str, Any]]


app = FastAPI()
# By default 100 connections and 5 s for a read; more streams than that would queue, and fail.
client = httpx.AsyncClient(
    base_url=arguments().upstream,
    limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
    timeout=httpx.Timeout(600, connect=10),
)


async def tokens(chat: Chat) -> AsyncGenerator[str, None]:
    request = {**chat.model_dump(), "stream": True}
    async with client.stream("POST", "/v1/chat/completions", json=request) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: "):
                continue
            data = line.removeprefix("data: ")
            if data == "[DONE]":
                break
            choices = json.loads(data)["choices"]
            if choices and (text := choices[0]["delta"].get("content")):
                yield f"data: {json.dumps({'text': text})}\n\n"
    yield "data: [DONE]\n\n"


@app.post("/chat")
async def chat(request: Chat) -> StreamingResponse:
    return StreamingResponse(tokens(request), media_type="text/event-stream")


if __name__ == "__main__":
    serve(app)
