"""Leases of one process: who holds what until when, with fencing tokens (P7)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tokentape.stores.base import Fence, LeaseInfo


class Lease(NamedTuple):
    """One acquired lease; `until` is on the monotonic clock of this process, -inf for one of an earlier process."""

    name: str
    token: int
    holder: str
    value: bytes
    until: float


class LeaseTable:
    """The rules of leases, in memory.

    A lease that has run out stays listed as dead until somebody acquires it, or its holder, who was only late, renews
    or releases it. Tokens come from one counter, so that they grow for each name also across release. Any thread may
    call.
    """

    def __init__(self, monotonic: Callable[[], float], *, last_token: int = 0) -> None:
        self._monotonic = monotonic
        self._leases: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self.last_token = last_token
        self.fences: set[Fence] = set()
        """The last token of each lease: an append with one of these is accepted. A look at it is all that it costs."""

    def restore(self, leases: Iterable[Lease]) -> None:
        """Puts in leases that were written down before."""
        for lease in leases:
            self.put_back(lease.name, lease)

    def get(self, name: str) -> Lease | None:
        return self._leases.get(name)

    def put_back(self, name: str, lease: Lease | None) -> None:
        """Undoes an acquisition or a release that could not be written down; its token stays used."""
        with self._lock:
            self._put(name, lease)

    def acquire(self, name: str, holder: str, *, seconds: float, value: bytes) -> LeaseInfo | None:
        """Takes a lease; its present holder may take it anew, which fences off the old token."""
        with self._lock:
            current = self._leases.get(name)
            if current is not None and current.holder != holder and self._live(current):
                return None
            self.last_token += 1
            lease = Lease(name, self.last_token, holder, value, self._monotonic() + seconds)
            self._put(name, lease)
            return self._info(lease)

    def renew(self, name: str, token: int, *, seconds: float) -> bool:
        """Keeps a lease that nobody else has acquired."""
        with self._lock:
            lease = self._held(name, token)
            if lease is None:
                return False
            self._leases[name] = lease._replace(until=self._monotonic() + seconds)
            return True

    def renew_all(self, held: Iterable[Fence], *, seconds: float) -> list[bool]:
        """Keeps those that nobody else has acquired."""
        return [self.renew(*fence, seconds=seconds) for fence in held]

    def release(self, name: str, token: int) -> bool:
        """Gives back a lease; False when somebody else has acquired it."""
        with self._lock:
            if self._held(name, token) is None:
                return False
            self._put(name, None)
            return True

    def infos(self, prefix: str, *, dead: bool = False) -> list[LeaseInfo]:
        infos = [self._info(lease) for name, lease in sorted(self._leases.items()) if name.startswith(prefix)]
        return [info for info in infos if not info.live] if dead else infos

    def _put(self, name: str, lease: Lease | None) -> None:
        before = self._leases.pop(name, None)
        if before is not None:
            self.fences.discard(Fence(name, before.token))
        if lease is not None:
            self._leases[name] = lease
            self.fences.add(Fence(name, lease.token))

    def _held(self, name: str, token: int) -> Lease | None:
        lease = self._leases.get(name)
        return lease if lease is not None and lease.token == token else None

    def _live(self, lease: Lease) -> bool:
        return self._monotonic() < lease.until

    def _info(self, lease: Lease) -> LeaseInfo:
        return LeaseInfo(lease.name, lease.token, lease.holder, lease.value, self._live(lease))
