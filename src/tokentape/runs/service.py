"""Runs: start, stop, replace, find and list them, and end them with the process."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from tokentape.core.cursor import EPOCH_ALPHABET, Cursor
from tokentape.core.errors import (
    BadRequest,
    RunNotFound,
    ShuttingDown,
    StreamNotFound,
    TokentapeError,
    TooMany,
)
from tokentape.core.resume import From
from tokentape.core.transcript import Transcript
from tokentape.hub import Hub
from tokentape.hub.channels import RUN_STREAMS, Channels
from tokentape.providers.base import Checking, Generation, Provider, Timeouts
from tokentape.runs.audience import Audience
from tokentape.runs.custody import Custody
from tokentape.runs.registry import Registry
from tokentape.runs.request import RunInfo, RunRequest, State, StopAfter
from tokentape.runs.runner import Attempt, Runner
from tokentape.stores.base import Fence, Retention, StreamConfig

_log = logging.getLogger(__name__)

LEASE: Final = "run:"
STOP_WAIT: Final = 5.0
"""Seconds that `stop` waits for the terminal event; the run ends in any case."""


class Model(Protocol):
    """What the catalog says of one model."""

    name: str
    provider: Provider
    model: str
    timeouts: Timeouts
    retries: int


class Models(Protocol):
    """Where models come from: `providers.catalog.Catalog`."""

    def resolve(self, name: str) -> tuple[Model, ...]:
        """The model and its fallbacks, in order; raises `ModelNotFound`."""
        ...


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and times of runs; seconds."""

    retention: Retention = Retention(after_close=7 * 86_400)
    max_live: int = 10_000
    lease: float = 15.0
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
        self._models = models
        self._settings = settings or RunSettings()
        self._now = now
        self._live: dict[str, Runner] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._registry = Registry(hub, max_bytes=self._settings.index_bytes, now=now)
        self._custody = Custody(
            hub, self._registry, self._live, holder=_random_id("i_"), seconds=self._settings.lease, now=now
        )
        self._audience = Audience(
            hub, channels.roster, lambda run_id: self._request_stop(run_id, "stopped", "no_watchers")
        )
        self._registry.index.on_change = self._audience.learn

    async def open(self) -> None:
        """Learns what is known of runs, and ends those that a dead process left behind."""
        await self._registry.open()
        await self._custody.open()

    # Starting

    async def start(
        self, request: RunRequest, *, key: str | None = None, provider: Provider | None = None
    ) -> tuple[RunInfo, bool]:
        """Starts a run, and returns it with True; with False when `key` was used before: that first run.

        Raises `BadRequest`, `ModelNotFound`, `RunNotFound` (of `replaces`), `RunConflict` (the key was used for
        another request, or the run was replaced already), `TooMany`, `ShuttingDown`.
        """
        if self._draining:
            raise ShuttingDown("This server is going away; start the run again in a moment.")
        if len(self._live) >= self._settings.max_live:
            raise TooMany(f"{self._settings.max_live} runs are live on this server; try again when some have ended.")
        request.check()
        replaced = self.get(request.replaces) if request.replaces is not None else None
        attempts = self._attempts(request, provider)
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
            replaces=request.replaces,
            stop_after=request.on_no_watchers.stop_after if isinstance(request.on_no_watchers, StopAfter) else None,
            key=key,
            digest=hashlib.sha256(msgspec.json.encode(request)).hexdigest() if key is not None else None,
        )
        # Shielded: a caller that goes away while its run begins has not stopped it (P6).
        return await asyncio.shield(self._begin(info, request, attempts, replaced))

    async def _begin(
        self, info: RunInfo, request: RunRequest, attempts: list[Attempt], replaced: RunInfo | None
    ) -> tuple[RunInfo, bool]:
        fence = await self._custody.take(info)
        try:
            first = await self._registry.claim(info)
            if first is not None:
                await self._custody.give_back(fence)
                return first, False
            info = await self._prepare(info, request)
        except TokentapeError:
            await self._custody.give_back(fence)
            raise
        self._registry.index.apply(info)
        self._launch(info, attempts, fence, request, replaced)
        return info, True

    def _attempts(self, request: RunRequest, provider: Provider | None) -> list[Attempt]:
        def generation(model: str) -> Generation:
            return Generation(
                model=model, messages=request.messages, parameters=request.parameters(), simulated=request.simulated
            )

        if provider is not None:
            never = Timeouts(connect=0, first_token=0, between_tokens=0, total=0)
            name = request.model or provider.name
            return [Attempt(name, provider, generation(name), never, 0)]
        return [
            Attempt(model.name, model.provider, generation(model.model), model.timeouts, model.retries)
            for model in self._models.resolve(request.model)
        ]

    async def _prepare(self, info: RunInfo, request: RunRequest) -> RunInfo:
        if request.channel is not None:
            stream = await self._channels.ensure(request.channel)
        else:
            config = StreamConfig(retention=self._settings.retention, attributes={"kind": "run"})
            stream, _ = await self._hub.store.create(info.stream, config)
        return msgspec.structs.replace(info, cursor=str(Cursor(stream.epoch, stream.last)))

    async def _replace(self, replaced: RunInfo, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        await self.stop(replaced.id, detail="replaced")
        messages = with_partial(attempts[0].generation.messages, await self._text(replaced))
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

    def _launch(
        self, info: RunInfo, attempts: list[Attempt], fence: Fence, request: RunRequest, replaced: RunInfo | None
    ) -> None:
        runner = Runner(self._hub, info, attempts, fence=fence, now=self._now)
        self._live[info.id] = runner
        self._ended[info.id] = asyncio.Event()
        if isinstance(request.on_no_watchers, StopAfter):
            self._audience.expect(info.id, info.stream, request.on_no_watchers.stop_after)
        before = partial(self._replace, replaced, attempts) if replaced is not None else None
        task = asyncio.get_running_loop().create_task(self._execute(runner, before), name=f"tokentape-{info.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _execute(self, runner: Runner, before: Callable[[], Awaitable[Sequence[Attempt]]] | None) -> None:
        run_id = runner.info.id
        try:
            await runner.execute(self._registry.changed, before)
            await self._custody.give_back(runner.fence)
        except TokentapeError as error:
            # The lease is dead, or will be: whoever looks for orphans next ends this run.
            _log.warning("run %s could not be brought to its end: %s", run_id, error)
        finally:
            self._audience.forget(run_id)
            del self._live[run_id]
            self._ended.pop(run_id).set()

    # Stopping and looking

    async def stop(self, run_id: str, *, detail: str = "request") -> RunInfo:
        """Asks a run to stop, and returns it as it is when its terminal event is recorded (P6). Idempotent."""
        self.get(run_id)
        ended = self._ended.get(run_id)
        self._request_stop(run_id, "stopped", detail)
        if ended is not None:
            try:
                async with asyncio.timeout(STOP_WAIT):
                    await ended.wait()
            except TimeoutError:
                _log.warning("run %s has not ended yet, %s s after it was told to stop", run_id, STOP_WAIT)
        return self.get(run_id)

    async def settled(self, run_id: str) -> None:
        """Waits until what is known of a run whose end was seen says so; at once for one that ended elsewhere."""
        ended = self._ended.get(run_id)
        if ended is not None:
            await ended.wait()

    def _request_stop(self, run_id: str, reason: str, detail: str) -> None:
        runner = self._live.get(run_id)
        if runner is not None:
            runner.stop(reason, detail)

    def get(self, run_id: str) -> RunInfo:
        """What is known of a run; raises `RunNotFound`."""
        info = self._find(run_id)
        if info is None:
            raise RunNotFound(f"There is no run {run_id[:80]!r}, or it ended long ago.")
        return info

    def _find(self, run_id: str) -> RunInfo | None:
        # Whoever has seen the end of a run must find it ended, a moment before that is on record, too.
        runner = self._live.get(run_id)
        if runner is not None and runner.info.end:
            return runner.info
        return self._registry.index.get(run_id)

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
        return len(self._live)

    # Life

    async def drain(self, seconds: float) -> None:
        """Takes no new runs, lets the present ones finish for so long, then ends them with `interrupted`."""
        self._draining = True
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=seconds)
        for run_id in tuple(self._live):
            self._request_stop(run_id, "interrupted", "shutdown")
        if self._tasks:
            _, pending = await asyncio.wait(tuple(self._tasks), timeout=STOP_WAIT)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        await self._audience.aclose()
        await self._custody.aclose()


def with_partial(messages: Sequence[dict[str, Any]], text: str) -> Sequence[dict[str, Any]]:
    """The turns with an interrupted answer in its place: before the user's last turn, unless it is there already."""
    if not text or any(m.get("role") == "assistant" and m.get("content") == text for m in messages):
        return messages
    at = len(messages)
    while at and messages[at - 1].get("role") == "user":
        at -= 1
    at = max(at, len(messages) - 1)
    return [*messages[:at], {"role": "assistant", "content": text}, *messages[at:]]


def _random_id(prefix: str) -> str:
    return prefix + "".join(secrets.choice(EPOCH_ALPHABET) for _ in range(16))
