"""Whether the admin API is on in this process, and what it keeps for it: the samples, and the crowd."""

from __future__ import annotations

import time
from typing import Final

from tokentape.core.errors import AdminOff, TooMany
from tokentape.server.admin.sampler import Sampler
from tokentape.server.config import ServerConfig
from tokentape.server.crowd.process import CrowdProcess
from tokentape.server.services import Services

MAX_VIEWERS: Final = 64
"""Who follow the samples live, at a time."""


class Admin:
    """Off until whoever serves the application says where it can be reached."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.started_at = time.time()
        self.sampler = Sampler(services)
        self.crowd = CrowdProcess()
        self.on = False
        self._viewers = 0

    def open(self, *, loopback: bool = False) -> None:
        """Turns it on, if the configuration has it so. `loopback` says that only this machine reaches the server."""
        if is_on(self.services.config, loopback=loopback):
            self.on = True
            self.sampler.open()

    async def close(self) -> None:
        """Turns it off, and ends what was going on."""
        self.on = False
        await self.sampler.close()
        await self.crowd.stop()

    def check(self) -> None:
        """Raises `AdminOff`."""
        if not self.on:
            raise AdminOff(
                'The admin API is off on this server. With `admin.enabled = "on"` it is there for everybody who may '
                'use the server; with "auto" only while nobody but this machine can reach it.'
            )

    def enter(self) -> None:
        """Somebody follows the samples; raises `TooMany`. Call `leave` afterwards."""
        if self._viewers >= MAX_VIEWERS:
            raise TooMany(f"{MAX_VIEWERS} follow these numbers already; try again in a moment.")
        self._viewers += 1

    def leave(self) -> None:
        self._viewers -= 1


def is_on(config: ServerConfig, *, loopback: bool) -> bool:
    """Whether it is on, for a server that is bound to loopback or not.

    On loopback there may still be a proxy in front: whoever sets `delegated` or `hosts` lets others in by it.
    """
    if config.admin.enabled != "auto":
        return config.admin.enabled == "on"
    return loopback and not config.auth.delegated and not config.hosts
