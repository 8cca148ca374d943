"""A run told again by a fold of its events: as far as it has come, or to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from tokentape.core.merge import Entry, entries, merge
from tokentape.hub.channels import RUN_STREAMS
from tokentape.runs import Place, RunInfo
from tokentape.server.services import Services

S = TypeVar("S")
Fold = Callable[[S, Sequence[Entry]], S]
"""What is known after some events more. It MUST not matter how they were cut or merged."""


async def look(services: Services, place: Place, fold: Fold[S], begin: S) -> S:
    """What a run has said so far; raises `StreamNotFound`, and `CursorGone` when its beginning is no longer kept."""
    known = begin
    async for page in pages(services, place):
        known = fold(known, merge(page))
    return known


async def pages(services: Services, place: Place) -> AsyncIterator[list[Entry]]:
    """The events of one run, as far as they are recorded now."""
    after = place.begin.offset if place.begin is not None else 0
    while True:
        page = await services.store.read(place.stream, after)
        if not page.records:
            return
        after = page.records[-1][0]
        yield [entry for entry in entries(page.records) if entry.event.run == place.run]
        if after >= page.last:
            return


async def follow(services: Services, info: RunInfo, fold: Fold[S], begin: S) -> S:
    """What a run says to its end, which is waited for. Whoever waits counts as a watcher; the run goes on without."""
    place = services.runs.locate(RUN_STREAMS + info.id)
    known = begin
    async with services.hub.reading(place.stream, place.begin or "start", run=info.id) as reader:
        async for item in reader:
            if item.cursor is not None:
                known = fold(known, [Entry(item.cursor.offset, item.record, item.event)])
    return known
