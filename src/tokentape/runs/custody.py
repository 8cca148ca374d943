"""Who executes a run: its lease, kept while it lives, and taken over when its process died (P4, P7).

A live run is a lease (`run:<id>`) whose value is what the run is. So a run whose process was killed is
found by its dead lease, and ended with `interrupted`; and whoever lost the lease can no longer write.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.errors import SetupError, StreamClosed, StreamNotFound, TokentapeError
from tokentape.core.events import decode_event
from tokentape.hub import Hub
from tokentape.runs.registry import Registry
from tokentape.runs.request import RunInfo
from tokentape.runs.runner import Runner, ending, terminal
from tokentape.stores.base import Fence, Leasing

_log = logging.getLogger(__name__)

_LEASE: Final = "run:"


class Custody:
    """The leases of this process's runs, and the search for orphans."""

    def __init__(
        self,
        hub: Hub,
        registry: Registry,
        live: Mapping[str, Runner],
        *,
        holder: str,
        seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`live` are the runs of this process; a lease that is silent for `seconds` is taken for dead."""
        self._hub = hub
        self._registry = registry
        self._live = live
        self._holder = holder
        self._seconds = seconds
        self._now = now
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Ends what dead processes left behind, then keeps the leases of the living."""
        await self.end_orphans()
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="tokentape-leases")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def take(self, info: RunInfo) -> Fence:
        """The lease of a new run."""
        fence = await self._acquire(info)
        assert fence is not None, "a fresh random id is free"
        return fence

    async def give_back(self, fence: Fence) -> None:
        await self._leasing.release(*fence)

    async def end_orphans(self) -> None:
        """Ends the runs whose process died, or lost its lease while it was frozen."""
        # A run is on the index, or has a lease, or both: killed at any moment, one of them is left.
        leases = {lease.name.removeprefix(_LEASE): lease for lease in await self._leasing.leases(_LEASE)}
        orphans = {info.id: info for info in self._registry.index.unfinished()}
        for run_id, lease in leases.items():
            orphans.setdefault(run_id, msgspec.json.decode(lease.value, type=RunInfo))
        for run_id, info in orphans.items():
            if run_id in self._live or (run_id in leases and leases[run_id].live):
                continue
            # Whoever gets the lease ends it; from then on its old process is fenced off.
            fence = await self._acquire(info)
            if fence is not None:
                await self._interrupt(info, fence)
                await self.give_back(fence)

    async def _acquire(self, info: RunInfo) -> Fence | None:
        lease = await self._leasing.acquire(
            _LEASE + info.id, self._holder, seconds=self._seconds, value=msgspec.json.encode(info)
        )
        return Fence(lease.name, lease.token) if lease is not None else None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                for runner in tuple(self._live.values()):
                    kept = await self._leasing.renew(*runner.fence, seconds=self._seconds)
                    # One that has ended meanwhile has given it back.
                    if not kept and runner.info.state != "done":
                        _log.warning("run %s lost its lease", runner.info.id)
                        runner.stop("interrupted", "lease_lost")
                await self.end_orphans()
            except TokentapeError as error:
                _log.warning("leases could not be renewed: %s", error)

    async def _interrupt(self, info: RunInfo, fence: Fence) -> None:
        """Records the end of an orphan, unless its process had done so and died right after."""
        known = self._registry.index.get(info.id)
        if known is not None and known.state == "done":
            return
        at = int(self._now() * 1000)
        done = {"reason": "interrupted", "detail": "process_died"}
        events = ending(info.id, done, None, at=at)
        end = ""
        try:
            appended = await self._hub.append(terminal(info, events, fence=fence), events)
            end = str(Cursor(appended.epoch, appended.offsets[-1]))
            if appended.offsets[-1] < appended.first:
                page = await self._hub.store.read(info.stream, appended.offsets[-1] - 1, max_records=1)
                done = decode_event(page.records[0][1]).data
        except (StreamNotFound, StreamClosed) as refusal:
            _log.warning("run %s died before it began, or its stream is gone: %s", info.id, refusal)
        ended = msgspec.structs.replace(
            info, state="done", end=end, reason=done["reason"], usage=done.get("usage"), ended_at=at
        )
        await self._registry.changed(ended)

    @property
    def _leasing(self) -> Leasing:
        if isinstance(self._hub.store, Leasing):
            return self._hub.store
        raise SetupError("This store has no leases, so it cannot hold runs.")
