"""The formats that `?format=` names on every SSE route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tokentape.dialects import ai_sdk, anthropic, native
from tokentape.dialects.base import SseDialect

_ALL: Final[tuple[SseDialect[bytes], ...]] = (
    native.sse,
    anthropic.sse,
    ai_sdk.newest,
    ai_sdk.v5,
    ai_sdk.v6,
    ai_sdk.v7,
)

FORMATS: Final[Mapping[str, SseDialect[bytes]]] = {dialect.name: dialect for dialect in _ALL}
