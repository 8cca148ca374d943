"""Upkeep: what is done between commits, a slice of each chore at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from tokentape.stores.retention import Clock
from tokentape.stores.sqlite.catalog import Catalog
from tokentape.stores.sqlite.checkpoint import Checkpointer
from tokentape.stores.sqlite.flush import Flusher
from tokentape.stores.sqlite.sweep import SLICE_STREAMS, Sweeper

FLUSH_SHARE: Final = 0.2
"""Of the time, for flushing, unless records come faster than that: commits wait for a slice that is under way."""
EASY_SHARE: Final = 0.04
"""The same for flushing that is early: what is spread over the time between two rounds is not felt."""
MAX_REST: Final = 0.1
"""Seconds between two slices, at most: one that took long on a busy machine says little of the next."""
RETRY_SECONDS: Final = 1.0
"""How long a chore rests after an error: a full disk is not emptied by asking it often."""

Chore = Callable[[], bool]
"""Does a slice, of a few milliseconds; returns whether there is more to do."""


class Upkeep:
    """Runs the chores. Each rests by itself after an error, since one may make the room that another lacks."""

    def __init__(
        self,
        catalog: Catalog,
        flusher: Flusher,
        sweeper: Sweeper,
        checkpointer: Checkpointer,
        *,
        clock: Clock,
        sweep_seconds: float,
        failed: Callable[[Exception], None],
    ) -> None:
        self._catalog = catalog
        self._flusher = flusher
        self._sweeper = sweeper
        self._checkpointer = checkpointer
        self._clock = clock
        self._sweep_seconds = sweep_seconds
        self._failed = failed
        self._next_sweep = clock.monotonic() + sweep_seconds
        self._next_flush = 0.0
        self._chores: Sequence[Chore] = (self._collect, self._flush, self._evict, self._sweep, self._checkpoint)
        self._rests_until = dict.fromkeys(self._chores, 0.0)

    def run(self) -> float:
        """Does a slice of each chore; returns the seconds until there is more to do."""
        now = time.monotonic()  # not the store's clock, since this paces real work
        busy = resting = False
        for chore in self._chores:
            if now < self._rests_until[chore]:
                resting = True
                continue
            try:
                busy = chore() or busy
            except Exception as error:  # noqa: BLE001 - commits go on without it, for a while
                self._failed(error)
                self._rests_until[chore] = now + RETRY_SECONDS
                resting = True
        if busy:
            return 0
        wait = RETRY_SECONDS if resting else max(0, self._next_sweep - self._clock.monotonic())
        if self._flusher.busy or self._flusher.due:
            wait = min(wait, max(0, self._next_flush - time.monotonic()))
        return wait

    def _collect(self) -> bool:
        if self._sweeper.busy:
            self._sweeper.collect()
        return self._sweeper.busy

    def _flush(self) -> bool:
        flusher, began = self._flusher, time.monotonic()
        if began < self._next_flush and not (flusher.busy and flusher.due):
            return False
        if flusher.busy or flusher.due:
            self._sweeper.trimmed(flusher.step())
            while flusher.busy and flusher.due:  # records come faster than such slices move them
                self._checkpoint()  # each slice makes the log longer, and there may be many
                self._sweeper.trimmed(flusher.step())
            ended = time.monotonic()
            share = EASY_SHARE if flusher.early else FLUSH_SHARE
            self._next_flush = ended + min(MAX_REST, (ended - began) * (1 / share - 1))
        return False

    def _evict(self) -> bool:
        if not self._flusher.busy and (surplus := self._catalog.surplus()):
            self._sweeper.write_renewals(surplus)
            self._catalog.drop(surplus)
        return False

    def _sweep(self) -> bool:
        now = self._clock.monotonic()
        if now < self._next_sweep:
            return False
        more = self._sweeper.sweep() >= SLICE_STREAMS
        if not more:
            self._next_sweep = now + self._sweep_seconds
        return more

    def _checkpoint(self) -> bool:
        if self._checkpointer.due:
            self._checkpointer.run()
        return False
