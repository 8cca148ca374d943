"""What a token costs Redis, and how long it takes from one process to another: tokentape beside what people write.

    python benchmarks/redis_work.py [--runs 100] [--rate 50] [--seconds 5] [--rounds 3] [--quick] [--report]

Starts a Redis of its own (`redis-server`, or what REDIS_SERVER names), and for each system one process that makes the
tokens of all runs and one that watches all of them; the rounds of all systems are interleaved. Then two instances
behind nginx with 2,000 watchers, and the cost of an append to each store. Takes three minutes and writes redis.json and
REDIS.md beside this file; a run with other options than the defaults writes to .bench/partial. `--report` makes
REDIS.md anew from redis.json.

npm `resumable-stream` and the load client are used when scripts/bench-setup has installed them, nginx when it is there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from redis import Redis

from harness import cores, instances, machine
from harness.child import Child
from harness.redis_report import report
from store import measure
from tokentape.stores.memory import MemoryStore
from tokentape.stores.open import open_store
from tokentape.stores.sqlite import SqliteStore

ROOT: Final = Path(__file__).resolve().parent.parent
BENCHMARKS: Final = ROOT / "benchmarks"
PARTIAL: Final = ROOT / ".bench" / "partial"
START_SECONDS: Final = 20.0
PATIENCE: Final = 60
"""Seconds for an answer: on a machine that others use too, Redis may have to wait for its core."""
INNER: Final = frozenset({"hget", "hmget", "hset", "xadd", "xrange", "xtrim", "hdel", "pexpire", "publish", "time"})
"""What tokentape's processes do within scripts only."""
WATCHED: Final = ("nowhere", "elsewhere", "at both")
STORE_RUNS: Final = (1, 100, 3000)


@contextmanager
def redis_server() -> Iterator[tuple[str, int]]:
    """A Redis that keeps nothing; its URL and process id."""
    program = os.environ.get("REDIS_SERVER") or "redis-server"
    port = cores.Ports().free()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + START_SECONDS
            while time.monotonic() < until:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.wait()


def commands(system: str) -> list[str] | None:
    """How the processes of a system are started; None when it is not installed."""
    if system != "resumable-stream":
        return [sys.executable, str(BENCHMARKS / "systems" / "python" / "redis_roles.py")]
    node = ROOT / ".bench" / "node_modules" / ".bin" / "node"
    if not (ROOT / ".bench" / "node_modules" / "resumable-stream").is_dir() or not node.exists():
        return None
    script = ROOT / ".bench" / "node" / "redis_roles.js"
    return [str(node), "--preserve-symlinks", "--preserve-symlinks-main", str(script)]


class Probe:
    """What Redis has done, by its own account."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(url, protocol=2, socket_timeout=PATIENCE)

    def take(self) -> dict[str, Any]:
        info: dict[str, Any] = self._client.info("all")
        calls = {name[8:]: stat["calls"] for name, stat in info.items() if name.startswith("cmdstat_")}
        return {
            "calls": calls,
            "cpu": info["used_cpu_user"] + info["used_cpu_sys"],
            "in": info["total_net_input_bytes"],
            "out": info["total_net_output_bytes"],
        }

    def empty(self) -> None:
        self._client.flushall()


def window(system: str, watched: str, url: str, options: argparse.Namespace) -> dict[str, float] | None:
    """One window of one system: what each token cost, and took."""
    command = commands(system)
    if command is None:
        return None
    probe = Probe(url)
    probe.empty()
    rest = [system, url, str(options.runs), str(options.rate)]
    log = ROOT / ".bench" / "logs" / "redis.log"
    place = cores.choose(os.sched_getaffinity(0))
    with (
        Child("writer", [*command, "writer", *rest], core=place.client, log=log) as writer,
        Child("watcher", [*command, "watcher", *rest], core=place.server, log=log) as watcher,
    ):
        streams = writer.answer(seconds=START_SECONDS, key="streams")["streams"]
        watcher.answer(seconds=START_SECONDS, key="streams")
        here = " ".join(["streams", *streams])
        if watched != "nowhere":
            watcher.ask(here, seconds=START_SECONDS)
        if watched == "at both":
            writer.ask(here, seconds=START_SECONDS)
        writer.ask("go", seconds=START_SECONDS)
        time.sleep(1.5)
        before = probe.take()
        for child in (writer, watcher):
            child.ask("begin", seconds=START_SECONDS)
        time.sleep(options.seconds)
        made = writer.ask("report", seconds=START_SECONDS)
        after = probe.take()
        seen = watcher.ask("report", seconds=START_SECONDS)
    return figures(system, before, after, made, seen)


def figures(
    system: str, before: dict[str, Any], after: dict[str, Any], made: dict[str, Any], seen: dict[str, Any]
) -> dict[str, float]:
    """Per token; times in ms. The probe's own two commands are left out."""
    count = made["made"]
    calls = {name: number - before["calls"].get(name, 0) for name, number in after["calls"].items() if name != "info"}
    sent = {name: number for name, number in calls.items() if system != "tokentape" or name not in INNER}
    found = {
        "tokens": count,
        "commands": sum(sent.values()) / count,
        "calls": sum(number for name, number in calls.items() if name != "evalsha") / count,
        "bytes_in": (after["in"] - before["in"]) / count,
        "bytes_out": (after["out"] - before["out"]) / count,
        "redis_us": (after["cpu"] - before["cpu"]) / count * 1e6,
        "writer_us": made["cpu"] / count * 1e6,
        "watcher_us": seen["cpu"] / count * 1e6,
        "rounds": calls.get("publish", 0),
    }
    if seen["seen"]:
        found |= {"p50": seen["p50"], "p99": seen["p99"], "seen": seen["seen"]}
    if made["seen"]:
        found |= {"own_p50": made["p50"], "own_p99": made["p99"]}
    return found


async def store_costs(url: str, *, events: int) -> list[dict[str, Any]]:
    """What an append costs each store, when so many runs have one token each per batch (1,000 at most)."""
    found = []
    for kind in ("memory", "sqlite", "redis"):
        for runs in STORE_RUNS:
            with tempfile.TemporaryDirectory() as folder:
                store: Any = MemoryStore()
                if kind == "sqlite":
                    store = SqliteStore(Path(folder) / "bench.db", durability="normal")
                elif kind == "redis":
                    store = open_store(f"{url}?prefix=bench-{runs}:&timeout={PATIENCE}")
                async with store:
                    batch = min(runs, 1000)
                    before = Probe(url).take()["cpu"]
                    wall, cpu, p50, p99 = await measure(
                        store, streams=runs, batch=batch, events=events if runs > 1 else events // 10, size=90
                    )
                    used = Probe(url).take()["cpu"] - before
            count = max(1, (events if runs > 1 else events // 10) // batch) * batch
            cell = {"store": kind, "runs": runs, "wall_us": wall, "cpu_us": cpu, "p50_ms": p50, "p99_ms": p99}
            found.append(cell | ({"redis_us": used / count * 1e6} if kind == "redis" else {}))
    return found


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, round by round."""
    windows: list[dict[str, Any]] = []
    with redis_server() as (url, pid):
        os.sched_setaffinity(pid, {cores.choose(os.sched_getaffinity(0)).server})
        for number in range(options.rounds):
            for watched in WATCHED:
                for system in ("tokentape", "naive", "resumable-stream"):
                    if watched == "at both" and system != "tokentape":
                        continue  # there to tell the way to the other process from the wait for the tick
                    found = window(system, watched, url, options)
                    if found is not None:
                        windows.append({"system": system, "watched": watched, "round": number, **found})
                        print(json.dumps(windows[-1]), flush=True)
        Probe(url).empty()
        behind = instances.measure(url, pid, seconds=options.seconds)
        Probe(url).empty()
        costs = asyncio.run(store_costs(url, events=options.events))
        version = Redis.from_url(url, protocol=2).info("server")["redis_version"]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine.describe(cores.choose(os.sched_getaffinity(0)), cores.raise_descriptors()),
        "redis": version,
        "options": {name: getattr(options, name) for name in ("runs", "rate", "seconds", "rounds", "events")},
        "windows": windows,
        "instances": behind,
        "stores": costs,
    }


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rate", type=int, default=50, help="tokens per second of each run")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=100_000, help="appends per line of the stores' cost")
    parser.add_argument("--quick", action="store_true", help="one round of a second, to see that all works")
    parser.add_argument("--report", action="store_true", help="measure nothing: REDIS.md from redis.json")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.events = 1, 1.0, 10_000
    return options


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    whole = vars(parse([])) == vars(options) | {"report": False}
    out = BENCHMARKS if whole else PARTIAL
    out.mkdir(parents=True, exist_ok=True)
    if not options.report:
        if shutil.which(os.environ.get("REDIS_SERVER") or "redis-server") is None:
            print("redis_work: no redis-server: scripts/program redis-server redis-server", file=sys.stderr)
            return 2
        found = run(options)
        (out / "redis.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    found = json.loads((out / "redis.json").read_text("utf-8"))
    (out / "REDIS.md").write_text(report(found), "utf-8")
    print(f"written: {out.relative_to(ROOT)}/redis.json, REDIS.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
