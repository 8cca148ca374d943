"""How much is measured: the whole run, and the three-minute one that only shows that everything works."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

FLOORS: Final = ("floor-sse", "floor-ws")
OURS: Final = ("tokentape-sse", "tokentape-ws")
VARIANTS: Final = ("tokentape-sse-send", "tokentape-sse-run")
"""Ours with something switched off: shown beside the others, and no peers of ours."""
CURVE_SYSTEMS: Final = ("floor-sse", "tokentape-sse", "nchan-sse", "node-ws", "fastapi-stream")
LATENCY_SYSTEMS: Final = CURVE_SYSTEMS
STORM_SYSTEMS: Final = ("tokentape-sse", "nchan-sse", "durable-streams", "durable-streams-file")
STALLED_SYSTEMS: Final = ("tokentape-sse", "tokentape-ws", "nchan-sse", "node-ws")
STORM_ONLY: Final = ("durable-streams-file",)
"""Systems that differ from another one only in what they keep: one fan-out of the two is enough."""
OUR_PROXY: Final = "tokentape-proxy"
PROXY_FLOOR: Final = "nginx-proxy"
PROXY_PEER: Final = "fastapi-openai"

WORKLOADS: Final = {
    "a": "one stream, many watchers",
    "b": "private streams through a proxy",
    "c": "idle watchers",
    "d": "resume storm",
    "e": "stalled and slow watchers",
    "f": "what the stores cost",
    "g": "scaling curve",
    "h": "what a format costs",
    "l": "latency against load",
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Windows in seconds, rounds and sizes."""

    mode: str
    seconds: float
    proxy_seconds: float
    stalled_seconds: float
    dialect_seconds: float
    rounds: int
    """Of the floor and tokentape at 1,000 watchers."""
    rounds_many: int
    """The same at 5,000."""
    rounds_turns: int
    """How often tokentape and the floor are started for windows in turns."""
    turns: int
    """Windows of ours, each between two of the floor, in one of them."""
    turn_seconds: float
    rounds_peer: int
    rounds_peer_many: int
    rounds_curve: int
    """Of the floor and tokentape, for the scaling curve and for latency against load; peers get one."""
    rounds_proxy: int
    rounds_proxy_peer: int
    rounds_storm: int
    rounds_stalled: int
    rounds_dialects: int
    watchers: int
    many: int
    curve: tuple[int, ...]
    most: int
    rates: tuple[int, ...]
    proxy_levels: tuple[int, ...] | None
    """None: the highest that is sustained is looked for."""
    storm_watchers: int
    storm_behind: int
    stalled_watchers: int
    store_events: int
    systems: tuple[str, ...] | None = None

    @property
    def most_rounds(self) -> int:
        """Of any workload."""
        most: int = max(getattr(self, field.name) for field in fields(self) if field.name.startswith("rounds"))
        return most

    def with_rounds(self, rounds: int) -> Scale:
        """Every system and every workload that often."""
        return replace(
            self,
            rounds=rounds,
            rounds_many=rounds,
            rounds_turns=rounds,
            rounds_peer=rounds,
            rounds_peer_many=rounds,
            rounds_curve=rounds,
            rounds_proxy=rounds,
            rounds_proxy_peer=rounds,
            rounds_storm=rounds,
            rounds_stalled=rounds,
            rounds_dialects=rounds,
        )


FULL: Final = Scale(
    mode="full",
    seconds=1.2,
    proxy_seconds=2.0,
    stalled_seconds=2.0,
    dialect_seconds=0.8,
    rounds=3,
    rounds_many=2,
    rounds_turns=3,
    turns=4,
    turn_seconds=0.8,
    rounds_peer=2,
    rounds_peer_many=1,
    rounds_curve=2,
    rounds_proxy=3,
    rounds_proxy_peer=1,
    rounds_storm=1,
    rounds_stalled=3,
    rounds_dialects=3,
    watchers=1000,
    many=5000,
    curve=(10, 100, 3000),
    most=10_000,
    rates=(200, 500, 1000, 2000),
    proxy_levels=None,
    storm_watchers=5000,
    storm_behind=2000,
    stalled_watchers=1000,
    store_events=100_000,
)

QUICK: Final = Scale(
    mode="quick",
    seconds=0.7,
    proxy_seconds=1.0,
    stalled_seconds=1.0,
    dialect_seconds=0.1,
    rounds=1,
    rounds_many=1,
    rounds_turns=1,
    turns=1,
    turn_seconds=0.3,
    rounds_peer=1,
    rounds_peer_many=0,
    rounds_curve=1,
    rounds_proxy=1,
    rounds_proxy_peer=1,
    rounds_storm=1,
    rounds_stalled=1,
    rounds_dialects=1,
    watchers=1000,
    many=5000,
    curve=(10, 100),
    most=3000,
    rates=(500, 2000),
    proxy_levels=(50, 200),
    storm_watchers=1000,
    storm_behind=500,
    stalled_watchers=300,
    store_events=20_000,
    systems=(
        "floor-sse",
        "floor-ws",
        "tokentape-sse",
        "tokentape-ws",
        "tokentape-sse-run",
        "nchan-sse",
        "node-ws",
        "fastapi-stream",
        "durable-streams",
        "nginx-proxy",
        "tokentape-proxy",
        "fastapi-openai",
    ),
)
