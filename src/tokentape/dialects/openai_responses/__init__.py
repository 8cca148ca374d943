"""OpenAI's Responses: `POST /v1/responses`, streamed, in the background, and whole.

Source: OpenAI's API reference, "Responses" and "Streaming events".
"""

from __future__ import annotations

from tokentape.dialects.openai_responses.stream import ResponsesSse, sse

__all__ = ["ResponsesSse", "sse"]
