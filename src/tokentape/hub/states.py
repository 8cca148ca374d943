"""Where a dialect is at a position that a client holds: told from the run's beginning, once for all who ask."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Final

from tokentape.core.errors import CursorGone
from tokentape.core.merge import entries
from tokentape.hub.view import View
from tokentape.stores.base import Store

MAX_STATES: Final = 128
"""States that are kept, for clients that come back after a cut, at the positions where they were cut."""

_Key = tuple[str, View, int]


class States:
    """States by (epoch, view, offset). Many who come back at once to one position cost one reading."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[_Key, asyncio.Task[Any]] = OrderedDict()

    async def at(self, stream: str, epoch: str, view: View, *, begin: int, offset: int) -> Any:
        """The state of the view's dialect after `offset`, told from `begin` on, where its run begins.

        Raises `CursorGone` when the beginning of the run is no longer kept.
        """
        if not view.dialect.stateful or offset <= begin:
            return None
        key = (epoch, view, offset)
        task = self._known.get(key)
        if task is None:
            task = self._known[key] = asyncio.create_task(self._tell(stream, epoch, view, begin, offset))
            if len(self._known) > MAX_STATES:
                self._known.popitem(last=False)
        try:
            # Shielded: the others who wait for it are not to suffer when this one goes away.
            return await asyncio.shield(task)
        except Exception:
            self._known.pop(key, None)
            raise

    async def _tell(self, stream: str, epoch: str, view: View, begin: int, offset: int) -> Any:
        state, after = None, begin
        while after < offset:
            page = await self._store.read(stream, after)
            if page.epoch != epoch:
                raise CursorGone(f"The stream {stream!r} was made anew.", reason="epoch")
            known = entries([(place, record) for place, record in page.records if place <= offset])
            if not known:
                break
            after = known[-1].offset
            state = view.encode(epoch, known, state, last=after, merged=True, closed=False).state
        return state

    def close(self) -> None:
        """Stops what is still being read."""
        for task in self._known.values():
            task.cancel()
