"""Reading the store for watchers that are behind: one read, and one encoding, for all who wait for the same page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from tokentape.core.errors import CursorGone, TokentapeError
from tokentape.hub.payloads import MAX_PAYLOAD, Key, Payloads
from tokentape.stores.base import Page, Store

if TYPE_CHECKING:
    from tokentape.hub.watcher import Watcher

_log = logging.getLogger(__name__)

SLICE: Final = 0.002
"""Seconds that handing out one page may hold the loop before others get a turn."""


class Pages:
    """Reads pages of streams, each once for all who ask while it is on its way."""

    def __init__(self, store: Store, payloads: Payloads, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._store = store
        self._payloads = payloads
        self._spawn = spawn
        self._waiting: dict[Key, list[Watcher]] = {}

    def fetch(self, watcher: Watcher) -> None:
        """Reads what follows the watcher's cursor, and hands it over by `took_page`, `took_nothing` or `failed`."""
        key = Key(watcher.ready.cursor.epoch, watcher.view, watcher.cursor, True)
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = [watcher]
            self._spawn(self._read(watcher.tail.name, key, watcher.told))
        else:
            waiting.append(watcher)

    async def _read(self, stream: str, key: Key, state: Any) -> None:
        hand_over: Callable[[Watcher], None]
        try:
            page = await self._store.read(stream, key.after, max_bytes=MAX_PAYLOAD)
            hand_over = self._page(page, key, state)
        except CursorGone:
            hand_over = _gone
        except TokentapeError as error:
            hand_over = _failure(error)
        except Exception:  # noqa: BLE001 - their connections must not be left hanging
            _log.exception("watchers of %s failed", stream)
            hand_over = _failure(TokentapeError("The server failed while it read this stream."))
        started = monotonic()
        for watcher in self._waiting.pop(key):
            hand_over(watcher)
            if monotonic() - started > SLICE:
                await asyncio.sleep(0)
                started = monotonic()

    def _page(self, page: Page, key: Key, state: Any) -> Callable[[Watcher], None]:
        if page.epoch != key.epoch:
            return _gone
        last = page.records[-1][0] if page.records else page.last
        ended = page.closed and last == page.last
        entries, current = key.view.entries(page.records), last == page.last
        payload = key.view.encode(page.epoch, entries, state, last=last, merged=True, closed=ended, current=current)
        self._payloads.put(key, payload, head=page.last)
        return lambda watcher: watcher.took_page(page, payload)


def _gone(watcher: Watcher) -> None:
    watcher.took_nothing()


def _failure(error: TokentapeError) -> Callable[[Watcher], None]:
    return lambda watcher: watcher.failed(error)
