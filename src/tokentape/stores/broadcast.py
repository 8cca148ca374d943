"""Broadcasts within one process: all that there is for a store that belongs to one, and the near part of any other."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tokentape.core.errors import TooLarge
from tokentape.stores.base import MAX_BROADCAST

_log = logging.getLogger("tokentape.store")

Hearer = Callable[[str, bytes], None]


class Hearers:
    """Those of this process who hear broadcasts."""

    def __init__(self) -> None:
        self._hearers: dict[Hearer, None] = {}

    def add(self, hearer: Hearer) -> Callable[[], None]:
        """Adds one; returns what removes it."""
        self._hearers[hearer] = None
        return lambda: self._hearers.pop(hearer, None)

    def tell(self, stream: str, record: bytes) -> None:
        """Tells all of them; one that fails does not keep the others from hearing."""
        for hearer in tuple(self._hearers):
            try:
                hearer(stream, record)
            except Exception:  # noqa: BLE001 - the others are to hear it
                _log.exception("a listener failed at a broadcast on %r", stream)


class LocalBroadcast:
    """The `Broadcasting` capability of a store that belongs to one process. `_hearers` is set by the store."""

    _hearers: Hearers

    def broadcast(self, stream: str, record: bytes) -> None:
        """Tells every listener; see `Broadcasting.broadcast`."""
        self._hearers.tell(stream, checked(record))

    def listen(self, hearer: Hearer) -> Callable[[], None]:
        """Hears every broadcast; see `Broadcasting.listen`."""
        return self._hearers.add(hearer)


def checked(record: bytes) -> bytes:
    """The record; raises `TooLarge` when it is longer than `MAX_BROADCAST`."""
    if len(record) > MAX_BROADCAST:
        raise TooLarge(f"A broadcast of {len(record)} bytes; {MAX_BROADCAST} is the most.")
    return record
