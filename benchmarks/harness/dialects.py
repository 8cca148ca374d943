"""What a format costs: one run, a thousand watchers, in each format that `?format=` names, beside the native one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from harness.child import ChildError
from harness.drive import Provider, Server, Watchers
from harness.measure import Capacity, beside, steady
from harness.place import Place
from harness.results import Cell, Key
from systems.system import System

SYSTEM: Final = "tokentape-sse-run"
NATIVE: Final = "native"
FORMATS: Final = (
    NATIVE,
    "openai-chat",
    "openai-chat-usage",
    "openai-responses",
    "anthropic",
    "ai-sdk",
    "ai-sdk-v5",
    "ai-sdk-v6",
    "ai-sdk-v7",
    "ag-ui",
    "text",
    "content",
    "chunk",
    "channel",
)
"""Those of `tokentape.dialects.formats`, which the environment that draws the plots does not have."""
RATE: Final = 50
WARMING_EVENTS: Final = 10
PATH: Final = "/v1/runs/bench/events?from=now&format="


def key(variant: str, watchers: int) -> Key:
    return Key(workload="dialect", system=SYSTEM, watchers=watchers, rate=RATE, variant=variant)


def measure(place: Place, system: System, *, watchers: int, round_: int, seconds: float) -> Iterator[Cell]:
    """Every format on one server, each between two looks at the native one: a machine drifts by more than they differ.

    `times_native` is what a format costs in times of the mean of the two.
    """
    try:
        with Server(place, system) as server:
            server.pin()
            before = _one(place, server, key(NATIVE, watchers), round_=round_, seconds=seconds)
            yield before
            for name in FORMATS:
                if name != NATIVE:
                    cell = _one(place, server, key(name, watchers), round_=round_, seconds=seconds)
                    after = _one(place, server, before.key, round_=round_, seconds=seconds)
                    yield beside(cell, before, after, {"times_native": "cpu_us"})
                    yield after
                    before = after
    except ChildError as error:
        yield Cell(key=key(NATIVE, watchers), round=round_, status="failed", reason=str(error))


def _one(place: Place, server: Server, where: Key, *, round_: int, seconds: float) -> Cell:
    target = Provider(system=replace(server.system, path=PATH + where.variant), port=server.port)
    with Watchers(place, target, where.watchers) as load:
        load.connect()
        server.emit(RATE, WARMING_EVENTS)
        if missing := load.missing(server.emitted, seconds=10):
            raise ChildError(f"{missing:,} watchers do not get {WARMING_EVENTS} events as {where.variant}")
        server.all_out(seconds=10)
        return steady(server, load, where, round_=round_, seconds=seconds, capacity=Capacity())
