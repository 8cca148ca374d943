"""A connection whose capacity a test sets by hand."""

import asyncio

from tokentape.core.errors import TokentapeError
from tokentape.core.resume import Ready
from tokentape.hub import Payload, Watcher


class ManualOutlet:
    def __init__(self, *, capacity: int = 1_000_000, direct: bool = False) -> None:
        """`direct` has a socket of its own, and `write` is not called for what that takes."""
        self.capacity = capacity
        self.direct = direct
        self.begun: list[Ready] = []
        self.payloads: list[Payload] = []
        self.finished = False
        self.error: TokentapeError | None = None
        self.aborted = False
        self.watcher: Watcher | None = None
        self._changed = asyncio.Event()

    @property
    def writable(self) -> bool:
        return sum(payload.size for payload in self.payloads) < self.capacity

    @property
    def socket(self):
        return self if self.direct and self.writable else None

    def send(self, content) -> int:
        """As a socket that takes everything."""
        assert self.watcher is not None
        size = self.watcher.view.dialect.size(content)
        self.write(self.watcher, Payload(content, size, self.watcher.cursor, False))
        return size

    def ready(self, watcher: Watcher, ready: Ready) -> None:
        self.watcher = watcher
        self.begun.append(ready)
        self._changed.set()

    def write(self, watcher: Watcher, payload: Payload) -> None:
        assert self.writable, "the hub writes only to what is writable"
        self.payloads.append(payload)
        self._changed.set()

    def ended(self, watcher: Watcher) -> None:
        watcher.flushed()

    def finish(self, watcher: Watcher) -> None:
        self.finished = True
        self._changed.set()

    def abort(self, watcher: Watcher, error: TokentapeError | None) -> None:
        self.aborted = True
        self.error = error
        self._changed.set()

    @property
    def items(self) -> list:
        return [item for payload in self.payloads for item in payload.content]

    @property
    def offsets(self) -> list[int]:
        return [item.cursor.offset for item in self.items if item.cursor is not None]

    async def until(self, condition) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
