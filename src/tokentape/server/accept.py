"""Accepting connections a few at a time, and going on when the process runs out of descriptors.

An event loop's own server accepts all that wait in one turn: a burst of thousands then stops every stream for a
while. And what it does without a descriptor left differs from loop to loop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
from collections.abc import Callable
from typing import Final

if sys.platform != "win32":
    import resource

_log = logging.getLogger(__name__)

PER_TURN: Final = 32
"""Connections taken in one turn of the event loop: some milliseconds of work."""
PAUSE: Final = 0.25
"""Seconds before the next attempt when there is no descriptor, or no memory, for one more."""
RESERVE: Final = 128
"""Descriptors that are not for clients: the store's files, providers, and what answers those that are too many."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Takes the connections of one listening socket, which must not block."""

    def __init__(self, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._adopting: set[asyncio.Task[None]] = set()
        self._pausing: asyncio.TimerHandle | None = None
        self._open()

    def close(self) -> None:
        """Takes no more; the listening socket itself stays open."""
        if self._pausing is not None:
            self._pausing.cancel()
        else:
            self._loop.remove_reader(self._listener)

    def _open(self) -> None:
        self._pausing = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(PER_TURN):
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                continue  # this one has gone before it was taken
            connection.setblocking(False)
            task = self._loop.create_task(self._adopt(connection))
            self._adopting.add(task)
            task.add_done_callback(self._adopting.discard)

    def _pause(self, error: OSError) -> None:
        _log.warning("no more connections for now: %s; the limit `connections` should be lower", error.strerror)
        self._loop.remove_reader(self._listener)
        self._pausing = self._loop.call_later(PAUSE, self._open)

    async def _adopt(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError as error:
            _log.debug("a connection was gone before it began: %s", error)
            connection.close()


def descriptors() -> int:
    """How many descriptors this process may have, once it has asked for all that it can get."""
    if sys.platform == "win32":
        return sys.maxsize
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):
            pass  # some systems name a limit that they do not grant
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def connections_within(wanted: int) -> int:
    """As many of the wanted connections as there are descriptors for; says so when that is fewer."""
    room = max(1, descriptors() - RESERVE)
    if wanted > room:
        _log.info("at most %d connections instead of %d: raise the limit of open files (ulimit -n)", room, wanted)
    return min(wanted, room)
