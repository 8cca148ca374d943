"""The formats that `?format=` names on every SSE route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tokentape.dialects import (
    ag_ui,
    ai_sdk,
    anthropic,
    channel_events,
    native,
    openai_chat,
    openai_responses,
    small,
)
from tokentape.dialects.base import SseDialect

_ALL: Final[tuple[SseDialect[bytes], ...]] = (
    native.sse,
    openai_chat.sse,
    openai_chat.sse_with_usage,
    openai_responses.sse,
    anthropic.sse,
    ai_sdk.newest,
    ai_sdk.v5,
    ai_sdk.v6,
    ai_sdk.v7,
    ag_ui.sse,
    small.text,
    small.content,
    small.chunk,
    channel_events.sse,
)

FORMATS: Final[Mapping[str, SseDialect[bytes]]] = {dialect.name: dialect for dialect in _ALL}
