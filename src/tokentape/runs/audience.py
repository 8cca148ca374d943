"""What happens to a run when nobody watches it, through any instance: the grace period of `on_no_watchers` (P6).

Every instance knows which runs have such a policy (`RunInfo.stop_after`). One that has watchers on the stream of such
a run says so in the store, as a member of `$audience/<stream>`, which runs out when the instance is killed. The one
that executes the run follows those members, and stops it when there were none, and no watchers of its own, for long
enough.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from tokentape.core.errors import TokentapeError
from tokentape.hub import Hub
from tokentape.hub.presence import Roster
from tokentape.runs.request import RunInfo
from tokentape.stores.base import Member

_log = logging.getLogger(__name__)

T = TypeVar("T")

_TOPIC: Final = "$audience/"
RETRY_SECONDS: Final = 1.0
"""Before a store that did not answer is asked again."""


class Audience:
    """Stops runs of this process that nobody has watched for their grace period; says whom this process has."""

    def __init__(self, hub: Hub, roster: Roster, stop: Callable[[str], None]) -> None:
        self._hub = hub
        self._roster = roster
        self._stop = stop
        # By stream: the runs of this process, each with its grace in seconds, and those of other instances.
        self._here: dict[str, dict[str, float]] = {}
        self._elsewhere: dict[str, dict[str, None]] = {}
        self._streams: dict[str, str] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._checks: dict[str, asyncio.Task[None]] = {}
        # Streams of which the store knows that we have watchers, and those of which that may have changed.
        self._said: set[str] = set()
        self._changed_here: dict[str, None] = {}
        self._speaker: asyncio.Task[None] | None = None
        self._closed = False
        hub.on_audience.append(self._audience)

    def learn(self, info: RunInfo) -> None:
        """Takes a change of a run of any instance."""
        if info.stop_after is None or info.id in self._streams:
            return
        if info.state == "done":
            _remove(self._elsewhere, info.stream, info.id)
        else:
            self._elsewhere.setdefault(info.stream, {})[info.id] = None
        self._say(info.stream)

    def expect(self, run_id: str, stream: str, seconds: float) -> None:
        """Begins to look after a run of this process; its grace period counts from now, until somebody watches."""
        if stream not in self._here and self._roster.possible:
            self._roster.follow(_TOPIC + stream, lambda _change: self._consider(stream))
        self._here.setdefault(stream, {})[run_id] = seconds
        self._streams[run_id] = stream
        _remove(self._elsewhere, stream, run_id)
        self._say(stream)
        self._wait_if_lonely(run_id, stream)

    def forget(self, run_id: str) -> None:
        """The run has ended, or goes on elsewhere."""
        stream = self._streams.pop(run_id, None)
        if stream is None:
            return
        _remove(self._here, stream, run_id)
        if stream not in self._here:
            self._roster.unfollow(_TOPIC + stream)
        self._cancel(run_id)
        self._say(stream)

    # Whom this process has

    def _audience(self, stream: str, _count: int) -> None:
        if stream in self._here or stream in self._elsewhere:
            self._say(stream)
            self._consider(stream)

    def _say(self, stream: str) -> None:
        if self._closed or not self._roster.possible or self._has_watchers(stream) == (stream in self._said):
            return
        self._changed_here[stream] = None
        if self._speaker is None or self._speaker.done():
            self._speaker = asyncio.get_running_loop().create_task(self._speak(), name="tokentape-audience")

    def _has_watchers(self, stream: str) -> bool:
        return (stream in self._here or stream in self._elsewhere) and self._hub.audience(stream) > 0

    async def _speak(self) -> None:
        # One after the other, and what is true when its turn comes: so nothing is overtaken.
        while self._changed_here:
            stream = next(iter(self._changed_here))
            del self._changed_here[stream]
            try:
                if self._has_watchers(stream):
                    self._said.add(stream)
                    await self._roster.track(_TOPIC + stream, Member(self._roster.instance, None))
                else:
                    await self._roster.untrack(_TOPIC + stream, self._roster.instance)
                    self._said.discard(stream)
            except TokentapeError as error:
                _log.warning("whether %s is watched here could not be said yet: %s", stream, error)
                self._changed_here[stream] = None
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._say(stream)  # what has changed meanwhile

    # Whom anybody has

    def _consider(self, stream: str) -> None:
        """Somebody came or went: for each run of this process on the stream the wait is over, or begins anew."""
        for run_id in self._here.get(stream, ()):
            self._cancel(run_id)
            self._wait_if_lonely(run_id, stream)

    def _wait_if_lonely(self, run_id: str, stream: str) -> None:
        if self._hub.audience(stream) == 0 and not self._others(self._roster.known(_TOPIC + stream)):
            self._wait(run_id, stream)

    def _others(self, members: list[Member]) -> bool:
        # What we have said ourselves may be out of date.
        return any(member.id != self._roster.instance for member in members)

    def _wait(self, run_id: str, stream: str, *, at_least: float = 0) -> None:
        seconds = max(at_least, self._here[stream][run_id])
        self._timers[run_id] = asyncio.get_running_loop().call_later(seconds, self._check, run_id, stream)

    def _cancel(self, run_id: str) -> None:
        timer, check = self._timers.pop(run_id, None), self._checks.pop(run_id, None)
        if timer is not None:
            timer.cancel()
        if check is not None:
            check.cancel()

    def _check(self, run_id: str, stream: str) -> None:
        del self._timers[run_id]
        if not self._roster.possible:
            self._stop(run_id)
            return
        task = asyncio.get_running_loop().create_task(
            self._look_and_stop(run_id, stream), name=f"tokentape-audience-{run_id}"
        )
        self._checks[run_id] = task
        task.add_done_callback(partial(self._checked, run_id))

    async def _look_and_stop(self, run_id: str, stream: str) -> None:
        """Asks the store itself before a run is stopped: news of a watcher elsewhere may have been lost."""
        try:
            watched = self._others(await self._roster.members(_TOPIC + stream))
        except TokentapeError as error:
            _log.warning("whether run %s is watched elsewhere cannot be told yet: %s", run_id, error)
            self._wait(run_id, stream, at_least=RETRY_SECONDS)
            return
        if watched:
            self._wait(run_id, stream, at_least=RETRY_SECONDS)
        else:
            self._stop(run_id)

    def _checked(self, run_id: str, task: asyncio.Task[None]) -> None:
        if self._checks.get(run_id) is task:
            del self._checks[run_id]

    async def aclose(self) -> None:
        """Says nothing more. Watchers of this process are on their way elsewhere: what was said of them runs out."""
        self._closed = True
        for run_id in (*self._timers, *self._checks):
            self._cancel(run_id)
        if self._speaker is not None:
            self._speaker.cancel()
            await asyncio.gather(self._speaker, return_exceptions=True)
        for stream in self._said:
            self._roster.abandon(_TOPIC + stream, self._roster.instance)


def _remove(runs: dict[str, dict[str, T]], stream: str, run_id: str) -> None:
    found = runs.get(stream, {})
    found.pop(run_id, None)
    if not found:
        runs.pop(stream, None)
