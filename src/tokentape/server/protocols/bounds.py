"""What both protocols bound of a connection."""

from __future__ import annotations

import asyncio
import socket
import sys

from tokentape.server.config import Limits
from tokentape.server.transport import BUFFER, Link


class Bounds:
    """What both protocols are told by `protocols`."""

    max_connections: int = Limits().connections
    stall: float = float(Limits().write_deadline)
    """Seconds after which a peer that acknowledges or takes nothing is cut by the kernel."""

    def make_link(self, transport: asyncio.Transport, connections: int) -> Link:
        transport.set_write_buffer_limits(high=BUFFER)
        sock = transport.get_extra_info("socket")
        if sys.platform == "linux" and sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            # A black hole shows only as bytes that nobody acknowledges: TCP alone would try for a quarter of
            # an hour. This also ends connections that we closed while their peer had stopped reading.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(self.stall * 1000)))
        return Link(transport, crowded=connections > self.max_connections)
