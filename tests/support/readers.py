"""What a client makes of each format, written from the format's own documents: the other side of every dialect.

A reader takes the bytes of a whole view, and returns what its user would then have. A new dialect brings its reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import reading_ai_sdk
import reading_anthropic
import reading_openai
import reading_small as small
from assembled import Assembled, frames
from reading_ag_ui import ag_ui


def native(body: bytes) -> Assembled:
    text, reasoning, ended = "", "", False
    calls: dict[str, list[str]] = {}
    error = None
    for frame in frames(body):
        if frame.data == "[DONE]":
            ended = True
            continue
        event: dict[str, Any] = json.loads(frame.data)
        data = event["data"]
        match event["type"]:
            case "token":
                text += data
            case "reasoning":
                reasoning += data
            case "tool_call":
                calls[data["id"]] = [data["name"], data["arguments"]]
            case "reset":
                text, reasoning, calls, error = "", "", {}, None
            case "error":
                error = data["message"]
    return Assembled(text, reasoning, [(call, *told) for call, told in calls.items()], error, ended)  # type: ignore[misc]


READERS: Final[dict[str, Callable[[bytes], Assembled]]] = {
    "native": native,
    "anthropic": reading_anthropic.read,
    "ai-sdk": reading_ai_sdk.read,
    "ai-sdk-v5": reading_ai_sdk.read,
    "ai-sdk-v6": reading_ai_sdk.read,
    "ai-sdk-v7": reading_ai_sdk.read,
    "openai-chat": reading_openai.openai_chat,
    "openai-chat-usage": reading_openai.openai_chat,
    "openai-responses": reading_openai.openai_responses,
    "ag-ui": ag_ui,
    "text": small.text,
    "content": small.content,
    "chunk": small.chunk,
    "channel": small.channel,
}
"""By the name of the format."""
