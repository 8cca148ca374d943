"""Reading many answers by turns: a bounded number of sockets in each turn of the event loop, the longest waiting first.

uvloop reads every socket that is ready before anything else has its turn: with a thousand of them that is a turn of
thirty milliseconds, and who has nothing yet when it begins waits for the end of the next one. Here a turn is short,
whatever the load; and what comes meanwhile is read in fewer and larger pieces.

epoll is asked for edges (EPOLLET), because of the order: who is told of levels goes to the end of the kernel's list as
soon as it was told, and waits from its last read on; with edges it does so with the first byte that it has not read.
So nobody's byte waits longer than there is work ahead of it, where by levels it was up to a whole round.

Laws (tests/providers/test_intake.py):
- at most `PER_TURN` sockets are read in one turn of the loop, each once, and then it is the others' turn;
- a socket's end is the transport's to tell: it gets the socket back for that, and with it an error, which a socket has
  only once;
- a reader that fails has its socket taken from it, and is told, as by a transport: it cannot go on with a gap;
- what is removed is not read again, also when it was ready already;
- what came first is read first; who has more than one read takes goes behind those that have waited.
"""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import suppress
from typing import Final, Protocol, Self

PER_TURN: Final = 64
"""Sockets read in one turn: with all that follows from it, two milliseconds."""
READ_BYTES: Final = 65_536
"""Bytes of one read."""

if hasattr(select, "epoll"):
    _EDGES: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET


class Reading(Protocol):
    """Who reads a socket."""

    def data_received(self, data: bytes) -> None: ...

    def end_of_data(self, error: Exception | None) -> None:
        """The socket is no longer here: it has ended, or failed with this error, or `data_received` has."""
        ...


class Intake:
    """The sockets that are read by turns in one event loop. Only where there is epoll: see `create`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._poll = select.epoll()
        self._readers: dict[int, Reading] = {}
        loop.add_reader(self._poll.fileno(), self._turn)

    @classmethod
    def create(cls) -> Self | None:
        """An intake for the running loop; None where a transport has to read for itself."""
        return cls(asyncio.get_running_loop()) if hasattr(select, "epoll") else None

    def add(self, fd: int, reader: Reading) -> None:
        """Reads this socket from now on."""
        self._readers[fd] = reader
        self._poll.register(fd, _EDGES)

    def remove(self, fd: int, reader: Reading) -> None:
        """Reads it no more, if this reader still has it: a socket that was closed leaves its number to others."""
        if self._readers.get(fd) is reader:
            del self._readers[fd]
            with suppress(OSError):  # closed already
                self._poll.unregister(fd)

    def close(self) -> None:
        """Lets go of what is left."""
        self._readers.clear()
        self._loop.remove_reader(self._poll.fileno())
        self._poll.close()

    def _turn(self) -> None:
        readers = self._readers
        for fd, seen in self._poll.poll(0, PER_TURN):
            reader = readers.get(fd)
            if reader is None:
                continue  # removed in this turn
            try:
                data = os.read(fd, READ_BYTES)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                self._give_back(fd, reader, error)
                continue
            if not data:
                self._give_back(fd, reader, None)
                continue
            try:
                reader.data_received(data)
            except Exception as error:  # noqa: BLE001 - the others of this turn are not to suffer
                self._complain(reader, error)
                self._give_back(fd, reader, error)
                continue
            if (seen != select.EPOLLIN or len(data) == READ_BYTES) and readers.get(fd) is reader:
                # An end behind the data, or more of it: there is no other edge for what is there already.
                with suppress(OSError):  # closed already
                    self._poll.modify(fd, _EDGES)

    def _give_back(self, fd: int, reader: Reading, error: Exception | None) -> None:
        self.remove(fd, reader)
        try:
            reader.end_of_data(error)
        except Exception as failure:  # noqa: BLE001 - likewise; and the kernel tells of them only once
            self._complain(reader, failure)

    def _complain(self, reader: Reading, error: Exception) -> None:
        context = {"message": "A reader of an intake has failed.", "exception": error, "protocol": reader}
        self._loop.call_exception_handler(context)
