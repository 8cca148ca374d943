"""Queues on Redis: a stream and a consumer group each, with a connection of their own to wait on."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from redis.exceptions import ResponseError

from tokentape.stores.base import MAX_JOBS, Job
from tokentape.stores.redis.errors import explain
from tokentape.stores.redis.keys import Keys
from tokentape.stores.redis.link import Link
from tokentape.stores.redis.scripts import Command

GROUP: Final = "takers"
CONSUMER: Final = "any"
"""One for all: who executes what is a lease's business, and a name for each process would be left behind by each."""
FIELD: Final = "job"
LONGEST_WAIT: Final = 2.0
"""Seconds that Redis holds a request for; less where the store's time-out is shorter, which counts from the request."""
_MISSING: Final = ("NOGROUP", "UNBLOCKED")
"""How an answer begins when the group, or the whole queue, is gone: Redis has lost it, or nobody has made it."""


class RedisQueues:
    """The `Queueing` capability. A group that Redis has lost is made again, from the first entry that is there."""

    _link: Link
    _taking: Link
    _keys: Keys

    between_processes = True

    def __init__(self) -> None:
        self._taking_opened = False
        self._opening = asyncio.Lock()

    async def put_job(self, queue: str, name: str) -> None:
        """Adds an entry at the end."""
        # Sent again after a lost answer it is there twice, which a queue may have.
        await self._link.ask([("XADD", self._keys.queue(queue), "MAXLEN", "~", MAX_JOBS, "*", FIELD, name)])

    async def take_job(self, queue: str, *, seconds: float, again: float) -> Job | None:
        """The entry that has waited longest; see `Queueing.take_job`."""
        key = self._keys.queue(queue)
        until = time.monotonic() + seconds
        while True:
            job = await self._left_behind(key, again)
            if job is not None:
                return job
            left = min(until - time.monotonic(), LONGEST_WAIT, self._link.target.timeout / 2)
            command: Command = (
                "XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", 1, "BLOCK", max(1, round(left * 1000)),
                "STREAMS", key, ">",
            )  # fmt: skip
            answer = await self._try(await self._waiting(), key, command)
            if answer:
                return _job(answer[0][1])
            if time.monotonic() >= until:
                return None

    async def finish_job(self, queue: str, job: Job) -> None:
        """Removes an entry that was taken."""
        key = self._keys.queue(queue)
        await self._link.ask([("XACK", key, GROUP, job.receipt), ("XDEL", key, job.receipt)])

    async def count_jobs(self, queue: str) -> int:
        """How many entries there are, taken or not."""
        [count] = await self._link.ask([("XLEN", self._keys.queue(queue))])
        return int(count)

    async def _left_behind(self, key: str, again: float) -> Job | None:
        """An entry that somebody took so long ago that they must have died before they did anything about it."""
        command: Command = ("XAUTOCLAIM", key, GROUP, CONSUMER, max(1, round(again * 1000)), "0", "COUNT", 1)
        answer = await self._try(self._link, key, command)
        return _job(answer[1], again=True) if answer else None

    async def _try(self, link: Link, key: str, command: Command) -> Any:
        """What Redis answers; None when there was no group, which there is from then on."""
        [answer] = await link.send([command])
        if isinstance(answer, ResponseError) and str(answer).startswith(_MISSING):
            [made] = await self._link.send([("XGROUP", "CREATE", key, GROUP, "0", "MKSTREAM")])
            if not isinstance(made, BaseException) or str(made).startswith("BUSYGROUP"):
                return None
            answer = made
        if isinstance(answer, BaseException):
            await self._link.mend([answer])
            raise explain(answer, self._link.where) from None
        return answer

    async def _waiting(self) -> Link:
        """The connection on which to wait; only those who take have one."""
        async with self._opening:
            if not self._taking_opened:
                await self._taking.open()
                self._taking_opened = True
        return self._taking


def _job(entries: Any, *, again: bool = False) -> Job | None:
    if not entries:
        return None
    receipt, fields = entries[0]
    return Job(receipt.decode(), fields[1].decode(), again)
