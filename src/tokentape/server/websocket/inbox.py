"""What a client asked for on one WebSocket and is not carried out yet: in order, bounded by number and by bytes."""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, NamedTuple, TypeVar

from tokentape.core.errors import TokentapeError
from tokentape.core.messages import RequestId

T = TypeVar("T")

MAX_REQUESTS: Final = 256
"""Requests that may wait: as many as a client may reasonably send without waiting for answers."""
MAX_BYTES: Final = 1_048_576
"""Bytes of waiting requests, beyond the last one."""


class Refused(NamedTuple):
    """A message that is no valid request; it is answered when its turn comes."""

    id: RequestId | None
    error: TokentapeError


class Inbox(Generic[T]):
    """Filled as messages come, emptied by the one who carries out the requests."""

    __slots__ = ("_bytes", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[tuple[T, int]] = deque()
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether nothing more should be read before something was taken out."""
        return len(self._waiting) >= MAX_REQUESTS or self._bytes >= MAX_BYTES

    @property
    def roomy(self) -> bool:
        """Whether to read on after it was full: with a gap, so that not every request stops and starts the reading."""
        return len(self._waiting) <= MAX_REQUESTS // 2 and self._bytes <= MAX_BYTES // 2

    def put(self, item: T, size: int) -> None:
        """Takes one, of `size` bytes."""
        self._waiting.append((item, size))
        self._bytes += size

    def next(self) -> T | None:
        """The next one, None when nothing waits."""
        if not self._waiting:
            return None
        item, size = self._waiting.popleft()
        self._bytes -= size
        return item
