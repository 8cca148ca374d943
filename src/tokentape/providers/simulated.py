"""The simulated model: text at a settable pace, with faults on request, and no key.

`perform` is the model itself; the provider here plays it in the process, and `tokentape simulate` over HTTP,
where the faults of the wire are real.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from tokentape.providers.base import (
    PROVIDER_CUT,
    PROVIDER_OVERLOADED,
    PROVIDER_PROTOCOL,
    PROVIDER_TIMEOUT,
    Generation,
    Part,
    Timeouts,
)
from tokentape.providers.failures import Failures
from tokentape.providers.script import Play, plan
from tokentape.providers.secret import Redactor
from tokentape.providers.simulation import Fault, Options

MIN_SLEEP: Final = 0.005
"""Seconds between two batches: what is due within it goes out together, so 200 batches a second are the most."""
MAX_BATCH: Final = 64
"""Parts in one batch; between two the loop gets a turn."""
_ATTEMPTS: Final = 4096
"""Requests whose attempts are counted at a time."""


async def perform(play: Play, rate: float) -> AsyncGenerator[Sequence[Part] | Fault, None]:
    """Plays the steps at `rate` per second: batches of parts, and each fault where it stands.

    A token is due at its own time after the start, whatever the loop did meanwhile, so the rate does not drift;
    a fault that waits moves the start.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    said = 0
    batch: list[Part] = []
    for step in play.steps:
        if isinstance(step, Fault):
            if batch:
                yield batch
                batch = []
            before = loop.time()
            yield step
            start += loop.time() - before
            continue
        due = start + said / rate if rate else 0.0
        if len(batch) >= MAX_BATCH or (batch and due > loop.time()):
            yield batch
            batch = []
            await asyncio.sleep(0)
        if due > (now := loop.time()):
            await asyncio.sleep(max(due - now, MIN_SLEEP))
        batch.append(step)
        said += 1
    if batch:
        yield batch


class SimulatedProvider:
    """The model in the process (see `base.Provider` and `base.Checking`).

    Faults of the wire become what a provider over HTTP would make of them.
    """

    name = "simulated"

    def __init__(self) -> None:
        self._attempts = Attempts()
        self._failures = Failures(self.name, Redactor(()))

    def check(self, generation: Generation) -> None:
        """Raises `BadRequest` for options that there are not."""
        Options.read(generation.simulated)

    async def generate(self, generation: Generation, timeouts: Timeouts) -> AsyncGenerator[Sequence[Part], None]:
        """Runs one attempt; raises `BadRequest` for options that there are not."""
        options = Options.read(generation.simulated)
        refusal = self._attempts.refusal(options.faults(), generation)
        if refusal is not None:
            headers = {"Retry-After": str(refusal.seconds)} if refusal.seconds else {}
            raise self._failures.refused(refusal.status, headers, b"")
        patience = _Patience(timeouts, self._failures)
        play = plan(generation, options)
        async with aclosing(perform(play, options.rate)) as batches:
            async for batch in batches:
                if isinstance(batch, Fault):
                    await self._suffer(batch, patience)
                else:
                    patience.check()
                    yield batch
        yield [Part("usage", play.usage), Part("finish", {"reason": play.finish})]

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _suffer(self, fault: Fault, patience: _Patience) -> None:
        match fault.name:
            case "stall" | "slow-start":
                await patience.wait(fault.seconds, first=fault.at == 0)
            case "error":
                raise self._failures.error("failed during the answer, as it was told to", PROVIDER_OVERLOADED)
            case "cut":
                raise self._failures.error("broke the connection before its answer was complete", PROVIDER_CUT)
            case "long-line" | "gzip-bomb":
                raise self._failures.error("went past a limit, as it was told to", PROVIDER_PROTOCOL)
            case _:
                pass  # only the wire would show it


class Attempts:
    """Counts the attempts of a request, for refusals that end after so many. Equal requests are one."""

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, int] = OrderedDict()

    def refusal(self, faults: Sequence[Fault], generation: Generation) -> Fault | None:
        """The refusal that this attempt gets. Once it is let through, the count begins anew."""
        fault = next((fault for fault in faults if fault.name == "status"), None)
        if fault is None or not fault.times:
            return fault
        key = hashlib.sha256(msgspec.json.encode((generation.messages, generation.simulated))).digest()
        made = self._counts.pop(key, 0)
        if made >= fault.times:
            return None
        self._counts[key] = made + 1
        if len(self._counts) > _ATTEMPTS:
            self._counts.popitem(last=False)
        return fault


class _Patience:
    """The time-outs, for somebody who knows beforehand how long it will take."""

    def __init__(self, timeouts: Timeouts, failures: Failures) -> None:
        self._timeouts = timeouts
        self._failures = failures
        self._time = asyncio.get_running_loop().time
        self._began = self._time()

    def check(self) -> None:
        if 0 < self._timeouts.total <= self._time() - self._began:
            self._give_up(f"did not finish its answer within {self._timeouts.total:g} s")

    async def wait(self, seconds: float, *, first: bool) -> None:
        limit = self._timeouts.first_token if first else self._timeouts.between_tokens
        left = self._timeouts.total - (self._time() - self._began)
        if self._timeouts.total > 0 and left < min(seconds, limit or seconds):
            await asyncio.sleep(max(0.0, left))
            self._give_up(f"did not finish its answer within {self._timeouts.total:g} s")
        if 0 < limit < seconds:
            await asyncio.sleep(limit)
            self._give_up(f"sent no {'' if first else 'further '}token within {limit:g} s")
        await asyncio.sleep(seconds)

    def _give_up(self, what: str) -> None:
        raise self._failures.error(what, PROVIDER_TIMEOUT)
