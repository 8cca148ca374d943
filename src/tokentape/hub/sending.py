"""How a flush gets bytes to sockets: many at once, and what each of them took."""

from __future__ import annotations

from collections.abc import Sequence
from socket import socket
from typing import Protocol

Job = tuple[bytes, Sequence[socket]]
"""One content, and the sockets that are to have it. None of them blocks."""


class Sender(Protocol):
    """Sends as far as the kernel takes it at once."""

    def send(self, jobs: Sequence[Job]) -> list[int] | None:
        """Returns how many bytes each socket took, in the order given; None when all took everything.

        It does not raise, and does not wait. A socket stands in one job once; one that stands in two jobs gets both
        contents in order, and the second one only after the whole first one.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds."""
        ...


class OneByOne:
    """A system call for each socket."""

    def send(self, jobs: Sequence[Job]) -> list[int] | None:
        taken: list[int] = []
        whole = True
        full: set[socket] = set()
        for content, sockets in jobs:
            size = len(content)
            for sock in sockets:
                count = 0
                if whole or sock not in full:
                    try:
                        count = sock.send(content)
                    except OSError:
                        count = 0
                if count != size:
                    whole = False
                    full.add(sock)
                taken.append(count)
        return None if whole else taken

    def close(self) -> None:
        pass
