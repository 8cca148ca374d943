"""What an append costs: µs per event of the memory and the SQLite store, and of Redis, at several batch sizes.

    python benchmarks/store.py [--events N] [--streams N] [--size BYTES] [--durability normal|full] [--dir FOLDER]
                               [--redis URL] [--json]

Every entry of a batch is one record for another stream, as in a tick of a server with many runs. CPU time is
that of the whole process (event loop and writer thread); housekeeping (flush, checkpoint) is part of it. What
Redis itself uses is not. Its keys begin with a prefix of their own for each line, and go a minute later, but for the
names of the streams.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import tempfile
import time
from pathlib import Path

from tokentape.stores.base import Append, Appended, Retention, Store, StreamConfig
from tokentape.stores.memory import MemoryStore
from tokentape.stores.open import open_store
from tokentape.stores.sqlite import SqliteStore


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(store: Store, *, streams: int, batch: int, events: int, size: int, idle: float = 0) -> list[float]:
    """Wall and CPU µs per event; median and 99th percentile of a call's latency in ms."""
    names = [f"runs/{number}" for number in range(streams)]
    for name in names:
        await store.create(name, StreamConfig(retention=Retention(idle=idle)))
    records = [bytes(size)]
    rounds = max(1, events // batch)
    batches = [
        [Append(stream=names[(turn * batch + entry) % streams], records=records) for entry in range(batch)]
        for turn in range(min(rounds, max(1, streams // batch)))
    ]
    latencies = []
    wall, processor = time.perf_counter(), cpu()
    for turn in range(rounds):
        began = time.perf_counter()
        results = await store.append(batches[turn % len(batches)])
        latencies.append(time.perf_counter() - began)
        assert isinstance(results[-1], Appended), results[-1]
    wall, processor = time.perf_counter() - wall, cpu() - processor
    latencies.sort()
    done = rounds * batch / 1e6
    return [wall / done, processor / done, latencies[rounds // 2] * 1e3, latencies[rounds * 99 // 100] * 1e3]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000, help="per line; a tenth of it for batches of one")
    parser.add_argument("--streams", type=int, default=3000)
    parser.add_argument("--size", type=int, default=90, help="bytes of a record")
    parser.add_argument("--durability", choices=["normal", "full"], default="normal")
    parser.add_argument("--dir", type=Path, help="where the file is put; default: the system's temporary folder")
    parser.add_argument("--redis", metavar="URL", help="redis://… of a server to measure too")
    parser.add_argument("--json", action="store_true", help="one object per line instead of a table")
    options = parser.parse_args()
    if not options.json:
        print(f"{'store':8} {'batch':>6} {'wall µs':>9} {'CPU µs':>8} {'p50 ms':>8} {'p99 ms':>8}")
    for kind in ("memory", "sqlite", *(["redis"] if options.redis else [])):
        for batch in (1, 100, 1000):
            with tempfile.TemporaryDirectory(dir=options.dir) as folder:
                store: Store = MemoryStore()
                if kind == "sqlite":
                    store = SqliteStore(Path(folder) / "bench.db", durability=options.durability)
                elif kind == "redis":
                    mark = "&" if "?" in options.redis else "?"
                    store = open_store(f"{options.redis}{mark}prefix=bench-{time.time_ns()}:")
                async with store:
                    events = options.events if batch > 1 else options.events // 10
                    figures = await measure(
                        store,
                        streams=options.streams,
                        batch=batch,
                        events=events,
                        size=options.size,
                        idle=60 if kind == "redis" else 0,
                    )
            if options.json:
                named = dict(zip(("wall_us", "cpu_us", "p50_ms", "p99_ms"), figures, strict=True))
                print(json.dumps({"store": kind, "batch": batch, **named}), flush=True)
                continue
            print(f"{kind:8} {batch:6} {figures[0]:9.2f} {figures[1]:8.2f} {figures[2]:8.3f} {figures[3]:8.3f}")


if __name__ == "__main__":
    asyncio.run(main())
