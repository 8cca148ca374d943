"""One provider's stream for each client: the floor, tokentape and its peers."""

from __future__ import annotations

import json

from systems import commands, versions
from systems.system import System

_HEADERS = ("Content-Type: application/json", "Accept: text/event-stream")
_CHAT = {"model": "bench", "messages": [{"role": "user", "content": "Tell me a story."}]}
_VENV = "venv/requirements.txt"

PROXIES: tuple[System, ...] = (
    System(
        name="nginx-proxy",
        label="nginx proxy_pass",
        kind="proxy",
        transport="sse",
        command=commands.nginx,
        path="/v1/chat/completions",
        headers=_HEADERS,
        body=json.dumps({**_CHAT, "stream": True}).encode(),
        requires=("bin/nginx",),
        version=versions.nginx,
    ),
    System(
        name="tokentape-proxy",
        label="tokentape (SQLite)",
        kind="proxy",
        transport="sse",
        command=commands.tokentape,
        path="/v1/runs",
        headers=_HEADERS,
        body=json.dumps(_CHAT).encode(),
        per_message=False,
        version=versions.tokentape,
    ),
    System(
        name="fastapi-openai",
        label="FastAPI + openai SDK",
        kind="proxy",
        transport="sse",
        command=commands.script("proxy_openai.py"),
        path="/chat",
        headers=_HEADERS,
        body=json.dumps(_CHAT).encode(),
        requires=(_VENV,),
        version=versions.packages("fastapi", "openai", "httpx2", "uvicorn"),
    ),
    System(
        name="fastapi-httpx",
        label="FastAPI + httpx",
        kind="proxy",
        transport="sse",
        command=commands.script("proxy_httpx.py"),
        path="/chat",
        headers=_HEADERS,
        body=json.dumps(_CHAT).encode(),
        requires=(_VENV,),
        version=versions.packages("fastapi", "httpx", "uvicorn"),
    ),
    System(
        name="fastapi-aiohttp",
        label="FastAPI + aiohttp",
        kind="proxy",
        transport="sse",
        command=commands.script("proxy_aiohttp.py"),
        path="/chat",
        headers=_HEADERS,
        body=json.dumps(_CHAT).encode(),
        requires=(_VENV,),
        version=versions.packages("fastapi", "aiohttp", "uvicorn"),
    ),
    System(
        name="litellm",
        label="LiteLLM proxy",
        kind="proxy",
        transport="sse",
        command=commands.litellm,
        path="/v1/chat/completions",
        headers=_HEADERS,
        body=json.dumps({**_CHAT, "stream": True}).encode(),
        requires=("litellm/requirements.txt",),
        version=versions.packages("litellm", "uvicorn", environment="litellm"),
    ),
)
