"""The formats that `?format=` names on every SSE route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tokentape.dialects import ag_ui, native
from tokentape.dialects.base import SseDialect

_ALL: Final[tuple[SseDialect[bytes], ...]] = (
    native.sse,
    ag_ui.sse,
)

FORMATS: Final[Mapping[str, SseDialect[bytes]]] = {dialect.name: dialect for dialect in _ALL}
