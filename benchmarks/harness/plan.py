"""What is measured, in which order: round after round, and in each round every workload and every system once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from harness import dialects, fanout, proxies, stalled, storecost, storm, turns
from harness.fanout import Group, Record, Session
from harness.measure import Capacity
from harness.place import Place
from harness.results import Cell
from harness.scale import (
    CURVE_SYSTEMS,
    FLOORS,
    LATENCY_SYSTEMS,
    OUR_PROXY,
    OURS,
    PROXY_FLOOR,
    PROXY_PEER,
    STALLED_SYSTEMS,
    STORM_ONLY,
    STORM_SYSTEMS,
    Scale,
)
from systems.system import System

NOISE = "noise"


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that is measured in one go, and about how long it takes."""

    workload: str
    label: str
    estimate: float
    run: Callable[[Record], None]


@dataclass
class Plan:
    """Builds the steps of a run."""

    place: Place
    systems: Sequence[System]
    """Those that are installed and asked for."""
    workloads: Collection[str]
    scale: Scale
    capacity: Capacity = field(default_factory=Capacity)
    sustained: dict[str, int] = field(default_factory=dict)
    """The highest number of streams that each proxy sustains, found in its first round."""

    def steps(self) -> list[Step]:
        found = [*self._noise("before")]
        for round_ in range(self.scale.most_rounds):
            found += self._fanouts(round_)
            found += self._turns(round_)
            found += self._idle(round_)
            found += self._proxies(round_)
            found += self._storms(round_)
            found += self._stalled(round_)
            found += self._dialects(round_)
            if round_ == 0 and "f" in self.workloads:
                found.append(self._store())
        found += self._noise("after")
        return found

    def groups(self, system: str, round_: int) -> tuple[Group, ...]:
        """The load clients of one start of a system: the first meets a fresh server, so its memory can be measured."""
        scale = self.scale
        reference = system in FLOORS or system in OURS
        curve = round_ < (scale.rounds_curve if reference else 1)
        groups = []
        first: set[int] = set()
        if "a" in self.workloads and round_ < (scale.rounds if reference else scale.rounds_peer):
            first |= {0, 50}
        if "g" in self.workloads and system in CURVE_SYSTEMS and curve:
            first.add(50)
        if "l" in self.workloads and system in LATENCY_SYSTEMS and curve:
            first |= {0, 50, *scale.rates}
        idle = "c" in self.workloads and round_ < max(1, scale.rounds_peer)
        if (first or idle) and system not in STORM_ONLY and system != dialects.SYSTEM:
            groups.append(Group(watchers=scale.watchers, rates=tuple(sorted(first)), idle=idle))
        many = scale.rounds_many if reference else scale.rounds_peer_many
        if "a" in self.workloads and round_ < many and system not in (*STORM_ONLY, dialects.SYSTEM):
            groups.append(Group(watchers=scale.many, rates=(0, 50)))
        if "g" in self.workloads and system in CURVE_SYSTEMS and curve:
            groups += [Group(watchers=watchers, rates=(50,)) for watchers in scale.curve]
        if {"c", "g"} & set(self.workloads) and system in CURVE_SYSTEMS and curve:
            last = (50,) if "g" in self.workloads else ()
            groups.append(Group(watchers=scale.most, rates=last, streaming="c" in self.workloads))
        return tuple(groups)

    def _noise(self, variant: str) -> Iterator[Step]:
        """The floor at both ends of the run: when it has moved, so has everything else."""
        for system in self.systems:
            if system.name == FLOORS[0]:
                groups = (Group(watchers=self.scale.watchers, rates=(0, 50)),)
                yield self._session(system, 0, groups, noise=variant)

    def _fanouts(self, round_: int) -> Iterator[Step]:
        for system in self.systems:
            if system.kind == "fanout" and (groups := self.groups(system.name, round_)):
                yield self._session(system, round_, groups)

    def _turns(self, round_: int) -> Iterator[Step]:
        """Ours beside the floor, over each transport, at each load."""
        scale = self.scale
        found = {system.name: system for system in self.systems}
        if "a" not in self.workloads or round_ >= scale.rounds_turns:
            return
        for ours, floor in zip(OURS, FLOORS, strict=True):
            if ours in found and floor in found:
                for load in turns.loads(scale):
                    yield self._turn(found[ours], found[floor], load, round_)

    def _turn(self, ours: System, floor: System, load: tuple[int, int], round_: int) -> Step:
        count, seconds = self.scale.turns, self.scale.turn_seconds
        rounds = range(round_ * count, (round_ + 1) * count)

        def run(record: Record) -> None:
            for cell in turns.measure(self.place, ours, floor, load, rounds=rounds, seconds=seconds):
                record(cell)

        return Step(workload="a", label=ours.name, estimate=2.3 + load[0] / 2800 + (3 + 2 * count) * seconds, run=run)

    def _idle(self, round_: int) -> Iterator[Step]:
        """As many watchers as one process is to carry, on a server that has seen none before."""
        for system in self.systems:
            if "c" in self.workloads and system.name in OURS and round_ < self.scale.rounds_curve:
                groups = [Group(watchers=self.scale.most, idle=True)]
                if system.name not in CURVE_SYSTEMS:
                    groups.append(Group(watchers=self.scale.most, streaming=True))
                yield self._session(system, round_, tuple(groups))

    def _session(self, system: System, round_: int, groups: tuple[Group, ...], noise: str = "") -> Step:
        session = Session(system=system, round=round_, groups=groups, seconds=self.scale.seconds)

        def run(record: Record) -> None:
            def noted(cell: Cell) -> None:
                record(as_noise(cell, noise) if noise else cell)

            fanout.run(self.place, session, Capacity() if noise else self.capacity, noted)

        return Step(workload="a", label=system.name, estimate=estimate(session), run=run)

    def _proxies(self, round_: int) -> Iterator[Step]:
        if "b" not in self.workloads:
            return
        for system in self.systems:
            if system.kind != "proxy":
                continue
            main = system.name in (OUR_PROXY, PROXY_FLOOR, PROXY_PEER)
            if round_ < (self.scale.rounds_proxy if main else self.scale.rounds_proxy_peer):
                yield self._proxy(system, round_)
        if round_ == 0 and (like := next((each for each in self.systems if each.name == PROXY_FLOOR), None)):
            for level in self.scale.proxy_levels or proxies.LEVELS[1:]:
                yield self._direct(like, level)

    def _proxy(self, system: System, round_: int) -> Step:
        seconds = self.scale.proxy_seconds

        def level(streams: int, record: Record) -> bool:
            cell = proxies.measure(self.place, system, streams, round_=round_, seconds=seconds)
            record(cell)
            return cell.status == "ok"

        def run(record: Record) -> None:
            tried: dict[int, bool] = {}
            if round_ == 0 and self.scale.proxy_levels is None:
                while (streams := proxies.next_level(tried)) is not None:
                    tried[streams] = level(streams, record)
            else:
                for streams in self.scale.proxy_levels or self._again(system.name):
                    tried[streams] = level(streams, record)
            if round_ == 0:
                self.sustained[system.name] = max((each for each, good in tried.items() if good), default=0)

        levels = (len(self.scale.proxy_levels) if self.scale.proxy_levels else 4) if round_ == 0 else 1.5
        return Step(workload="b", label=system.name, estimate=levels * (seconds + 3.5), run=run)

    def _again(self, system: str) -> list[int]:
        """What later rounds measure: the highest load, and the thousand streams that proxies are compared at."""
        highest = self.sustained.get(system, 0)
        compared = [1000] if highest > 1000 and system in (OUR_PROXY, PROXY_FLOOR) else []
        return [*compared, highest] if highest else []

    def _direct(self, like: System, level: int) -> Step:
        seconds = self.scale.proxy_seconds

        def run(record: Record) -> None:
            record(proxies.measure_direct(self.place, like, level, round_=0, seconds=seconds))

        return Step(workload="b", label=proxies.DIRECT, estimate=seconds + 2.5, run=run)

    def _storms(self, round_: int) -> Iterator[Step]:
        scale = self.scale
        if "d" not in self.workloads or round_ >= scale.rounds_storm:
            return
        for system in self.systems:
            if system.name in STORM_SYSTEMS:
                measure = partial(
                    storm.measure,
                    self.place,
                    system,
                    watchers=scale.storm_watchers,
                    behind=scale.storm_behind,
                    round_=round_,
                )
                yield self._cell("d", system, 2 + 16 * scale.storm_watchers / 5000, measure)

    def _stalled(self, round_: int) -> Iterator[Step]:
        """Ours in all three states, round after round; peers once, with and without the bad ones."""
        scale = self.scale
        if "e" not in self.workloads or round_ >= scale.rounds_stalled:
            return
        for variant in (stalled.HEALTHY, stalled.STALLED, stalled.ALONE):
            for system in self.systems:
                ours = system.name in OURS
                if system.name not in STALLED_SYSTEMS or (not ours and (round_ or variant == stalled.ALONE)):
                    continue
                measure = partial(
                    stalled.measure,
                    self.place,
                    system,
                    variant,
                    watchers=scale.stalled_watchers,
                    round_=round_,
                    seconds=scale.stalled_seconds,
                )
                yield self._cell("e", system, scale.stalled_seconds + (2 if ours else 5), measure)

    def _dialects(self, round_: int) -> Iterator[Step]:
        """Every format once in a round, on one server."""
        scale = self.scale
        system = next((each for each in self.systems if each.name == dialects.SYSTEM), None)
        if "h" not in self.workloads or round_ >= scale.rounds_dialects or system is None:
            return

        def run(record: Record) -> None:
            for cell in dialects.measure(
                self.place, system, watchers=scale.watchers, round_=round_, seconds=scale.dialect_seconds
            ):
                record(cell)

        yield Step(workload="h", label=system.name, estimate=1.5 + 27 * (scale.dialect_seconds + 0.7), run=run)

    def _cell(self, workload: str, system: System, estimate: float, measure: Callable[[], Cell]) -> Step:
        return Step(workload=workload, label=system.name, estimate=estimate, run=lambda record: record(measure()))

    def _store(self) -> Step:
        def run(record: Record) -> None:
            for cell in storecost.measure(self.place, events=self.scale.store_events):
                record(cell)

        return Step(workload="f", label="stores", estimate=5 + self.scale.store_events / 20_000, run=run)


def as_noise(cell: Cell, variant: str) -> Cell:
    """A fan-out cell of the noise check: under a key of its own, so that it is no round of the floor."""
    return Cell(
        key=type(cell.key)(
            workload=NOISE,
            system=cell.key.system,
            watchers=cell.key.watchers,
            rate=cell.key.rate,
            variant=variant,
        ),
        round=cell.round,
        status=cell.status,
        reason=cell.reason,
        values=cell.values,
    )


def estimate(session: Session) -> float:
    """Seconds for a session: a start, and for each group the connecting and the windows."""
    total = 1.3
    for group in session.groups:
        total += 0.5 + group.watchers / 4000 + (2 if group.streaming else 0)
        total += sum(session.seconds + (0.3 if rate else 0.6) for rate in group.rates)
    return total
