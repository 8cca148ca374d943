"""Runs: start, stop, replace, find and list them, and end them with the process."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Literal, NamedTuple

import msgspec

from tokentape.core.cursor import EPOCH_ALPHABET, Cursor
from tokentape.core.errors import BadRequest, RunNotFound, ShuttingDown, TokentapeError, TooMany
from tokentape.hub import Hub
from tokentape.hub.channels import RUN_STREAMS, Channels
from tokentape.providers.base import Checking, Provider
from tokentape.runs.audience import Audience
from tokentape.runs.executor import Executor, Models, kept
from tokentape.runs.jobs import QUEUE, Jobs
from tokentape.runs.metrics import Progress, RunMetrics
from tokentape.runs.orders import Orders
from tokentape.runs.positions import Positions
from tokentape.runs.registry import Registry
from tokentape.runs.request import RunInfo, RunRequest, State, StopAfter
from tokentape.runs.runner import Attempt
from tokentape.runs.taking import Taker
from tokentape.runs.worker import Worker
from tokentape.stores.base import Fence, Retention, StreamConfig

_log = logging.getLogger(__name__)

STOP_WAIT: Final = 5.0
"""Seconds that `stop` waits for the terminal event; the run ends in any case."""
ENDING_WAIT: Final = 1.0
"""Seconds that whoever asks for a run waits at most for an end that is being recorded."""
LEASES_WAIT: Final = 3
"""So many times as long as a lease a run waits for the end of the one that it replaces: its process may have died."""


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and times of runs; seconds."""

    retention: Retention = Retention(after_close=7 * 86_400)
    max_live: int = 10_000
    """Executed here; with workers, those that have not ended anywhere."""
    execute: Literal["inline", "workers"] = "inline"
    """Whether the process that takes a run executes it, or leaves it to a worker."""
    lease: float = 8.0
    """A run whose process is silent for so long is taken for dead."""
    index_bytes: int = 33_554_432
    """How much of the run index is kept: some 60,000 runs."""


class Place(NamedTuple):
    """What a watchable name means: a stream, and for one run's view of it the run and where it begins."""

    stream: str
    run: str | None = None
    begin: Cursor | None = None
    end: Cursor | None = None
    """Of the run, once it has ended: its view has nothing after this."""


class Runs:
    """The runs of this process, and what is known of all."""

    def __init__(
        self,
        hub: Hub,
        channels: Channels,
        models: Models,
        settings: RunSettings | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._hub = hub
        self._channels = channels
        self._settings = settings or RunSettings()
        self._now = now
        self._beginning: set[asyncio.Future[tuple[RunInfo, bool]]] = set()
        lease = self._settings.lease
        self._registry = Registry(hub, max_bytes=self._settings.index_bytes, now=now)
        self._registry.on_stop = self._stopped_elsewhere
        self._orders = Orders(hub.store, now=now)
        self._jobs = Jobs(hub.store, lease=lease)
        self._audience = Audience(hub, channels.roster, self._lonely)
        self._executor = Executor(
            hub,
            models,
            self._registry,
            self._orders,
            self._jobs,
            audience=self._audience,
            holder=_random_id("i_"),
            lease=lease,
            replaced=self._stop_replaced,
            now=now,
        )
        self._custody = self._executor.custody
        self._taker = Taker(
            hub, self._registry, self._executor, self._orders, max_live=self._settings.max_live, now=now
        )
        self._positions = Positions(hub, self._registry.index, self._jobs, now=now)
        self._worker: Worker | None = None
        self._registry.index.on_change = self._audience.learn

    async def open(self) -> None:
        """Learns what is known of runs, and sees to those that a dead process left behind.

        Raises `SetupError` when runs are for workers, and the store is this process's own.
        """
        if self._settings.execute == "workers":
            self._jobs.check()
        try:
            await self._registry.open()
            self._custody.open()
            await self._taker.open()
            self._positions.open()
        except BaseException:
            await self._close()
            raise

    def work(self, concurrency: int) -> None:
        """Takes runs that wait for a worker from now on, up to so many at a time; raises `SetupError`."""
        self._jobs.check()
        self._worker = Worker(
            self._jobs,
            self._registry,
            self._executor,
            self._taker,
            name=self._custody.holder,
            concurrency=min(concurrency, self._settings.max_live),
        )
        self._worker.open()

    # Starting

    async def start(
        self, request: RunRequest, *, key: str | None = None, provider: Provider | None = None
    ) -> tuple[RunInfo, bool]:
        """Starts a run, and returns it with True; with False when `key` was used before: that first run.

        Raises `BadRequest`, `ModelNotFound`, `RunNotFound` (of `replaces`), `RunConflict` (the key was used for
        another request, or the run was replaced already), `TooMany`, `ShuttingDown`.
        """
        if request.replaces is not None:
            await self.find(request.replaces)
        # From here to the beginning there is no wait: a drain sees every run that was let in.
        if self._executor.draining:
            raise ShuttingDown("This server is going away; start the run again in a moment.")
        # What an iterator of this process says can be read by nobody else.
        queue = QUEUE if self._settings.execute == "workers" and provider is None else ""
        self._check_room(queue)
        request.check()
        if provider is not None and request.on_crash == "restart":
            raise BadRequest("What an iterator yields cannot be had again: leave `on_crash` at 'interrupt'.")
        attempts = self._executor.attempts(request, provider)
        for attempt in attempts:
            if isinstance(attempt.provider, Checking):
                attempt.provider.check(attempt.generation)
        run_id = _random_id("r_")
        info = RunInfo(
            id=run_id,
            stream=request.channel or f"{RUN_STREAMS}{run_id}",
            state="queued",
            model=attempts[0].name,
            created_at=int(self._now() * 1000),
            metadata=request.metadata,
            message_id=request.message_id,
            replaces=request.replaces,
            on_crash=request.on_crash,
            queue=queue,
            stop_after=request.on_no_watchers.stop_after if isinstance(request.on_no_watchers, StopAfter) else None,
            key=key,
            digest=hashlib.sha256(msgspec.json.encode(request)).hexdigest() if key is not None else None,
        )
        # Shielded: a caller that goes away while its run begins has not stopped it (P6).
        beginning = asyncio.ensure_future(self._begin(info, request, attempts))
        self._beginning.add(beginning)
        beginning.add_done_callback(self._beginning.discard)
        return await asyncio.shield(beginning)

    def _check_room(self, queue: str) -> None:
        limit = self._settings.max_live
        if queue and self._registry.index.counts()[0] >= limit:
            raise TooMany(f"{limit} runs are live or wait for a worker; try again when some have ended.")
        if len(self._executor.live) >= limit:
            raise TooMany(f"{limit} runs are live on this server; try again when some have ended.")

    async def _begin(self, info: RunInfo, request: RunRequest, attempts: Sequence[Attempt]) -> tuple[RunInfo, bool]:
        fence = await self._custody.take(info)
        assert fence is not None, "a fresh random id is free"
        try:
            prepared = await self._prepare(info, request)
            first = await self._registry.claim(prepared)
            if first is not None:
                await self._undo(info, fence)
                return first, False
        except TokentapeError:
            await self._undo(info, fence)
            raise
        if not prepared.queue:
            self._executor.launch(prepared, request, attempts, fence)
        else:
            await self._custody.give_back(fence)
            # From here on a worker finds it, whether the queue takes it or not.
            with suppress(TokentapeError):
                await self._jobs.offer(prepared)
        return prepared, True

    async def _prepare(self, info: RunInfo, request: RunRequest) -> RunInfo:
        """Makes the stream, so that the first that is known of a run says where to watch it."""
        if request.channel is not None:
            stream = await self._channels.ensure(request.channel)
        else:
            config = StreamConfig(retention=self._settings.retention, attributes={"kind": "run"})
            stream, _ = await self._hub.store.create(info.stream, config)
        if kept(info):
            await self._orders.keep(info.id, request)
        return msgspec.structs.replace(info, cursor=str(Cursor(stream.epoch, stream.last)))

    async def _undo(self, info: RunInfo, fence: Fence) -> None:
        """There will be no such run: leaves nothing behind; what the store keeps all the same, its lease leads to."""
        with suppress(TokentapeError):
            if info.owns_stream:
                await self._hub.delete(info.stream)
        if kept(info):
            await self._orders.drop(info.id)
        with suppress(TokentapeError):
            await self._custody.give_back(fence)

    # Stopping and looking

    async def stop(self, run_id: str, *, detail: str = "request", wait: float = STOP_WAIT) -> RunInfo:
        """Asks a run to stop, whoever executes it, and returns it as it is when its terminal event is recorded (P6).

        Idempotent. It waits so many seconds at most; the run ends in any case.
        """
        info = await self.find(run_id)
        if info.state == "done":
            return info
        here = self._executor.tell(run_id, "stopped", detail)
        if not here or kept(info):
            # Also for whoever takes it next: a stop is final.
            await self._registry.stop(run_id, detail)
        if not here:
            # It may be in nobody's hands: then it ends at once, whether there are workers or not.
            await self._taker.take(info)
        await self._wait_for_end(run_id, wait)
        return await self.find(run_id)

    async def _wait_for_end(self, run_id: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._executor.ended(run_id)
        if not await self._registry.ended(run_id, max(0.0, until - time.monotonic())):
            _log.warning("run %s has not ended yet, %g s after it was told to stop", run_id, seconds)

    def _lonely(self, run_id: str) -> None:
        self._executor.tell(run_id, "stopped", "no_watchers")

    def _stopped_elsewhere(self, run_id: str, detail: str) -> None:
        self._executor.tell(run_id, "stopped", detail)

    async def _stop_replaced(self, run_id: str) -> RunInfo:
        return await self.stop(run_id, detail="replaced", wait=max(STOP_WAIT, LEASES_WAIT * self._settings.lease))

    async def settled(self, run_id: str) -> None:
        """Waits until what is known of a run whose end was seen says so."""
        await self._executor.ended(run_id)
        if self._registry.index.get(run_id) is not None:
            await self._registry.ended(run_id, STOP_WAIT)

    async def find(self, run_id: str) -> RunInfo:
        """A run that was started anywhere; raises `RunNotFound`."""
        runner = self._executor.live.get(run_id)
        if runner is not None and runner.info.state == "done" and not runner.info.end:
            # Whoever reads the store may have seen its end already, a moment before this process is told.
            with suppress(TimeoutError):
                async with asyncio.timeout(ENDING_WAIT):
                    await self._executor.ended(run_id)
        if self._find(run_id) is None:
            await self._registry.catch_up()
        return self.get(run_id)

    async def with_key(self, matches: str | Callable[[str], bool]) -> RunInfo | None:
        """The run that was started with this idempotency key, anywhere, or the newest one whose key matches."""
        if (found := self._registry.index.with_key(matches)) is None:
            await self._registry.catch_up()
            found = self._registry.index.with_key(matches)
        return found and self.get(found.id)

    def live_with_key(self, matches: Callable[[str], bool]) -> RunInfo | None:
        """The newest run that has not ended and was started with a matching idempotency key, as far as it is known."""
        live = self._registry.index.unfinished()
        return next((info for info in reversed(live) if info.key is not None and matches(info.key)), None)

    def get(self, run_id: str) -> RunInfo:
        """What is known of a run here and now; raises `RunNotFound`."""
        info = self._find(run_id)
        if info is None:
            raise RunNotFound(f"There is no run {run_id[:80]!r}, or it ended long ago.")
        return info

    def _find(self, run_id: str) -> RunInfo | None:
        # Whoever has seen the end of a run must find it ended, a moment before that is on record, too.
        runner = self._executor.live.get(run_id)
        if runner is not None and runner.info.end:
            return runner.info
        return self._registry.index.get(run_id)

    async def active(self, name: str, value: str) -> list[RunInfo]:
        """Runs with this in their `metadata` that have not ended, wherever they were started, the newest first."""
        await self._registry.catch_up()
        found = [info for info in self._registry.index.unfinished() if info.metadata.get(name) == value]
        # One whose end is on its stream already has ended, to whoever watches it.
        return [info for info in reversed(found) if not self.get(info.id).end]

    def position(self, info: RunInfo) -> int | None:
        """How many runs stand before one that waits; None for one that does not."""
        if info.state != "queued":
            return None
        return next((place for place, other in enumerate(self._registry.index.queued()) if other.id == info.id), None)

    def list(self, *, state: State | None = None, limit: int = 50, before: str | None = None) -> list[RunInfo]:
        """Runs, the newest first, those older than the run `before`."""
        if not 1 <= limit <= 1000:
            raise BadRequest(f"`limit` is from 1 to 1000; got {limit}.")
        found: list[RunInfo] = []
        begun = before is None
        for info in self._registry.index.newest():
            if begun and (state is None or info.state == state):
                found.append(info)
                if len(found) == limit:
                    break
            begun = begun or info.id == before
        if not begun:
            self.get(before or "")
        return found

    def locate(self, name: str) -> Place:
        """What to watch for a name: `runs/<id>` of a run on a channel is the channel, seen through that run."""
        run_id = name.removeprefix(RUN_STREAMS)
        if run_id == name:
            return Place(name)
        info = self._find(run_id)
        if info is None:
            return Place(name, run=run_id)
        begin = Cursor.parse(info.cursor) if info.cursor and not info.owns_stream else None
        return Place(info.stream, run_id, begin, Cursor.parse(info.end) if info.end else None)

    def live(self) -> int:
        """How many runs this process executes now."""
        return len(self._executor.live)

    @property
    def metrics(self) -> RunMetrics:
        """What the runs of this process have counted."""
        return self._executor.metrics

    def progress(self, run_id: str) -> Progress | None:
        """How far a run is; None unless this process executes it."""
        runner = self._executor.live.get(run_id)
        return runner.progress() if runner is not None else None

    def known(self) -> Iterator[RunInfo]:
        """All runs that are known, the newest first."""
        for info in self._registry.index.newest():
            yield self._find(info.id) or info

    def counts(self) -> tuple[int, int]:
        """How many runs have not ended anywhere, and how many of these wait."""
        return self._registry.index.counts()

    # Life

    async def drain(self, seconds: float) -> None:
        """Takes no new runs, and lets the present ones finish for so long.

        Then those that may be restarted are handed over to other processes, and the others end with `interrupted`.
        """
        if self._worker is not None:
            await self._worker.aclose()
        self._executor.draining = True
        await self._taker.aclose()
        # What was let in a moment ago has its time to finish, too.
        await asyncio.gather(*self._beginning, return_exceptions=True)
        await self._executor.drain(seconds)
        await self._close()

    async def _close(self) -> None:
        await self._taker.aclose()
        await self._positions.aclose()
        await self._audience.aclose()
        await self._custody.aclose()
        await self._registry.aclose()


def _random_id(prefix: str) -> str:
    return prefix + "".join(secrets.choice(EPOCH_ALPHABET) for _ in range(16))
