"""The formats that `?format=` names on every SSE route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tokentape.dialects import native
from tokentape.dialects.base import SseDialect

_ALL: Final[tuple[SseDialect[bytes], ...]] = (native.sse,)

FORMATS: Final[Mapping[str, SseDialect[bytes]]] = {dialect.name: dialect for dialect in _ALL}
