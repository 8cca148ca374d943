"""The formats that `?format=` names on every SSE route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tokentape.dialects import native, openai_chat, openai_responses
from tokentape.dialects.base import SseDialect

_ALL: Final[tuple[SseDialect[bytes], ...]] = (
    native.sse,
    openai_chat.sse,
    openai_chat.sse_with_usage,
    openai_responses.sse,
)

FORMATS: Final[Mapping[str, SseDialect[bytes]]] = {dialect.name: dialect for dialect in _ALL}
