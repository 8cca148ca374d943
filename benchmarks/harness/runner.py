"""One run of the benchmarks: what is asked for is checked, measured step by step, and kept."""

from __future__ import annotations

import datetime as dt
import gc
import os
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from harness import machine
from harness.cores import Cores, choose, raise_descriptors
from harness.place import Place
from harness.plan import Plan
from harness.progress import Progress, duration
from harness.results import Cell, Described, Results, rounded, save
from harness.scale import FLOORS, FULL, PROXY_FLOOR, QUICK, WORKLOADS
from systems.system import System


class UsageError(Exception):
    """What was asked for does not exist, or cannot be done here; the message says what can."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a run is to be."""

    quick: bool = False
    only: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    rounds: int | None = None

    @property
    def mode(self) -> str:
        """Only a run of everything is `full`."""
        if self.only or self.systems or self.rounds is not None:
            return "partial"
        return "quick" if self.quick else "full"


HARD_LIMIT: Final = 12_000
"""Descriptors: 10,000 watchers in one process, and some more."""


def chosen_workloads(only: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in only if name not in WORKLOADS]
    if unknown:
        known = ", ".join(f"{name} ({what})" for name, what in WORKLOADS.items())
        raise UsageError(f"no workload {', '.join(unknown)}; there are: {known}")
    return tuple(only) or tuple(WORKLOADS)


def chosen_systems(every: Sequence[System], names: Collection[str]) -> list[System]:
    """Those asked for, and always the floors: a figure without them means nothing on another day."""
    unknown = sorted(set(names) - {system.name for system in every})
    if unknown:
        raise UsageError(f"no system {', '.join(unknown)}; there are: {', '.join(each.name for each in every)}")
    if not names:
        return list(every)
    floors = {*FLOORS, PROXY_FLOOR}
    return [system for system in every if system.name in names or system.name in floors]


def run(root: Path, every: Sequence[System], wanted: Wanted, out: Path) -> Results:
    """Measures; `out` is written after each step, so that no end of the run loses what was measured."""
    workloads = chosen_workloads(wanted.only)
    scale = QUICK if wanted.quick else FULL
    if wanted.rounds is not None:
        scale = scale.with_rounds(wanted.rounds)
    asked = chosen_systems(every, wanted.systems or scale.systems or ())
    cores = choose(os.sched_getaffinity(0))
    place = Place(root=root, cores=cores)
    if (reason := place.not_ready()) is not None:
        raise UsageError(reason)
    descriptors = raise_descriptors()
    _warn(cores, descriptors)
    os.sched_setaffinity(0, {cores.client})

    began = time.monotonic()
    now = dt.datetime.now(dt.UTC)  # noqa: TID251  the edge: when the run was
    results = Results(
        mode=wanted.mode, machine=machine.describe(cores, descriptors), started=now.isoformat(timespec="seconds")
    )
    installed = []
    for system in asked:
        described = _described(place, system)
        results.systems[system.name] = described
        if described.unavailable:
            print(f"{system.name}: {described.unavailable}", flush=True)
        else:
            installed.append(system)

    steps = Plan(place=place, systems=installed, workloads=workloads, scale=scale).steps()
    total = sum(step.estimate for step in steps)
    print(f"{len(steps)} steps, about {duration(total)} minutes; Ctrl-C keeps what was measured", flush=True)
    progress = Progress(total, sys.stdout)

    def record(cell: Cell) -> None:
        kept = replace(cell, values={name: rounded(value) for name, value in cell.values.items()})
        results.cells.append(kept)  # as the file will have it: tables made now and later are the same
        progress.cell(kept)

    gc.freeze()
    try:
        for step in steps:
            step.run(record)
            progress.step_done(step.estimate)
            results.seconds = time.monotonic() - began
            save(results, out)
    except KeyboardInterrupt:
        print("\ninterrupted: what was measured so far is kept", flush=True)
        results.interrupted = True
        results.seconds = time.monotonic() - began
        save(results, out)
    return results


def _described(place: Place, system: System) -> Described:
    unavailable = place.unavailable(system) or ""
    return Described(
        label=system.label,
        kind=system.kind,
        transport=system.transport,
        per_message=system.per_message,
        version="" if unavailable else place.version(system),
        unavailable=unavailable,
    )


def _warn(cores: Cores, descriptors: int) -> None:
    if not cores.apart:
        print("warning: one core alone: the server and what drives it share it; the figures are worth little")
    if descriptors < HARD_LIMIT:
        print(f"warning: {descriptors:,} descriptors at most; what needs more watchers will fail (ulimit -Hn)")
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"warning: the machine is not quiet (load {load:.1f}); compare ratios, not figures")
