"""What is known of runs: a fold of the `$runs` stream, on which each change of a run is one record.

A record is the whole `RunInfo`; the most advanced state wins, so records may be applied in any order
and twice (one process learns of its own changes before, and of others' after, they are in the stream).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from tokentape.core.events import Event
from tokentape.runs.request import STATES, RunInfo

RUNS_STREAM: Final = "$runs"


class RunIndex:
    """Runs by id, newest last. Ended runs beyond `limit` are forgotten, oldest first; their streams are not."""

    def __init__(self, *, limit: int = 10_000) -> None:
        self._runs: OrderedDict[str, RunInfo] = OrderedDict()
        self._limit = limit
        self.on_change: Callable[[RunInfo], None] = lambda _info: None
        """Called with each change that is applied."""

    def apply(self, info: RunInfo) -> None:
        known = self._runs.get(info.id)
        if known is not None and STATES.index(info.state) < STATES.index(known.state):
            return
        self._runs[info.id] = info
        self.on_change(info)
        if len(self._runs) > self._limit:
            self._forget()

    def _forget(self) -> None:
        for run_id, info in self._runs.items():
            if info.state == "done":
                del self._runs[run_id]
                return

    def get(self, run_id: str) -> RunInfo | None:
        return self._runs.get(run_id)

    def unfinished(self) -> list[RunInfo]:
        """All that are not known to have ended."""
        return [info for info in self._runs.values() if info.state != "done"]

    def newest(self) -> Iterator[RunInfo]:
        """All that are known, the newest first."""
        return reversed(self._runs.values())


def info_event(info: RunInfo, *, at: int) -> Event:
    """The record of a change."""
    return Event(type="tokentape:run", data=msgspec.to_builtins(info), at=at)


def info_of(event: Event) -> RunInfo:
    """Reads a record of `$runs`."""
    return msgspec.convert(event.data, RunInfo)
