"""The story of the demo: a run recorded once and played to many, through a cut, a kill and a stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tokentape.cli.audit import Finding, audit
from tokentape.cli.child import ServerProcess
from tokentape.cli.configuration import sqlite_url
from tokentape.cli.relay import Relay
from tokentape.cli.witness import Witness
from tokentape.client import Client, Patience, Transport
from tokentape.core.backoff import Backoff
from tokentape.core.errors import TokentapeError
from tokentape.core.merge import Entry

RATE: Final = 60
"""Tokens in a second: fast enough not to bore, slow enough to be seen."""
CUT_AT: Final = 60
"""Events after which the connection is reset; then the third watcher joins, and then the server is killed."""
JOIN_AT: Final = 120
KILL_AT: Final = 180
STOP_AT: Final = 40
STEP_SECONDS: Final = 20.0
"""For each step to come about; the story ends where one does not."""

Tell = Callable[[str, str], None]
"""Takes the title of a step, and what came of it."""


class StoryFailed(TokentapeError):
    """A step did not come about."""

    code = "story_failed"


class Account(NamedTuple):
    """What one watcher of one run received."""

    run: str
    watcher: str
    reason: str
    connections: int
    finding: Finding


class Outcome(NamedTuple):
    """How the story ended. `equal` is the promise kept: every watcher received exactly what is on the tape."""

    accounts: list[Account]
    tapes: dict[str, Finding]
    """The tape of each run, held against itself."""

    @property
    def equal(self) -> bool:
        """Whether all watchers' bytes are equal, nothing lost and nothing repeated."""
        return all(a.finding.whole and a.finding.digest == self.tapes[a.run].digest for a in self.accounts)


class Story:
    """Plays it once, in a folder of its own."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self._tell = tell
        self._server = ServerProcess(sqlite_url(folder / "tape.db"), folder / "server.log")
        self._outcome = Outcome([], {})

    async def play(self) -> Outcome:
        """All of it; raises `StoryFailed`, or what a watcher or a request ran into."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._server)
            relay = await stack.enter_async_context(Relay("127.0.0.1", self._server.port))
            self._tell("A server starts", f"process {self._server.pid}, port {self._server.port}, one SQLite file")
            direct = await stack.enter_async_context(_client(self._server.port))
            relayed = await stack.enter_async_context(_client(relay.port))
            await self._a_run_that_is_cut_and_killed(direct, relayed, relay)
            await self._a_run_that_is_stopped(direct, relayed)
        return self._outcome

    async def _a_run_that_is_cut_and_killed(self, direct: Client, relayed: Client, relay: Relay) -> None:
        run = await self._start(direct)
        async with _watching("SSE", relayed, run, "sse") as sse, _watching("WebSocket", direct, run, "ws") as ws:
            async with _step("two watchers of the run"):
                await sse.until(lambda: sse.offset >= CUT_AT)
                await ws.until(lambda: ws.offset >= CUT_AT)
            self._tell("A run starts, and two watch", f"{run}, over SSE and over WebSocket")
            await self._cut(sse, relay)
            async with _step("a part of the answer to be late for"):
                await ws.until(lambda: ws.offset >= JOIN_AT)
            async with _watching("late joiner", direct, run, "sse") as late:
                await self._join(late)
                await self._kill(ws)
                await self._restart(sse, ws, late)
                await self._examine(direct, run, sse, ws, late)

    async def _cut(self, sse: Witness, relay: Relay) -> None:
        at, began = sse.offset, time.monotonic()
        relay.cut()
        async with _step("the return of the watcher that was cut"):
            await sse.until(lambda: sse.connections == 2 and sse.offset > at)
        self._tell("One connection is reset", f"SSE, after event {at}; back, and further, after {_since(began)}")

    async def _join(self, late: Witness) -> None:
        async with _step("a late joiner"):
            await late.until(lambda: late.offset >= JOIN_AT)
        self._tell("A third joins late", f"{late.offset} events of the past came as {len(late.entries)}")

    async def _kill(self, ws: Witness) -> None:
        async with _step("the rest of the run"):
            await ws.until(lambda: ws.offset >= KILL_AT)
        await self._server.kill()
        self._tell("kill -9 of the server, in mid-run", f"WebSocket had just shown event {ws.offset}")

    async def _restart(self, *witnesses: Witness) -> None:
        began = time.monotonic()
        await self._server.start()
        async with _step("the end of the run that was killed"):
            reasons = {await witness.end() for witness in witnesses}
        if reasons != {"interrupted"}:
            raise StoryFailed(f"The run that was killed ended with {', '.join(sorted(reasons))}, not 'interrupted'.")
        told = f"the run is ended as 'interrupted'; all three knew after {_since(began)}"
        self._tell("It starts again on the same file", told)

    async def _a_run_that_is_stopped(self, direct: Client, relayed: Client) -> None:
        run = await self._start(direct)
        async with _watching("SSE", relayed, run, "sse") as sse, _watching("WebSocket", direct, run, "ws") as ws:
            async with _step("the second run"):
                await sse.until(lambda: sse.offset >= STOP_AT)
                await ws.until(lambda: ws.offset >= STOP_AT)
                began = time.monotonic()
                info = await direct.stop(run)
                took = _since(began)
                reasons = {info.reason, await sse.end(), await ws.end()}
            if reasons != {"stopped"}:
                raise StoryFailed(f"The run that was stopped ended with {reasons}.")
            self._tell("Another run, and Stop", f"stopped in {took}, at event {ws.offset}")
            await self._examine(direct, run, sse, ws)

    async def _start(self, client: Client) -> str:
        question = {"role": "user", "content": "Tell me a long story."}
        pace = {"rate": RATE, "tokens": 2000, "seed": 7}
        return (await client.start({"model": "simulated", "messages": [question], "simulated": pace})).id

    async def _examine(self, client: Client, run: str, *witnesses: Witness) -> None:
        """Holds what the witnesses kept against the tape, read afresh and event by event."""
        tape: list[Entry] = []
        async with _step("reading the tape"), client.watch(f"runs/{run}", merge=False) as watch:
            async for cursor, event, record in watch:
                if cursor is not None:
                    tape.append(Entry(cursor.offset, record, event))
        self._outcome.tapes[run] = audit(tape, tape)
        for witness in witnesses:
            finding = audit(tape, witness.entries, repeated=witness.repeated)
            account = Account(run, witness.name, witness.reason, witness.connections, finding)
            self._outcome.accounts.append(account)


def _client(port: int) -> Client:
    # The server is away for a while, and comes back: the waits are short, so that nobody waits for them.
    return Client(
        f"http://127.0.0.1:{port}",
        backoff=Backoff(base=0.2, cap=0.5),
        patience=Patience(first=STEP_SECONDS, again=STEP_SECONDS),
    )


def _watching(name: str, client: Client, run: str, transport: Transport) -> Witness:
    return Witness(name, lambda notify: client.watch(f"runs/{run}", transport=transport, notify=notify))


def _since(began: float) -> str:
    seconds = time.monotonic() - began
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


@asynccontextmanager
async def _step(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(STEP_SECONDS):
            yield
    except TimeoutError:
        raise StoryFailed(f"{what[0].upper()}{what[1:]} did not come about within {STEP_SECONDS:.0f} s.") from None
