"""OpenAI's Chat Completions: `POST /v1/chat/completions`, streamed and whole.

Source: OpenAI's API reference, "Chat"; `reasoning_content` is DeepSeek's word, which vLLM and others took over.
"""

from __future__ import annotations

from tokentape.dialects.openai_chat.stream import sse, sse_with_usage

__all__ = ["sse", "sse_with_usage"]
