"""What responses were asked for: kept on a stream beside each run, for whoever asks for its input later.

A run keeps what it said. Of what it was asked only those have a use who speak OpenAI's Responses: `input_items`,
`previous_response_id`, and the members that a response repeats. So it is one record on a stream of its own, which every
instance can read, no larger than a request may be, and gone when its run is: it is not part of what watchers get.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, Final

import msgspec

from tokentape.core.errors import StreamExists, StreamNotFound, TokentapeError
from tokentape.dialects.openai_responses.objects import Echo
from tokentape.stores.base import Append, Retention, Store, StreamConfig

_log = logging.getLogger(__name__)

PREFIX: Final = "$responses/"
LONGEST_RUN: Final = 86_400.0
"""Seconds by which it outlives a run that ends at once: its own time begins when the run does."""
_KEY: Final = "asked"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Without `input` it was not to be stored."""

    input: str | list[dict[str, Any]] | None
    echo: Echo


async def keep(store: Store, run_id: str, asked: Asked, retention: Retention) -> None:
    """Writes it down; a second time without effect. Raises what the store refuses."""
    after_close = retention.after_close + LONGEST_RUN if retention.after_close else 0
    kept = StreamConfig(retention=msgspec.structs.replace(retention, after_close=after_close, max_bytes=0))
    name = PREFIX + run_id
    with suppress(StreamExists):  # the settings have changed since
        await store.create(name, kept)
    [answer] = await store.append([Append(stream=name, records=[msgspec.json.encode(asked)], keys=[_KEY], close=True)])
    if isinstance(answer, TokentapeError):
        raise answer


async def find(store: Store, run_id: str) -> Asked | None:
    """What was asked for; None for a run that was started in another way."""
    try:
        page = await store.read(PREFIX + run_id, 0, max_records=1)
    except StreamNotFound:
        return None
    try:
        return msgspec.json.decode(page.records[0][1], type=Asked)
    except (IndexError, msgspec.DecodeError) as error:
        # Another version wrote it, or nobody came to write it.
        _log.warning("what response %s was asked cannot be read: %s", run_id, error)
        return None


async def drop(store: Store, run_id: str) -> None:
    """Its response is deleted; without effect when nothing is kept."""
    with suppress(StreamNotFound):
        await store.delete(PREFIX + run_id)
