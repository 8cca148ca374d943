"""All operations of the admin API."""

from __future__ import annotations

from typing import Final

from tokentape.server.admin import crowd, frames, overview, runs, streams

OPERATIONS: Final = (*overview.OPERATIONS, *runs.OPERATIONS, *frames.OPERATIONS, *streams.OPERATIONS, *crowd.OPERATIONS)
