"""The formats that `?format=` names on every SSE route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tokentape.dialects import ag_ui, channel_events, native, small
from tokentape.dialects.base import SseDialect

_ALL: Final[tuple[SseDialect[bytes], ...]] = (
    native.sse,
    ag_ui.sse,
    small.text,
    small.content,
    small.chunk,
    channel_events.sse,
)

FORMATS: Final[Mapping[str, SseDialect[bytes]]] = {dialect.name: dialect for dialect in _ALL}
