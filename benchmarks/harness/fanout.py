"""One stream, many watchers: what a session with one start of one system measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from harness.child import ChildError
from harness.drive import Connected, Server, Watchers
from harness.measure import Capacity, steady, unthrottled
from harness.place import Place
from harness.results import Cell, Key
from harness.scale import FLOORS, OURS
from systems.system import System

STREAMING_RATE: Final = 50
"""Events per second while watchers connect."""
STREAMING_PIECE: Final = 25
"""Events of one piece of that stream: pieces follow each other until all are connected."""
SETTLE_SECONDS: Final = 0.15
WARMING_WATCHERS: Final = 10
WARMING_EVENTS: Final = 10
WARMING_RATE: Final = 200
GIVE_UP: Final = 50_000
"""Deliveries per second at 1,000 watchers. What does less is not asked for more watchers than that: at 50 events per
second 1,000 of them already are too many."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """One load client: its watchers connect once and see all rates, one after another."""

    watchers: int
    rates: tuple[int, ...] = ()
    """Unthrottled (0) first: what a system can do at most says which of the others are worth trying."""
    idle: bool = False
    """Whether the memory that they take while nothing happens is measured."""
    streaming: bool = False
    """Whether they connect while events are being fanned out to those that already are connected."""

    def keys(self, system: str) -> Iterator[Key]:
        if self.idle:
            yield Key(workload="idle", system=system, watchers=self.watchers)
        if self.streaming:
            yield Key(workload="connect", system=system, watchers=self.watchers, rate=STREAMING_RATE)
        for rate in self.rates:
            yield Key(workload="fanout", system=system, watchers=self.watchers, rate=rate)


@dataclass(frozen=True, kw_only=True)
class Session:
    """One start of one system in one round."""

    system: System
    round: int
    groups: tuple[Group, ...]
    seconds: float
    """Of each measurement."""

    def keys(self) -> Iterator[Key]:
        for group in self.groups:
            yield from group.keys(self.system.name)


Record = Callable[[Cell], None]


def run(place: Place, session: Session, capacity: Capacity, record: Record) -> None:
    """Measures all groups; what fails is recorded with the reason, and the next group gets a fresh server."""
    server: Server | None = None
    try:
        for group in session.groups:
            left = list(group.keys(session.system.name))
            if (reason := _too_many(group, session.system.name, capacity)) is not None:
                _record_all(left, session.round, reason, record)
                continue
            try:
                server = server or started(place, session.system)
                for cell in _measure(place, server, group, session, capacity):
                    left.remove(cell.key)
                    record(cell)
            except ChildError as error:
                if left and not isinstance(error, _Incomplete):
                    record(Cell(key=left.pop(0), round=session.round, status="failed", reason=str(error)))
                _record_all(left, session.round, f"not tried after this failure: {error}", record)
                if server is not None:
                    server.end()
                    server = None
    finally:
        if server is not None:
            server.end()


def _too_many(group: Group, system: str, capacity: Capacity) -> str | None:
    known = capacity.unthrottled.get((system, 1000))
    if group.watchers <= 1000 or known is None or known >= GIVE_UP or system in (*FLOORS, *OURS):
        return None
    return f"saturated at 1,000 watchers: {known:,.0f} deliveries/s"


def _record_all(keys: list[Key], round_: int, reason: str, record: Record) -> None:
    for key in keys:
        record(Cell(key=key, round=round_, status="skipped", reason=reason))


class _Incomplete(ChildError):
    """A measurement is recorded as failed; the server that it leaves behind is not to be measured again."""


def started(place: Place, system: System) -> Server:
    """A server that has done everything once: modules are loaded, code is warm."""
    server = Server(place, system)
    try:
        _warm(place, server)
        server.pin()
    except BaseException:
        server.end()
        raise
    return server


def _warm(place: Place, server: Server) -> None:
    with Watchers(place, server, WARMING_WATCHERS) as few:
        few.connect()
        server.emit(WARMING_RATE, WARMING_EVENTS)
        if few.missing(server.emitted, seconds=10):
            raise ChildError(f"{WARMING_WATCHERS} watchers do not get {WARMING_EVENTS} events")
        server.all_out(seconds=10)


def _measure(place: Place, server: Server, group: Group, session: Session, capacity: Capacity) -> Iterator[Cell]:
    system = session.system.name
    time.sleep(SETTLE_SECONDS)
    before = server.memory()
    with Watchers(place, server, group.watchers) as watchers:
        if group.streaming:
            connected = _connect_while_streaming(server, watchers)
        else:
            connected = watchers.connect()
        if group.idle:
            time.sleep(SETTLE_SECONDS)
            grown = server.memory() - before
            yield Cell(
                key=Key(workload="idle", system=system, watchers=group.watchers),
                round=session.round,
                values={
                    "anonymous_bytes": grown.anonymous / group.watchers,
                    "rss_bytes": grown.rss / group.watchers,
                    "connect_seconds": connected.seconds,
                },
            )
        if group.streaming:
            yield Cell(
                key=Key(workload="connect", system=system, watchers=group.watchers, rate=STREAMING_RATE),
                round=session.round,
                values={"seconds": connected.seconds, "p99_ms": connected.p99_ms},
            )
        if group.rates:
            server.emit(WARMING_RATE, WARMING_EVENTS)
            watchers.missing(server.emitted, seconds=10)
            server.all_out(seconds=10)
        for rate in group.rates:
            key = Key(workload="fanout", system=system, watchers=group.watchers, rate=rate)
            if (reason := capacity.hopeless(system, group.watchers, rate)) is not None:
                yield Cell(key=key, round=session.round, status="skipped", reason=reason)
                continue
            measured = steady if rate else unthrottled
            cell = measured(server, watchers, key, round_=session.round, seconds=session.seconds, capacity=capacity)
            yield cell
            if cell.status == "failed":
                raise _Incomplete(cell.reason)


def _connect_while_streaming(server: Server, watchers: Watchers) -> Connected:
    """Events go out, piece after piece, for as long as watchers still connect."""
    watchers.begin("connect")
    while not watchers.has_answered():
        server.emit(STREAMING_RATE, STREAMING_PIECE)
        server.all_out(seconds=60)
    return watchers.connected()
