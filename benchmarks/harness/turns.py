"""What a single write costs: tokentape and the C floor in turns, both with all their watchers connected.

Rounds of the other workloads are minutes apart, and a machine drifts by more than these two differ. Here a window of
ours stands between two of the floor, so that a slow second hits both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

from harness.child import ChildError
from harness.drive import Server, Watchers
from harness.fanout import started
from harness.measure import Capacity, beside, steady
from harness.place import Place
from harness.results import Cell, Key
from harness.scale import Scale
from systems.system import System

RATE: Final = 50
RATE_MANY: Final = 10
"""At 5,000 watchers: 50 are more than a core can do there, and then who can merge does."""
FLOOR: Final = {"times_floor": "cpu_us", "p99_times_floor": "p99_ms"}
"""What is told in times of the floor's, and of which value."""


def loads(scale: Scale) -> tuple[tuple[int, int], ...]:
    """Watchers, and events per second."""
    return (scale.watchers, RATE), (scale.many, RATE_MANY)


def key(system: str, watchers: int, rate: int) -> Key:
    return Key(workload="turns", system=system, watchers=watchers, rate=rate)


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One of the two, ready to send."""

    server: Server
    watchers: Watchers
    where: Key
    seconds: float

    def window(self, round_: int) -> Cell:
        cell = steady(self.server, self.watchers, self.where, round_=round_, seconds=self.seconds, capacity=Capacity())
        if cell.status == "failed":
            raise ChildError(cell.reason)
        return cell


def measure(
    place: Place, ours: System, floor: System, load: tuple[int, int], *, rounds: range, seconds: float
) -> Iterator[Cell]:
    """One start of both; each round is a window of ours, and the floor's after it.

    `times_floor` and `p99_times_floor` are in times of the mean of the floor's windows before and after.
    """
    watchers, rate = load
    where = key(ours.name, watchers, rate)
    at = rounds.start
    try:
        with ExitStack() as stack:
            servers = [stack.enter_context(started(place, system)) for system in (floor, ours)]
            low, own = (
                _Side(
                    server=server,
                    watchers=stack.enter_context(Watchers(place, server, watchers)),
                    where=key(server.system.name, watchers, rate),
                    seconds=seconds,
                )
                for server in servers
            )
            for side in (low, own):
                side.watchers.connect()
            for side in (low, own, low):
                # What is done for the first time is in none of the windows that count.
                before = side.window(at)
            for at in rounds:
                cpu = own.server.cpu()
                cell = own.window(at)
                after = low.window(at)
                # With what it had put off until the floor's turn.
                cost = (own.server.cpu() - cpu) / max(1, cell.values["deliveries"]) * 1e6
                yield beside(replace(cell, values={**cell.values, "cpu_us": cost}), before, after, FLOOR)
                yield after
                before = after
    except ChildError as error:
        yield Cell(key=where, round=at, status="failed", reason=str(error))
