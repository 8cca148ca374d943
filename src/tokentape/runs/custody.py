"""The leases of this process: taken before a run is touched, kept while it lives, given back at its end (P4, P7).

A live run is a lease (`run:<id>`) whose value is what the run is. Whoever lost the lease can no longer write, so the
lease, and nothing else, says who executes a run: not the queue it was taken from, and not the index.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from tokentape.core.errors import SetupError, TokentapeError
from tokentape.hub import Hub
from tokentape.runs.request import RunInfo
from tokentape.runs.runner import Runner
from tokentape.stores.base import Fence, Leasing, between_processes

_log = logging.getLogger(__name__)

_LEASE: Final = "run:"
RENEWALS: Final = 5
"""Renewals in the time of a lease: a process that stands still for less than four of them loses nothing."""
_STILL: Final = 0.5
"""Part of the time of a lease. Who could not look at the leases for so long takes it that nobody could renew any."""
_MERCY: Final = 0.5
"""Part of the time of a lease, in which the living renew theirs after everything stood still."""


class Custody:
    """What this process holds."""

    def __init__(self, hub: Hub, live: Mapping[str, Runner], *, holder: str, seconds: float) -> None:
        """`live` are the runs of this process; a lease that is silent for `seconds` is taken for dead."""
        self._hub = hub
        self._live = live
        self.holder = holder
        self.seconds = seconds
        self._held: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        # Where no other process can be alive, what was found at the beginning is dead for certain.
        self._looked = -math.inf if between_processes(hub.store) else math.inf
        self._mercy_until = -math.inf

    def open(self) -> None:
        """Keeps the leases from now on."""
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="tokentape-leases")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def take(self, info: RunInfo) -> Fence | None:
        """The lease of a run; None when anybody holds it, and be it this process."""
        # A holder may take its own lease anew, so that must not be tried.
        if info.id in self._held:
            return None
        self._held.add(info.id)
        try:
            lease = await self._leasing.acquire(
                _LEASE + info.id, self.holder, seconds=self.seconds, value=msgspec.json.encode(info)
            )
        except BaseException:
            self._held.discard(info.id)
            raise
        if lease is None:
            self._held.discard(info.id)
            return None
        return Fence(lease.name, lease.token)

    async def give_back(self, fence: Fence) -> None:
        """Lets go of a run that has ended, or that others may take."""
        try:
            await self._leasing.release(*fence)
        finally:
            self.let_go(fence)

    def let_go(self, fence: Fence) -> None:
        """Stops to count on a lease that is lost, or will be; it stays listed, for whoever cleans up."""
        self._held.discard(fence.lease.removeprefix(_LEASE))

    async def dead(self) -> list[RunInfo]:
        """The runs whose lease has run out: their process died, or stood still for too long.

        None while that may be because the store, or everything, stood still: to be asked for more than twice in the
        time of a lease.
        """
        leases = await self._leasing.leases(_LEASE, dead=True)
        now = time.monotonic()
        if now - self._looked > _STILL * self.seconds:
            self._mercy_until = now + _MERCY * self.seconds
        self._looked = now
        if now < self._mercy_until:
            return []
        found = []
        for lease in leases:
            try:
                found.append(msgspec.json.decode(lease.value, type=RunInfo))
            except msgspec.DecodeError as error:
                _log.warning("the lease %s was written by another version, and is passed over: %s", lease.name, error)
        return found

    async def names(self) -> set[str]:
        """The ids of all runs that have a lease, live or not."""
        return {lease.name.removeprefix(_LEASE) for lease in await self._leasing.leases(_LEASE)}

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self.seconds / RENEWALS)
            try:
                await self._renew()
            except TokentapeError as error:
                _log.warning("leases could not be renewed: %s", error)
            except Exception:  # noqa: BLE001 - a process that no longer renews loses all its runs
                _log.exception("leases could not be renewed")

    async def _renew(self) -> None:
        runners = [*self._live.values()]
        kept = await self._leasing.renew_all([runner.fence for runner in runners], seconds=self.seconds)
        for runner, held in zip(runners, kept, strict=True):
            # One that has ended meanwhile has given it back.
            if not held and runner.info.id in self._held and runner.info.state != "done":
                _log.warning("run %s lost its lease", runner.info.id)
                runner.stop("interrupted", "lease_lost")

    @property
    def _leasing(self) -> Leasing:
        if isinstance(self._hub.store, Leasing):
            return self._hub.store
        raise SetupError("This store has no leases, so it cannot hold runs.")
