"""Who runs where: the server under test alone on one core, everything that drives it on the other."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Collection
from dataclasses import dataclass

FIRST_PORT, LAST_PORT = 20_000, 30_000
"""Below what Linux gives to outgoing connections by default, so that no client of a run can sit on a port."""


@dataclass(frozen=True, kw_only=True)
class Cores:
    server: int
    client: int

    @property
    def apart(self) -> bool:
        return self.server != self.client


def choose(available: Collection[int]) -> Cores:
    """The first two cores that we may use; with one alone, both are the same and figures are worth little."""
    ordered = sorted(available)
    return Cores(server=ordered[0], client=ordered[min(1, len(ordered) - 1)])


def raise_descriptors() -> int:
    """The soft limit of open files raised to the hard one, for us and all that we start; gives the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Ports:
    """Hands out loopback ports that are free, each once before any comes again."""

    def __init__(self) -> None:
        self._next = FIRST_PORT + os.getpid() % 1000

    def free(self) -> int:
        for _ in range(FIRST_PORT, LAST_PORT):
            port = self._next
            self._next = FIRST_PORT + (port + 1 - FIRST_PORT) % (LAST_PORT - FIRST_PORT)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
        raise OSError(f"no free port between {FIRST_PORT} and {LAST_PORT}")
