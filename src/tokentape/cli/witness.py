"""Somebody who watches a run in the background, keeps what came, and can be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tokentape.client import Item, Notice, Opened, Watch
from tokentape.core.errors import TokentapeError
from tokentape.core.merge import Entry


class Witness:
    """Follows a watch from entering the context to leaving it."""

    def __init__(self, name: str, watch: Callable[[Callable[[Notice], None]], Watch]) -> None:
        """`watch` opens the watch, given what it is to notify."""
        self.name = name
        self.entries: list[Entry] = []
        self.connections = 0
        self.reason = ""
        """Of the run's `done`, once it came."""
        self._watch = watch(self._notice)
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def offset(self) -> int:
        """How far it has come."""
        return self.entries[-1].offset if self.entries else 0

    @property
    def repeated(self) -> int:
        """Events that the server sent again."""
        return self._watch.repeated

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow(), name=f"witness-{self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._watch.aclose()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Waits until something is so; raises what ended the watch before."""
        assert self._task is not None
        while not reached():
            if self._task.done():
                self._task.result()
                raise TokentapeError(f"{self.name}: the watch ended with {self.reason!r} at event {self.offset}.")
            self._changed.clear()
            await self._changed.wait()

    async def end(self) -> str:
        """Waits for the end of the watch; returns the reason of the run's `done`."""
        assert self._task is not None
        await self._task
        return self.reason

    async def _follow(self) -> None:
        try:
            async for item in self._watch:
                self._take(item)
                self._changed.set()
        finally:
            self._changed.set()

    def _take(self, item: Item) -> None:
        cursor, event, record = item
        if cursor is not None:
            self.entries.append(Entry(cursor.offset, record, event))
        elif event.type == "ready" and event.data["outcome"] in ("gone", "snapshot"):
            self.entries.clear()
        if event.type == "done":
            self.reason = event.data["reason"]

    def _notice(self, notice: Notice) -> None:
        if isinstance(notice, Opened):
            self.connections += 1
            self._changed.set()
