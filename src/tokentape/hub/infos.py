"""Asking the store where a stream is: thousands who come back at once share the answer."""

from __future__ import annotations

import asyncio

from tokentape.stores.base import Store, StreamInfo


class Infos:
    """One question at a time for each stream; whoever comes meanwhile shares the next one.

    Not the one under way: it may be answered already, with what was true before they came.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asking: dict[str, asyncio.Future[None]] = {}
        self._next: dict[str, asyncio.Task[StreamInfo]] = {}

    async def get(self, stream: str) -> StreamInfo:
        """The stream as it is now; raises `StreamNotFound`."""
        asking = self._asking.get(stream)
        if asking is None:
            return await self._ask(stream)
        shared = self._next.get(stream)
        if shared is None:
            shared = self._next[stream] = asyncio.create_task(self._ask_after(asking, stream))
            # Its error is for those who wait, and they may all have gone.
            shared.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(shared)

    async def _ask_after(self, asking: asyncio.Future[None], stream: str) -> StreamInfo:
        await asking
        del self._next[stream]
        return await self._ask(stream)

    async def _ask(self, stream: str) -> StreamInfo:
        over = asyncio.get_running_loop().create_future()
        self._asking[stream] = over
        try:
            return await self._store.info(stream)
        finally:
            if self._asking.get(stream) is over:
                del self._asking[stream]
            over.set_result(None)
