"""Ports for servers that have to be told theirs.

A port that is only looked up and then let go may be another's before the server listens: the system gives its own
choice of ports to every connection and to every `--port 0`. So these come from below that choice, and in blocks: the
first port of a block is bound, for as long as this process lives, by whoever hands out the others. Nobody gets a port
twice, so a server can also be killed and come back on its own.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FIRST: Final = 11_000
"""Above the ports that browsers refuse."""

LAST: Final = 32_767
"""Below the ports that Linux gives to connections, as it comes; other systems begin higher."""

BLOCK: Final = 64
_CHOSEN_BY_THE_SYSTEM: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")

_held: list[socket.socket] = []
"""The first port of each of our blocks."""


def free_port() -> int:
    """A port on which nobody listens, and which nobody else is given."""
    return next(_ports)


def _hand_out() -> Iterator[int]:
    for first in range(FIRST, _end() - BLOCK, BLOCK):
        holder = _bound(first)
        if holder is None:
            continue
        _held.append(holder)
        for port in range(first + 1, first + BLOCK):
            probe = _bound(port)
            if probe is not None:
                probe.close()
                yield port
    raise OSError(f"no port from {FIRST} to {_end()} is free")


def _end() -> int:
    """Where the system's own choice begins; when that leaves no room, a clash is possible and merely unlikely."""
    try:
        begins = int(_CHOSEN_BY_THE_SYSTEM.read_text().split()[0])
    except OSError:
        begins = LAST
    return min(begins, LAST) if begins > FIRST + 16 * BLOCK else LAST


def _bound(port: int) -> socket.socket | None:
    """A socket that has the port on all addresses, or none when it is in use on any of them."""
    probe = socket.socket()
    try:
        probe.bind(("", port))
    except OSError:
        probe.close()
        return None
    return probe


_ports: Final = _hand_out()
