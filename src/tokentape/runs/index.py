"""What is known of runs: a fold of the `$runs` stream, on which each change of a run is one record.

A record is the whole `RunInfo`; the latest attempt and its most advanced state win, so records may be applied in
any order and twice (one process learns of its own changes before, and of others' after, they are in the stream).
A stop is a record, too, and as final as an end: no attempt of that run begins after it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from tokentape.core.events import Event
from tokentape.runs.request import STATES, RunInfo

RUNS_STREAM: Final = "$runs"
RUN: Final = "tokentape:run"
STOP: Final = "tokentape:stop"


class RunIndex:
    """Runs by id, newest last. Ended runs beyond `limit` are forgotten, oldest first; their streams are not.

    As many stops are remembered: they are for runs that have not ended, which the processes bound.
    """

    def __init__(self, *, limit: int = 10_000) -> None:
        self._runs: OrderedDict[str, RunInfo] = OrderedDict()
        self._unfinished: dict[str, None] = {}
        self._queued: dict[str, None] = {}
        self._stops: OrderedDict[str, str] = OrderedDict()
        self._keys: dict[str, str] = {}
        self._limit = limit
        self.on_change: Callable[[RunInfo], None] = lambda _info: None
        """Called with each change that is applied."""

    def apply(self, info: RunInfo) -> None:
        known = self._runs.get(info.id)
        if known is not None and _rank(info) < _rank(known):
            return
        self._runs[info.id] = info
        if info.key is not None:
            self._keys[info.key] = info.id
        _keep(self._unfinished, info.id, wanted=info.state != "done")
        _keep(self._queued, info.id, wanted=info.state == "queued")
        if info.state == "done":
            self._stops.pop(info.id, None)
        self.on_change(info)
        if len(self._runs) > self._limit:
            self._forget()

    def _forget(self) -> None:
        for run_id, info in self._runs.items():
            if info.state == "done":
                del self._runs[run_id]
                if info.key is not None and self._keys.get(info.key) == run_id:
                    del self._keys[info.key]
                return

    def apply_stop(self, run_id: str, detail: str) -> None:
        """Somebody asked for the end of a run; the first one's reason counts."""
        known = self._runs.get(run_id)
        if known is None or known.state != "done":
            self._stops.setdefault(run_id, detail)
            if len(self._stops) > self._limit:
                self._stops.popitem(last=False)

    def get(self, run_id: str) -> RunInfo | None:
        return self._runs.get(run_id)

    def with_key(self, matches: str | Callable[[str], bool]) -> RunInfo | None:
        """The run that was started with this idempotency key, or the newest one whose key matches."""
        if isinstance(matches, str):
            run_id = self._keys.get(matches)
        else:
            run_id = next((self._keys[key] for key in reversed(self._keys) if matches(key)), None)
        return self._runs.get(run_id) if run_id is not None else None

    def stop_of(self, run_id: str) -> str | None:
        """Why a run that has not ended was told to, if it was."""
        return self._stops.get(run_id)

    def unfinished(self) -> list[RunInfo]:
        """All that are not known to have ended, the oldest first."""
        return [self._runs[run_id] for run_id in self._unfinished]

    def queued(self) -> list[RunInfo]:
        """All that wait, in their order."""
        return [self._runs[run_id] for run_id in self._queued]

    def newest(self) -> Iterator[RunInfo]:
        """All that are known, the newest first."""
        return reversed(self._runs.values())

    def counts(self) -> tuple[int, int]:
        """How many have not ended, and how many of these wait."""
        return len(self._unfinished), len(self._queued)


def _rank(info: RunInfo) -> tuple[bool, int, int]:
    # An end is an end, whichever attempt came to it.
    return info.state == "done", info.attempt, STATES.index(info.state)


def _keep(ids: dict[str, None], run_id: str, *, wanted: bool) -> None:
    if wanted:
        ids.setdefault(run_id, None)
    else:
        ids.pop(run_id, None)


def info_event(info: RunInfo, *, at: int) -> Event:
    """The record of a change."""
    return Event(type=RUN, data=msgspec.to_builtins(info), at=at)


def stop_event(run_id: str, detail: str, *, at: int) -> Event:
    """The record of a stop."""
    return Event(type=STOP, run=run_id, data={"detail": detail}, at=at)


def info_of(event: Event) -> RunInfo:
    """Reads the record of a change."""
    return msgspec.convert(event.data, RunInfo)
