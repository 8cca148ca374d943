"""One run being executed: parts in from a provider, events out to its stream, one terminal event always.

Laws (P4, P6, P7):
- the terminal event is recorded under the key `done:<run>`, so that a second one cannot be, by nobody;
- a run is retried only before its first part; after it the partial answer stays;
- stopping cancels the provider at once, and keeps the text;
- a run that is handed over has no end here: its text so far is void, and another attempt begins with `reset`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from math import floor
from typing import Any, Final

import msgspec

from tokentape.core.backoff import Backoff
from tokentape.core.cursor import Cursor
from tokentape.core.errors import ProviderError, StoreUnavailable, StreamClosed, StreamNotFound, TokentapeError
from tokentape.core.events import MERGEABLE, Event
from tokentape.hub import Hub, Writer
from tokentape.providers.base import PROVIDER_CUT, Generation, Pair, Provider, Pushing, Timeouts
from tokentape.runs.metrics import Meter, Progress, RunMetrics
from tokentape.runs.request import RunInfo
from tokentape.stores.base import Append, Fence

_log = logging.getLogger(__name__)

RETRY_TERMINAL: Final = Backoff(base=0.5, cap=15.0)
"""How long to wait for a store that refuses a terminal event: it is offered until it is taken."""
CHARACTERS_PER_TOKEN: Final = 4
"""For the estimate of usage when a provider reports none (the usual rule of thumb for English)."""
MAX_OUTPUT: Final = 16_777_216
"""Characters of one answer; beyond it the run ends with `length`."""
HAND_OVER: Final = "handed_over"
"""In place of a reason: the run goes on elsewhere."""
_TEXT: Final = frozenset({"token", "reasoning"})
"""Kinds of parts whose data is text (see `Part`)."""
RESTARTED: Final = "restarted"
"""The reason of the `reset` with which another attempt begins."""


Changed = Callable[[RunInfo], Awaitable[None]]


class Attempt(msgspec.Struct, frozen=True):
    """One model to try."""

    name: str
    provider: Provider
    generation: Generation
    timeouts: Timeouts
    retries: int
    """How often to try it again when it fails before its first part."""
    slots: asyncio.Semaphore | None = None
    """How many may be at its provider at a time, when that is bounded."""
    backoff: Backoff = Backoff()


class Runner:
    """Executes one run. `execute` is its whole life; `stop` may be called at any moment."""

    def __init__(
        self,
        hub: Hub,
        info: RunInfo,
        attempts: Sequence[Attempt],
        *,
        fence: Fence,
        again: bool = False,
        metrics: RunMetrics | None = None,
        now: Callable[[], float],
    ) -> None:
        """`again` says that its stream holds the beginning of an earlier attempt; `metrics` is where it counts."""
        self.info = info
        self._again = again
        self._hub = hub
        self._attempts = attempts
        self.fence = fence
        self._now = now
        self._random = random.random
        self._writer = hub.writer(info.stream, fence=fence)
        self._task: asyncio.Task[Any] | None = None
        self._stopping: tuple[str, str] | None = None
        self._interruptible = False
        self._ended = False
        self._slot: asyncio.Semaphore | None = None
        self._meter = Meter(metrics or RunMetrics())
        self._recording = _Recording(self._writer, info.id, self._meter, now)

    def progress(self) -> Progress:
        """How far it is."""
        return self._meter.progress(self._now(), messages=len(self._attempts[0].generation.messages))

    def stop(self, reason: str, detail: str) -> bool:
        """Asks for the end: `reason` is `stopped`, `interrupted` or `HAND_OVER`. False when it is ending already."""
        if self._stopping is not None or self._ended:
            return False
        self._stopping = (reason, detail)
        if self._interruptible and self._task is not None:
            self._task.cancel()
        return True

    async def execute(self, changed: Changed, before: Callable[[], Awaitable[Sequence[Attempt]]] | None = None) -> bool:
        """Runs to the terminal event; tells `changed` when it begins and when it has ended.

        False when it was handed over, and has not ended. Raises `Fenced` when the lease was lost: then whoever has it
        ends the run.

        `before` is waited for first, and gives the attempts: what is to be stopped, or fetched, for this run.
        """
        self._task = asyncio.current_task()
        try:
            reason, detail, error = await self._until_end(changed, before)
        finally:
            self._leave()
        if reason == HAND_OVER:
            await self._settled()
            return False
        await self._end(reason, detail, error, changed)
        return True

    async def _until_end(
        self, changed: Changed, before: Callable[[], Awaitable[Sequence[Attempt]]] | None
    ) -> tuple[str, str | None, TokentapeError | None]:
        try:
            if before is not None:
                self._attempts = await before()
            # Until there is room for it at its provider it is `queued`, and can be stopped like any other.
            self._interruptible = True
            if self._stopping is None:
                await self._enter(self._attempts[0])
            self._interruptible = False
            await self._begin(changed)
            self._interruptible = True
            if self._stopping is None:
                reason = await self._generate()
                await self._writer.flush()
                return reason, None, None
        except asyncio.CancelledError:
            if self._stopping is None or self._task is None or self._task.uncancel() > 0:
                raise
        except TokentapeError as error:
            return "error", None, error
        except Exception:  # noqa: BLE001 - a run ends with a terminal event whatever happens (P4)
            _log.exception("run %s failed", self.info.id)
            return "error", None, TokentapeError("The run failed inside the server; see its log.")
        finally:
            self._interruptible = False
        assert self._stopping is not None
        return *self._stopping, None

    async def _begin(self, changed: Changed) -> None:
        provider = self._attempts[0].provider.name
        self._meter.begin(self._now())
        self.info = msgspec.structs.replace(
            self.info, state="running", provider=provider, started_at=self._milliseconds()
        )
        message_id = self.info.message_id or f"m_{self.info.id[2:]}"
        start = {"message_id": message_id, "model": self.info.model, "provider": provider}
        if self.info.replaces is not None:
            start["replaces"] = self.info.replaces
        if self._again:
            self._put("reset", {"reason": RESTARTED})
        else:
            self._put("start", start)
        await changed(self.info)

    async def _enter(self, attempt: Attempt) -> None:
        """Waits for room at the provider of an attempt."""
        if attempt.slots is self._slot:
            return
        self._leave()
        if attempt.slots is not None:
            await attempt.slots.acquire()
        self._slot = attempt.slots

    def _leave(self) -> None:
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    # Generating

    async def _generate(self) -> str:
        failure: ProviderError | None = None
        for place, attempt in enumerate(self._attempts):
            if place:
                told = {"model": attempt.generation.model, "provider": attempt.provider.name}
                if failure is not None:
                    told["code"] = failure.subcode
                self._put("metadata", {"failover": told})
                await self._enter(attempt)
            for number in range(attempt.retries + 1):
                if failure is not None and number:
                    await self._pause(
                        attempt.backoff.delay(number - 1, self._random(), failure.retry_after), number, failure
                    )
                try:
                    return await self._consume(attempt)
                except ProviderError as error:
                    _log.warning("run %s: %s: %s", self.info.id, error.subcode, error)
                    failure = error
                    if self._recording.characters:
                        raise
                    if not error.can_retry:
                        break
        assert failure is not None
        raise failure

    async def _pause(self, seconds: float, number: int, failure: ProviderError) -> None:
        told = {"state": "retrying", "attempt": number + 1, "seconds": round(seconds, 3), "code": failure.subcode}
        self._put("status", told)
        await asyncio.sleep(seconds)

    async def _consume(self, attempt: Attempt) -> str:
        self._recording.begin()
        self._meter.tries += 1
        try:
            await _play(attempt, self._recording)
        except _TooLong:
            return "length"
        if self._recording.reason is None:
            raise ProviderError("The model's answer broke off.", subcode=PROVIDER_CUT, retryable=True)
        return self._recording.reason

    def _put(self, kind: str, data: dict[str, Any]) -> None:
        self._writer.put([Event(type=kind, run=self.info.id, data=data, at=self._milliseconds())])

    # Ending

    async def _end(self, reason: str, detail: str | None, error: TokentapeError | None, changed: Changed) -> None:
        self._ended = True
        usage = self._recording.usage or self._estimate()
        done: dict[str, Any] = {"reason": reason, "usage": usage}
        if detail is not None:
            done["detail"] = detail
        told = error.as_dict() if error is not None else None
        at = self._milliseconds()
        self.info = msgspec.structs.replace(
            self.info,
            state="done",
            reason=reason,
            usage=usage,
            error=told,
            ended_at=at,
            first_at=self._meter.first_at,
            tokens=self._meter.tokens,
            tries=self._meter.tries,
        )
        events = ending(self.info.id, done, told, at=at)
        attempt = 0
        while True:
            try:
                end = await self._record_end(events)
                self.info = msgspec.structs.replace(self.info, end=end)
                await changed(self.info)
            except StoreUnavailable as refusal:
                _log.warning("run %s: its end could not be recorded yet: %s", self.info.id, refusal)
                await asyncio.sleep(RETRY_TERMINAL.delay(attempt, self._random()))
                attempt += 1
            else:
                return

    async def _record_end(self, events: list[Event]) -> str:
        await self._settled()
        try:
            appended = await self._hub.append(terminal(self.info, events, fence=self.fence), events)
            return str(Cursor(appended.epoch, appended.offsets[-1]))
        except (StreamClosed, StreamNotFound) as refusal:
            _log.warning("run %s outlived its stream: %s", self.info.id, refusal)
            return ""

    async def _settled(self) -> None:
        # What was handed in before must be answered before the end is; a refusal has been dealt with.
        try:
            await self._writer.flush()
        except TokentapeError as refusal:
            _log.warning("run %s lost its last events: %s", self.info.id, refusal)

    def _estimate(self) -> dict[str, Any]:
        asked = sum(len(str(message.get("content") or "")) for message in self._attempts[0].generation.messages)
        return {
            "input_tokens": -(-asked // CHARACTERS_PER_TOKEN),
            "output_tokens": -(-self._recording.characters // CHARACTERS_PER_TOKEN),
            "estimated": True,
        }

    def _milliseconds(self) -> int:
        return int(self._now() * 1000)


async def _play(attempt: Attempt, recording: _Recording) -> None:
    provider = attempt.provider
    if isinstance(provider, Pushing):
        await provider.push(attempt.generation, attempt.timeouts, recording)
        return
    async with aclosing(provider.generate(attempt.generation, attempt.timeouts)) as batches:
        async for parts in batches:
            if not recording.record(parts):
                await recording.room()


class _TooLong(Exception):
    """The answer is over `MAX_OUTPUT`."""


class _Recording:
    """What one run has said so far, and the pen that writes it down (see `providers.base.Sink`).

    `put` is called for each token, from the callback that read it.
    """

    __slots__ = ("_meter", "_now", "_run", "_writer", "characters", "reason", "usage")

    def __init__(self, writer: Writer, run: str, meter: Meter, now: Callable[[], float]) -> None:
        self._meter = meter
        self._writer = writer
        self._run = run
        self._now = now
        self.characters = 0
        self.usage: dict[str, Any] | None = None
        self.reason: str | None = None

    def begin(self) -> None:
        """Another attempt: what the last one gave as its end does not count."""
        self.reason = None

    def put(self, parts: Sequence[Pair]) -> bool:
        """Records what was read in one piece: of each kind that is one event. Otherwise as `record`."""
        said = None
        text = ""
        for kind, data in parts:
            if kind != said:
                if said is not None or kind not in _TEXT:
                    joined = _joined(parts)
                    return self.record(joined, beside=len(parts) - len(joined))
                said = kind
            text += data
        if said is None:
            return self.record(parts)
        # Text of one kind, as nearly every read is.
        now = self._now()
        self.characters += len(text) or 1
        self._meter.add(len(parts), now)
        has_room = self._writer.put([Event(type=said, run=self._run, data=text, at=floor(now * 1000))])
        if not has_room or self.characters > MAX_OUTPUT:
            self._check()
        return has_room

    def record(self, parts: Sequence[Pair], *, beside: int = 0) -> bool:
        """Hands its events to the store; raises what the store refused, and `_TooLong`.

        `beside` is how many tokens were joined to others.
        """
        run = self._run
        now = self._now()
        at = floor(now * 1000)
        events = []
        tokens = beside
        for kind, data in parts:
            if isinstance(data, str):
                self.characters += len(data) or 1
            elif kind == "finish":
                self.reason = data["reason"]
                continue
            elif kind == "usage":
                self.usage = data
                continue
            else:
                self.characters += _said(data)
            tokens += kind in MERGEABLE
            events.append(Event(type=kind, run=run, data=data, at=at))
        if tokens:
            self._meter.add(tokens, now)
        has_room = self._writer.put(events)
        self._check()
        return has_room

    def _check(self) -> None:
        """Raises what ends the answer here, if anything does."""
        if self._writer.error is not None:
            raise self._writer.error
        if self.characters > MAX_OUTPUT:
            raise _TooLong

    async def room(self) -> None:
        """Waits until the store has caught up enough; raises what it refused."""
        await self._writer.room()
        if self._writer.error is not None:
            raise self._writer.error


def _joined(parts: Sequence[Pair]) -> list[Pair]:
    """The same in fewer parts: text that was read in one piece is one event (see `core.merge`)."""
    joined: list[Pair] = []
    for kind, data in parts:
        if kind in MERGEABLE and isinstance(data, str) and joined and joined[-1][0] == kind:
            joined[-1] = (kind, joined[-1][1] + data)
        else:
            joined.append((kind, data))
    return joined


def _said(data: Any) -> int:
    """How much of an answer this is, in characters; whatever it is counts, since after it there is no retry."""
    if isinstance(data, dict):
        data = data.get("arguments")
    return (len(data) or 1) if isinstance(data, str) else 1


def ending(run: str, done: dict[str, Any], error: dict[str, Any] | None, *, at: int) -> list[Event]:
    """The last events of a run: why it failed if it did, what it used, and the one terminal event."""
    events = []
    if error is not None:
        events.append(Event(type="error", run=run, data=error, at=at))
    if "usage" in done:
        events.append(Event(type="usage", run=run, data=done["usage"], at=at))
    return [*events, Event(type="done", run=run, data=done, at=at)]


def terminal(info: RunInfo, events: Sequence[Event], *, fence: Fence | None = None) -> Append:
    """The append of a run's last events, all under keys, so that a second ending adds nothing."""
    keys = [f"{event.type}:{info.id}" for event in events]
    return Append(stream=info.stream, keys=keys, fence=fence, close=info.owns_stream)
