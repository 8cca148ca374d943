"""Reads that are asked for at the same time go to Redis as one call, where all streams live on one server."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from redis.exceptions import ResponseError

from tokentape.core.errors import StoreUnavailable
from tokentape.stores.redis.entries import FAILED, LATER
from tokentape.stores.redis.errors import explain
from tokentape.stores.redis.keys import Keys
from tokentape.stores.redis.link import Link, end
from tokentape.stores.redis.scripts import READ, Value

MAX_STREAMS: Final = 128
MAX_BYTES: Final = 262_144
"""A call ends after the page with which it has as much; what is left is asked anew. Bounds how long Redis is busy."""


class _Wanted(NamedTuple):
    name: str
    after: int
    max_bytes: int
    max_records: int
    answer: Future[Any]


class Reads:
    """Collects what is wanted in one turn of the loop, and asks for it together.

    Of `under_way` calls at a time, so that under load each carries more. What waits is bounded by its callers: each
    waits for its answer.
    """

    def __init__(self, link: Link, keys: Keys, clock: Callable[[], tuple[Any, Any]], *, under_way: int) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock
        self._together = 1 if link.is_cluster else MAX_STREAMS
        self._room = under_way
        self._waiting: deque[_Wanted] = deque()
        self._next: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def page(self, name: str, after: int, *, max_bytes: int, max_records: int) -> Any:
        """The script's answer about one stream; raises what went wrong with the call."""
        answer: Future[Any] = self._loop.create_future()
        self._waiting.append(_Wanted(name, after, max_bytes, max_records, answer))
        if self._next is None:
            # All that comes in this turn of the loop goes together.
            self._next = self._loop.call_soon(self._go)
        return await answer

    async def close(self) -> None:
        """Ends what is under way; whoever waits is told."""
        if self._next is not None:
            self._next.cancel()
        await end([*self._tasks])
        for wanted in self._waiting:
            if not wanted.answer.done():
                wanted.answer.set_exception(StoreUnavailable("The store is closed."))
        self._waiting.clear()

    def _go(self) -> None:
        self._next = None
        while self._waiting and len(self._tasks) < self._room:
            group = [self._waiting.popleft() for _ in range(min(self._together, len(self._waiting)))]
            group = [wanted for wanted in group if not wanted.answer.done()]  # whose caller has gone
            if group:
                task = self._loop.create_task(self._ask(group), name="tokentape-redis-read")
                self._tasks.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._waiting and self._next is None:
            self._next = self._loop.call_soon(self._go)

    async def _ask(self, group: list[_Wanted]) -> None:
        keys: list[str] = []
        arguments: list[Value] = []
        for wanted in group:
            keys += self._keys.stream(wanted.name)
            arguments += (wanted.after, wanted.max_bytes, wanted.max_records)
        try:
            [answers] = await self._link.ask([READ.command(keys, *self._clock(), MAX_BYTES, *arguments)])
        except BaseException as error:
            self._fail(group, error)
            if not isinstance(error, Exception):
                raise
            return
        for wanted, answer in reversed([*zip(group, answers, strict=True)]):
            if answer[0] == LATER:
                self._waiting.appendleft(wanted)
            elif not wanted.answer.done():
                if answer[0] == FAILED:
                    wanted.answer.set_exception(explain(ResponseError(answer[1].decode()), self._link.where))
                else:
                    wanted.answer.set_result(answer)

    def _fail(self, group: list[_Wanted], error: BaseException) -> None:
        if not isinstance(error, Exception):  # cancelled, since the store closes
            error = StoreUnavailable("The store is closed.")
        for wanted in group:
            if not wanted.answer.done():
                wanted.answer.set_exception(error)
