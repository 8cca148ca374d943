"""The writer thread: takes what is queued, all of it at a time, and has the engine do it in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final, TypeVar

from tokentape.core.errors import StoreUnavailable, TokentapeError
from tokentape.stores.base import Append, Appended
from tokentape.stores.sqlite.engine import Call, Engine

Result = TypeVar("Result")

PATIENCE: Final = 0.005
"""Seconds that the event loop waits for a commit, at most."""
RECOVERY: Final = 0.025
"""Seconds for which it does not wait again when that was too short: a disk that is slow holds it for a sixth of the
time, then."""
MAX_GROUP: Final = 4096
"""A transaction takes no further call once it has this many entries: a bound on what a commit makes others wait."""


class Writer:
    """A thread that owns an engine, fed from one event loop.

    `append` and `call` hand work in at the moment of the call, so that it is done in the order of the
    calls, and done even when the caller is cancelled. The futures of one transaction are resolved
    by one call into the loop.

    Two threads that both need the interpreter get in each other's way: on one core a commit of a millisecond took
    fifty, since each time that the busy loop let go of the interpreter it had it back before the writer woke. So the
    loop may lend it: it stands still until its commit is done, which costs nothing that would not be spent anyway.
    """

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop, *, max_queued: int) -> None:
        self._engine = engine
        self._loop = loop
        self._max_queued = max_queued
        self._queue: SimpleQueue[Call | None] = SimpleQueue()
        self._handed_in = 0  # counted by the loop's thread
        self._taken = 0  # counted by the writer thread
        self._closing = False  # set by the loop's thread: nothing more comes in
        self._mutex = threading.Lock()  # for the next two
        self._resolved: deque[list[Call]] = deque()
        self._lent_for: Call | None = None  # the loop's thread stands still for this call
        self._landed = threading.Lock()  # released when that call is done
        self._landed.acquire()
        self._lend_after = 0.0
        self._finished = threading.Event()  # set by the writer thread: nothing more is taken
        self._thread = threading.Thread(target=self._run, name="tokentape-writer", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether it takes calls."""
        return not (self._closing or self._finished.is_set())

    def append(self, batch: Sequence[Append], *, lend: bool = False) -> asyncio.Future[list[Appended | TokentapeError]]:
        """Hands a batch in; raises `StoreUnavailable` when too much is waiting already.

        With `lend` the caller stands still while the writer does it, for up to `PATIENCE`.
        """
        waiting = self._handed_in - self._taken
        if waiting and waiting + len(batch) > self._max_queued:
            raise StoreUnavailable(f"{waiting} appends are waiting for the store's disk. Try again later.")
        self._handed_in += len(batch)
        future: asyncio.Future[list[Appended | TokentapeError]] = self._loop.create_future()
        call = Call(future, batch=batch)
        if lend and monotonic() >= self._lend_after:
            self._lend(call)
        else:
            self._put(call)
        return future

    def call(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """Hands in other work for the engine."""
        future: asyncio.Future[Result] = self._loop.create_future()
        self._put(Call(future, work=work))
        return future

    def finish(self) -> None:
        """Takes in nothing more; what was handed in is still done, and then the engine is closed."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)

    def join(self) -> None:
        """Blocks until the engine is closed."""
        self._thread.join()

    def _lend(self, call: Call) -> None:
        self._lent_for = call
        try:
            self._put(call)
            if not self._landed.acquire(timeout=PATIENCE):
                self._lend_after = monotonic() + RECOVERY
        finally:
            with self._mutex:
                landed, self._lent_for = self._lent_for is None, None
            if landed:
                self._landed.acquire(blocking=False)  # it may have landed just after the time was up
        self._settle()

    def _put(self, call: Call) -> None:
        if not self.is_open:
            raise StoreUnavailable("The store is closed.")
        self._queue.put(call)
        if self._finished.is_set():  # the thread died in between
            self._abandon()

    def _run(self) -> None:
        last = False
        try:
            wait = self._engine.upkeep()
            while not last:
                calls, last = self._take(wait)
                if calls:
                    self._do(calls)
                wait = self._engine.upkeep()
        finally:
            self._finished.set()
            self._engine.close()
            self._abandon()

    def _take(self, wait: float) -> tuple[list[Call], bool]:
        """What is queued, up to a bound, after waiting for the first of it; and whether that was the last."""
        calls: list[Call] = []
        entries = 0
        with contextlib.suppress(Empty):
            call = self._queue.get(timeout=wait) if wait > 0 else self._queue.get_nowait()
            while call is not None:
                calls.append(call)
                if call.batch is not None:
                    self._taken += len(call.batch)
                    entries += len(call.batch)
                if entries >= MAX_GROUP:
                    return calls, False
                call = self._queue.get_nowait()
            return calls, True
        return calls, False

    def _do(self, calls: list[Call]) -> None:
        try:
            self._engine.run(calls)
        finally:
            self._resolve(calls)

    def _resolve(self, calls: list[Call]) -> None:
        with self._mutex:
            self._resolved.append(calls)
            if self._lent_for in calls:
                self._lent_for = None
                self._landed.release()
                return
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        while self._resolved:
            _settle(self._resolved.popleft())

    def _abandon(self) -> None:
        calls: list[Call] = []
        with contextlib.suppress(Empty):
            while True:
                call = self._queue.get_nowait()
                if call is not None:
                    calls.append(call)
        if calls:
            self._resolve(calls)


def _settle(calls: list[Call]) -> None:
    for call in calls:
        if call.future.done():  # cancelled by its caller: the work was done all the same
            continue
        if call.error is not None:
            call.future.set_exception(call.error)
        elif call.done:
            call.future.set_result(call.result)
        else:
            call.future.set_exception(StoreUnavailable("The store has stopped working. It has to be opened again."))
