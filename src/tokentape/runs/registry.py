"""The record of all runs: the `$runs` stream, and the index that is folded from it."""

from __future__ import annotations

import time
from collections.abc import Callable

from tokentape.core.errors import RunConflict
from tokentape.core.events import decode_event
from tokentape.hub import Hub
from tokentape.runs.index import RUNS_STREAM, RunIndex, info_event, info_of
from tokentape.runs.request import RunInfo
from tokentape.stores.base import Append, Retention, StreamConfig


class Registry:
    """What is known of runs. Keys of its records make starts idempotent, and replacements unique."""

    def __init__(self, hub: Hub, *, max_bytes: int, now: Callable[[], float] = time.time) -> None:
        self.index = RunIndex()
        self._hub = hub
        self._config = StreamConfig(retention=Retention(max_bytes=max_bytes))
        self._now = now

    async def open(self) -> None:
        """Learns what was recorded before."""
        info, _ = await self._hub.store.create(RUNS_STREAM, self._config)
        after = info.first - 1
        while after < info.last:
            page = await self._hub.store.read(RUNS_STREAM, after)
            for offset, record in page.records:
                self.index.apply(info_of(decode_event(record)))
                after = offset

    async def claim(self, info: RunInfo) -> RunInfo | None:
        """Records a new run under its key; returns the run that has the key already, if there is one.

        Raises `RunConflict` when that one was started by another request.
        """
        key = None
        if info.replaces is not None:
            key = f"replaces:{info.replaces}"
        elif info.key is not None:
            key = f"start:{info.key}"
        event = info_event(info, at=info.created_at)
        appended = await self._hub.append(Append(stream=RUNS_STREAM, keys=[key] if key is not None else None), [event])
        if appended.last >= appended.first:
            self.index.apply(info)
            return None
        page = await self._hub.store.read(RUNS_STREAM, appended.offsets[0] - 1, max_records=1)
        first = info_of(decode_event(page.records[0][1]))
        if info.key is None or first.key != info.key:
            raise RunConflict(f"Run {info.replaces} was replaced already, by {first.id}.", run=first.id)
        if first.digest != info.digest:
            raise RunConflict(f"This Idempotency-Key was used for another request, run {first.id}.", run=first.id)
        return self.index.get(first.id) or first

    async def changed(self, info: RunInfo) -> None:
        """Records a change of a run."""
        self.index.apply(info)
        await self._hub.append(Append(stream=RUNS_STREAM), [info_event(info, at=int(self._now() * 1000))])
