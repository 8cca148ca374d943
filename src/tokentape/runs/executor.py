"""The runs that this process executes: from a lease to the end of the run, or to its hand-over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.errors import StreamNotFound, TokentapeError
from tokentape.core.resume import From
from tokentape.core.transcript import Transcript
from tokentape.hub import Hub
from tokentape.providers.base import Generation, Provider, Timeouts
from tokentape.runs.audience import Audience
from tokentape.runs.custody import Custody
from tokentape.runs.jobs import Jobs
from tokentape.runs.messages import with_partial
from tokentape.runs.metrics import RunMetrics
from tokentape.runs.orders import Orders
from tokentape.runs.registry import Registry
from tokentape.runs.request import RunInfo, RunRequest, StopAfter
from tokentape.runs.runner import HAND_OVER, Attempt, Runner
from tokentape.stores.base import Fence

_log = logging.getLogger(__name__)

MAX_RESTARTS: Final = 3
"""A run that brings down each process that executes it must come to an end."""
END_WAIT: Final = 5.0
"""Seconds that a run gets to record its end."""


class Model(Protocol):
    """What the catalog says of one model."""

    name: str
    provider: Provider
    model: str
    timeouts: Timeouts
    retries: int
    max_live: int


class Models(Protocol):
    """Where models come from: `providers.catalog.Catalog`."""

    def resolve(self, name: str) -> tuple[Model, ...]:
        """The model and its fallbacks, in order; raises `ModelNotFound`."""
        ...


Stop = Callable[[str], Awaitable[RunInfo]]
"""Ends the run that another one replaces, and waits for that."""


class Executor:
    """Runs by id, each with its runner and its task."""

    def __init__(
        self,
        hub: Hub,
        models: Models,
        registry: Registry,
        orders: Orders,
        jobs: Jobs,
        *,
        audience: Audience,
        holder: str,
        lease: float,
        replaced: Stop,
        now: Callable[[], float],
    ) -> None:
        self.live: dict[str, Runner] = {}
        self.draining = False
        """No run is taken any more."""
        self.metrics = RunMetrics()
        self.custody = Custody(hub, self.live, holder=holder, seconds=lease)
        self._hub = hub
        self._models = models
        self._registry = registry
        self._orders = orders
        self._jobs = jobs
        self._audience = audience
        self._replaced = replaced
        self._now = now
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()

    def attempts(self, request: RunRequest, provider: Provider | None) -> list[Attempt]:
        """What is tried for a request, in order; raises `ModelNotFound`."""

        def generation(model: str) -> Generation:
            return Generation(
                model=model, messages=request.messages, parameters=request.parameters(), simulated=request.simulated
            )

        if provider is not None:
            never = Timeouts(connect=0, first_token=0, between_tokens=0, total=0)
            name = request.model or provider.name
            return [Attempt(name, provider, generation(name), never, 0)]
        return [
            Attempt(m.name, m.provider, generation(m.model), m.timeouts, m.retries, self._slots_of(m))
            for m in self._models.resolve(request.model)
        ]

    def _slots_of(self, model: Model) -> asyncio.Semaphore | None:
        if not model.max_live:
            return None
        return self._slots.setdefault(model.provider.name, asyncio.Semaphore(model.max_live))

    def launch(
        self, info: RunInfo, request: RunRequest, attempts: Sequence[Attempt], fence: Fence, *, again: bool = False
    ) -> None:
        """Executes a run whose lease is held; from here on it comes to an end by itself."""
        runner = Runner(self._hub, info, attempts, fence=fence, again=again, metrics=self.metrics, now=self._now)
        self.live[info.id] = runner
        self._ended[info.id] = asyncio.Event()
        told = self._registry.index.stop_of(info.id)
        if told is not None:
            runner.stop("stopped", told)
        if isinstance(request.on_no_watchers, StopAfter):
            self._audience.expect(info.id, info.stream, request.on_no_watchers.stop_after)
        before = partial(self._replace, request.replaces, attempts) if request.replaces is not None else None
        task = asyncio.get_running_loop().create_task(self._execute(runner, before), name=f"tokentape-{info.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _execute(self, runner: Runner, before: Callable[[], Awaitable[Sequence[Attempt]]] | None) -> None:
        run_id, fence = runner.info.id, runner.fence
        try:
            if await runner.execute(self._registry.changed, before):
                if kept(runner.info):
                    await self._orders.drop(run_id)
                await self.custody.give_back(fence)
            else:
                await self.release(next_attempt(runner.info), fence)
        except TokentapeError as error:
            # The lease is dead, or will be: whoever looks for orphans next ends this run.
            _log.warning("run %s could not be brought to its end: %s", run_id, error)
        finally:
            self.custody.let_go(fence)
            self._audience.forget(run_id)
            del self.live[run_id]
            self._ended.pop(run_id).set()
            self._freed.set()

    async def release(self, info: RunInfo, fence: Fence) -> None:
        """Records that a run waits, and lets go of it, for whoever takes it next."""
        await self._registry.changed(info)
        await self.custody.give_back(fence)
        await self._jobs.offer(info)

    async def _replace(self, replaced: str, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        ended = await self._replaced(replaced)
        messages = with_partial(attempts[0].generation.messages, await self._text(ended))
        return [
            msgspec.structs.replace(a, generation=msgspec.structs.replace(a.generation, messages=messages))
            for a in attempts
        ]

    async def _text(self, info: RunInfo) -> str:
        transcript = Transcript()
        begin: From = Cursor.parse(info.cursor) if info.cursor else "start"
        try:
            async with self._hub.reading(info.stream, begin, run=info.id) as reader:
                async for item in reader:
                    transcript.apply(item.event)
        except StreamNotFound:
            return ""
        return transcript.text(info.id)

    # Stopping

    def tell(self, run_id: str, reason: str, detail: str) -> bool:
        """Tells a run to end; False when it is not executed here."""
        runner = self.live.get(run_id)
        if runner is not None:
            runner.stop(reason, detail)
        return runner is not None

    async def ended(self, run_id: str) -> None:
        """Waits until this process has done with a run; at once for one that it does not execute."""
        ended = self._ended.get(run_id)
        if ended is not None:
            await ended.wait()

    async def room(self, count: int) -> int:
        """Waits until fewer than `count` runs are executed here; returns how many more there may be."""
        while len(self.live) >= count:
            self._freed.clear()
            await self._freed.wait()
        return count - len(self.live)

    async def drain(self, seconds: float) -> None:
        """Takes no new runs, lets the present ones finish for so long, then hands them over or interrupts them."""
        self.draining = True
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        # Again, because a run that was asked for before may be launched only now.
        while self._tasks and (left := until - loop.time()) > 0:
            await asyncio.wait(tuple(self._tasks), timeout=left)
        for runner in tuple(self.live.values()):
            if may_restart(runner.info):
                runner.stop(HAND_OVER, "shutdown")
            else:
                runner.stop("interrupted", "shutdown")
        if self._tasks:
            _, pending = await asyncio.wait(tuple(self._tasks), timeout=END_WAIT)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)


def kept(info: RunInfo) -> bool:
    """Whether the request of a run is kept, so that another process can execute it."""
    return bool(info.queue) or info.on_crash == "restart"


def may_restart(info: RunInfo) -> bool:
    """Whether there may be another attempt: one that has not begun is none, and so can be repeated without harm."""
    if info.attempt > MAX_RESTARTS or not kept(info):
        return False
    return info.state == "queued" or info.on_crash == "restart"


def next_attempt(info: RunInfo) -> RunInfo:
    """The run as it waits for another process."""
    return msgspec.structs.replace(info, state="queued", attempt=info.attempt + 1, started_at=0)
