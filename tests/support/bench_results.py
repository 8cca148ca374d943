"""Results of the benchmarks as a whole run would leave them, with round numbers."""

from harness.fanout import STREAMING_RATE
from harness.proxies import RATE
from harness.results import Cell, Described, Key, Results, Status, rounded
from harness.stalled import RATE as STALLED_RATE
from harness.turns import RATE_MANY
from harness.turns import key as turns_key

FANOUTS = {
    "floor-sse": ("C loop, SSE", "sse", True),
    "floor-ws": ("C loop, WebSocket", "ws", True),
    "tokentape-sse": ("tokentape, SSE", "sse", False),
    "tokentape-ws": ("tokentape, WebSocket", "ws", False),
    "nchan-sse": ("nchan, SSE", "sse", True),
    "node-ws": ("Node ws", "ws", True),
    "durable-streams": ("Durable Streams", "sse", False),
}
PROXIES = {
    "nginx-proxy": "nginx proxy_pass",
    "tokentape-proxy": "tokentape (SQLite)",
    "fastapi-openai": "FastAPI + SDK",
}


class Builder:
    """Adds cells; each call is one round of one key."""

    def __init__(self) -> None:
        self.results = Results(
            mode="full",
            machine={
                "cpu": "A CPU",
                "cores": 2,
                "server_core": 0,
                "client_core": 1,
                "memory_gib": 8.0,
                "kernel": "6.1",
                "python": "3.11.7",
                "descriptors": 20000,
                "load_before": [0.1, 0.2, 0.3],
            },
            started="2026-01-02T03:04:05+00:00",
            seconds=700.0,
            systems={
                **{
                    name: Described(label=label, kind="fanout", transport=transport, per_message=single, version="1.0")
                    for name, (label, transport, single) in FANOUTS.items()
                },
                **{
                    name: Described(label=label, kind="proxy", transport="sse", per_message=False)
                    for name, label in PROXIES.items()
                },
            },
        )

    def add(self, key: Key, *, status: Status = "ok", reason: str = "", **values: float) -> None:
        round_ = len([cell for cell in self.results.cells if cell.key == key])
        kept = {name: rounded(value) for name, value in values.items()}
        self.results.cells.append(Cell(key=key, round=round_, status=status, reason=reason, values=kept))

    def fanout(self, system: str, watchers: int, rate: int, *, status: Status = "ok", **values: float) -> None:
        defaults = {"p50_ms": 2.0, "p99_ms": 4.0, "events_per_read": 1.0, "gaps": 0.0, "duplicates": 0.0}
        key = Key(workload="fanout", system=system, watchers=watchers, rate=rate)
        self.add(key, status=status, **{**defaults, "deliveries": 50_000.0, "per_second": 50_000.0, **values})

    def turns(self, system: str, watchers: int, rate: int, *, times: float = 1.2, **values: float) -> None:
        defaults = {"cpu_us": 4.8, "p99_ms": 5.0, "p99_times_floor": 1.25, "events_per_read": 1.0}
        self.add(turns_key(system, watchers, rate), **{**defaults, "times_floor": times, **values})

    def proxy(self, system: str, streams: int, *, status: Status = "ok", cpu_us: float, p99_ms: float = 5.0) -> None:
        self.add(
            Key(workload="proxy", system=system, watchers=streams, rate=RATE),
            status=status,
            cpu_us=cpu_us,
            tokens_per_cpu_second=1e6 / cpu_us,
            p50_ms=1.0,
            p99_ms=p99_ms,
            delivered_share=1.0 if status == "ok" else 0.5,
        )

    def idle(self, system: str, watchers: int, kib: float) -> None:
        key = Key(workload="idle", system=system, watchers=watchers)
        self.add(key, anonymous_bytes=kib * 1024, rss_bytes=kib * 1024, connect_seconds=0.5)

    def connect(self, system: str, watchers: int, seconds: float) -> None:
        self.add(Key(workload="connect", system=system, watchers=watchers, rate=STREAMING_RATE), seconds=seconds)

    def storm(self, system: str, seconds: float, cpu_seconds: float, *, status: Status = "ok", wrong: int = 0) -> None:
        key = Key(workload="storm", system=system, watchers=5000, variant="2000 behind")
        self.add(
            key,
            status=status,
            reason="" if status == "ok" else "12 watchers were not caught up after 60 s",
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            gaps=wrong,
            duplicates=0,
            missing=0,
        )

    def stalled(self, system: str, variant: str, p99_ms: float, mib: float) -> None:
        key = Key(workload="stalled", system=system, watchers=1000, rate=STALLED_RATE, variant=variant)
        self.add(key, p99_ms=p99_ms, anonymous_growth=mib * 2**20, kernel_growth=5e6)


def everything_met() -> Builder:
    """A run in which tokentape does all that is required of it."""
    build = Builder()
    for floor, ours, peer in (("floor-sse", "tokentape-sse", "nchan-sse"), ("floor-ws", "tokentape-ws", "node-ws")):
        for cost in (4.0, 3.9, 4.1):
            build.fanout(floor, 1000, 50, cpu_us=cost, p99_ms=4.0)
        build.fanout(ours, 1000, 50, cpu_us=4.8, p99_ms=5.0)
        build.fanout(peer, 1000, 50, cpu_us=6.0, p99_ms=8.0)
        for times in (1.1, 1.2, 1.24):
            build.turns(ours, 1000, 50, times=times)
            build.turns(ours, 5000, RATE_MANY, times=times + 0.2)
        for watchers in (1000, 5000):
            build.fanout(floor, watchers, 0, cpu_us=3.5, per_second=250_000)
            build.fanout(ours, watchers, 0, cpu_us=0.2, per_second=2_000_000, events_per_read=20)
            build.fanout(peer, watchers, 0, cpu_us=4.5, per_second=200_000)
        build.fanout(ours, 5000, 50, cpu_us=1.5, events_per_read=3)
        build.idle(ours, 1000, 9.5)
        build.idle(ours, 10_000, 9.7)
        build.idle(peer, 1000, 14.0)
        build.connect(ours, 10_000, 2.5)
        build.stalled(ours, "healthy", 5.0, 1)
        build.stalled(ours, "stalled", 5.2, 4)
    build.proxy("direct", 1000, cpu_us=1, p99_ms=0.5)
    build.proxy("nginx-proxy", 1000, cpu_us=10)
    build.proxy("tokentape-proxy", 1000, cpu_us=16, p99_ms=20)
    build.proxy("tokentape-proxy", 3000, cpu_us=10)
    build.proxy("fastapi-openai", 200, status="saturated", cpu_us=90)
    build.proxy("fastapi-openai", 100, cpu_us=120)
    build.storm("tokentape-sse", 2.0, 1.5)
    build.storm("nchan-sse", 20.0, 18.0)
    build.storm("durable-streams", 25.0, 24.0)
    build.storm("durable-streams-file", 30.0, 24.0)
    return build
