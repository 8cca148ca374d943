"""A proxy as most people write it: FastAPI in front, the openai SDK behind, tokens as Server-Sent Events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any, cast

import httpx2
from control import arguments
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel
from serving import serve


class Chat(BaseModel):
    model: str
    messages: list[dict[str, Any]]


app = FastAPI()
# The SDK's own client has 1,000 connections at most; more streams than that would queue.
client = AsyncOpenAI(
    base_url=f"{arguments().upstream}/v1",
    api_key="bench",
    http_client=DefaultAsyncHttpxClient(limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None)),
)


async def tokens(chat: Chat) -> AsyncGenerator[str, None]:
    stream = await client.chat.completions.create(
        model=chat.model,
        messages=cast("list[ChatCompletionMessageParam]", chat.messages),
        stream=True,
    )
    async for chunk in stream:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            yield f"data: {json.dumps({'text': text})}\n\n"
    yield "data: [DONE]\n\n"


@app.post("/chat")
async def chat(request: Chat) -> StreamingResponse:
    return StreamingResponse(tokens(request), media_type="text/event-stream")


if __name__ == "__main__":
    serve(app)
