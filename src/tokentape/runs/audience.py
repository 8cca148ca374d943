"""What happens to a run when nobody watches it: the grace period of `on_no_watchers` (P6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tokentape.hub import Hub


class Audience:
    """Stops runs whose stream nobody has watched for their grace period; somebody's coming ends the wait."""

    def __init__(self, hub: Hub, stop: Callable[[str], None]) -> None:
        self._hub = hub
        self._stop = stop
        self._grace: dict[str, dict[str, float]] = {}
        self._streams: dict[str, str] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        hub.on_audience.append(self._changed)

    def expect(self, run_id: str, stream: str, seconds: float) -> None:
        """Begins to look after a run; its grace period counts from now, until somebody watches."""
        self._grace.setdefault(stream, {})[run_id] = seconds
        self._streams[run_id] = stream
        self._changed(stream, self._hub.audience(stream))

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        stream = self._streams.pop(run_id, None)
        if stream is not None:
            self._grace[stream].pop(run_id)
            if not self._grace[stream]:
                del self._grace[stream]
        timer = self._timers.pop(run_id, None)
        if timer is not None:
            timer.cancel()

    def _changed(self, stream: str, count: int) -> None:
        for run_id, seconds in self._grace.get(stream, {}).items():
            timer = self._timers.pop(run_id, None)
            if timer is not None:
                timer.cancel()
            if count == 0:
                self._timers[run_id] = asyncio.get_running_loop().call_later(seconds, self._stop, run_id)
