"""What both protocols bound of a connection."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from typing import ClassVar

from tokentape.server.config import Limits
from tokentape.server.transport import BUFFER, Connections


class Bounds:
    """What both protocols are told by `protocols`; the defaults are those of the configuration."""

    max_connections: int = Limits().connections
    max_per_address: int = Limits().connections_per_address
    """Connections from one address; 0 is without that bound."""
    header_deadline: float = float(Limits().header_deadline)
    """Seconds from the connection, or from a request's first byte, to the end of its headers."""
    stall: float = float(Limits().write_deadline)
    """Seconds after which a peer that acknowledges or takes nothing is cut by the kernel."""
    addresses: ClassVar[Counter[str]] = Counter()
    """How many connections each address has."""

    tally: Connections = Connections()
    """Where all of them are counted."""

    client: tuple[str, int] | None

    def admit(self, transport: asyncio.Transport, connections: int) -> bool:
        """Counts a new connection and bounds what it may hold; returns whether it is one too many.

        Call `leave` once when it is gone.
        """
        self.tally.open += 1
        transport.set_write_buffer_limits(high=BUFFER)
        sock = transport.get_extra_info("socket")
        # Only an address of TCP is a client's: to ask the socket for its family takes longer than to set the option.
        if sys.platform == "linux" and sock is not None and self.client is not None:
            # A black hole shows only as bytes that nobody acknowledges: TCP alone would try for a quarter of
            # an hour. This also ends connections that we closed while their peer had stopped reading.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(self.stall * 1000)))
        if self.client is not None:
            self.addresses[self.client[0]] += 1
        of_address = self.addresses[self.client[0]] if self.client is not None and self.max_per_address else 0
        return connections > self.max_connections or of_address > self.max_per_address

    def leave(self) -> None:
        """Takes back what `admit` counted."""
        self.tally.open -= 1
        if self.client is None:
            return
        host = self.client[0]
        self.addresses[host] -= 1
        if self.addresses[host] <= 0:
            del self.addresses[host]
