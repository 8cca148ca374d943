"""Faults, row 19: an instance that is told to end, while another one goes on; and a rolling restart under load.

The oracle is byte equality: every watcher has exactly the records that the store has.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
from ports import free_port
from redis_server import RedisServer
from roaming import Roaming, RoamingSse, RoamingWebSocket

from tokentape.core.frames import CloseCode
from tokentape.server.stream import RECONNECT_MS
from tokentape.stores.redis import RedisStore

LIMIT = 20.0
"""Seconds in which an instance has to end after its grace, on a machine that is busy."""


class Instance:
    """`tokentape serve` on a port of its own, which it keeps when it is started anew."""

    def __init__(self, redis: RedisServer, folder: Path, *, grace: float) -> None:
        self.port = free_port()
        self._arguments = ["--port", str(self.port), "--store", redis.url, "--json"]
        self._config = folder / f"{self.port}.toml"
        self._config.write_text(f"shutdown_grace = {grace}\n")
        self._log = folder / f"{self.port}.log"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> Self:
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tokentape", "serve", *self._arguments, "--config", str(self._config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            assert await self.process.stdout.readline(), self._log.read_text()
        return self

    async def end(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Ends it; how long that took."""
        assert self.process is not None
        began = time.monotonic()
        if self.process.returncode is None:
            self.process.send_signal(how)
        assert await self.process.wait() == (0 if how is signal.SIGTERM else -how)
        assert "Traceback" not in self._log.read_text()
        return time.monotonic() - began

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


async def start_run(session: aiohttp.ClientSession, ports: Sequence[int], *, tokens: int, rate: float) -> str:
    """Starts a run wherever one may be started, as a caller does who tries again when he is asked to."""
    body = {"messages": [{"role": "user", "content": "Go"}], "simulated": {"tokens": tokens, "rate": rate}}
    key = f"{time.monotonic_ns()}"
    for port in itertools.cycle(ports):
        try:
            url = f"http://127.0.0.1:{port}/v1/runs"
            async with session.post(url, json=body, headers={"Idempotency-Key": key}) as reply:
                answer = await reply.json()
                if reply.status == 503:
                    assert answer["code"] == "shutting_down"
                    assert int(reply.headers["Retry-After"]) >= 1
                else:
                    assert reply.status == 201, answer
                    return str(answer["id"])
        except aiohttp.ClientConnectionError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError


async def publish(session: aiohttp.ClientSession, port: int, channel: str, data: Any) -> None:
    url = f"http://127.0.0.1:{port}/v1/channels/{channel}/events"
    async with session.post(url, json={"type": "test:x", "data": data}) as reply:
        assert reply.status == 201, await reply.text()


def is_done(record: bytes) -> bool:
    return b'"type":"done"' in record


def is_final(record: bytes) -> bool:
    return b'"data":"final"' in record


async def recorded(store: RedisStore, stream: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    while (page := await store.read(stream, len(found))).records:
        found += [(f"{page.epoch}-{offset}", record) for offset, record in page.records]
    return found


async def compare(redis: RedisServer, watchers: Sequence[Roaming]) -> dict[str, str]:
    """Every watcher has what is recorded: no gap, no duplicate, one terminal event. The reasons of those, by stream."""
    reasons = {}
    async with RedisStore(redis.url) as store:
        for stream in {watcher.stream for watcher in watchers}:
            truth = await recorded(store, stream)
            endings = [json.loads(record)["data"]["reason"] for _, record in truth if is_done(record)]
            if stream.startswith("runs/"):
                [reasons[stream]] = endings
            for watcher in watchers:
                if watcher.stream == stream:
                    assert watcher.records == truth
    return reasons


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not holds():  # noqa: ASYNC110 - it is a thousand sockets that tell
            await asyncio.sleep(0.05)


def watching(ports: Sequence[int], stream: str, count: int, *, first: int) -> list[Roaming]:
    """A quarter of them by WebSocket."""
    is_last = is_done if stream.startswith("runs/") else is_final
    kinds = [RoamingWebSocket, RoamingSse, RoamingSse, RoamingSse]
    return [kinds[n % 4](ports, stream, is_last=is_last, first=first) for n in range(count)]


@pytest.mark.parametrize("count", [160, pytest.param(1000, marks=pytest.mark.soak)])
async def test_row_19_an_instance_drains_and_another_takes_over(tmp_path: Path, count: int) -> None:
    """Runs that fit into the grace end as if nothing happened; the watchers of what goes on elsewhere go on there."""
    grace = 3.0
    with RedisServer(tmp_path) as redis:
        async with (
            Instance(redis, tmp_path, grace=grace) as one,
            Instance(redis, tmp_path, grace=grace) as two,
            aiohttp.ClientSession() as session,
        ):
            ports = [one.port, two.port]
            await publish(session, one.port, "room", "first")
            ends = await start_run(session, [one.port], tokens=100, rate=40)
            cut = await start_run(session, [one.port], tokens=100_000, rate=20)
            elsewhere = await start_run(session, [two.port], tokens=100_000, rate=20)
            streams = [f"runs/{ends}", f"runs/{cut}", f"runs/{elsewhere}", "room"]
            watchers = [w for stream in streams for w in watching(ports, stream, count // 4, first=0)]
            playing = [asyncio.create_task(watcher.play()) for watcher in watchers]
            await until(lambda: all(watcher.records for watcher in watchers))
            took = asyncio.create_task(one.end())
            await publish(session, two.port, "room", "while it drains")
            assert await took < grace + LIMIT
            # One move each, for those whose stream outlived the instance.
            await until(lambda: all(w.connections == 2 for w in watchers if w.stream in streams[2:]))
            await publish(session, two.port, "room", "final")
            async with session.post(f"http://127.0.0.1:{two.port}/v1/runs/{elsewhere}/stop") as reply:
                assert reply.status == 200
            async with asyncio.timeout(120):
                await asyncio.gather(*playing)
            reasons = await compare(redis, watchers)
        assert [reasons[stream] for stream in streams[:3]] == ["stop", "interrupted", "stopped"]
        _check_pauses([pause for watcher in watchers for pause in watcher.pauses], at_least=count // 2)


def _check_pauses(pauses: Sequence[float], *, at_least: int) -> None:
    """They come back spread over the whole window, and not as one."""
    low, high = (ms / 1000 for ms in RECONNECT_MS)
    assert len(pauses) >= at_least
    assert all(low <= pause <= high for pause in pauses)
    steps = 6
    spread = Counter(int((pause - low) / (high - low) * steps) for pause in pauses)
    assert max(spread.values()) < len(pauses) * 2.5 / steps, spread


@pytest.mark.parametrize(("runs", "per_run", "seconds"), [(12, 5, 5), pytest.param(40, 5, 30, marks=pytest.mark.soak)])
async def test_a_rolling_restart_under_load_loses_nothing(
    tmp_path: Path, runs: int, per_run: int, seconds: float
) -> None:
    """Each instance in turn ends and comes back, while runs are started and watched on both."""
    with RedisServer(tmp_path) as redis:
        async with (
            Instance(redis, tmp_path, grace=60) as one,
            Instance(redis, tmp_path, grace=60) as two,
            aiohttp.ClientSession() as session,
        ):
            ports = [one.port, two.port]
            watchers: list[Roaming] = []
            playing: list[asyncio.Task[None]] = []

            async def load() -> None:
                for number in range(runs):
                    run = await start_run(session, ports[number % 2 :] + ports[: number % 2], tokens=120, rate=60)
                    mine = watching(ports, f"runs/{run}", per_run, first=number)
                    watchers.extend(mine)
                    playing.extend(asyncio.create_task(watcher.play()) for watcher in mine)
                    await asyncio.sleep(seconds / runs)

            loading = asyncio.create_task(load())
            for instance in (one, two):
                await asyncio.sleep(seconds / 8)
                await instance.end()
                await instance.start()
            async with asyncio.timeout(240):
                await loading
                await asyncio.gather(*playing)
            reasons = await compare(redis, watchers)
            # Nothing had to be interrupted: the grace was long enough.
            assert [*reasons.values()] == ["stop"] * runs
            assert len(watchers) == runs * per_run


def test_the_code_of_a_drain_asks_to_come_back() -> None:
    assert 3000 <= CloseCode.DRAINING <= 3499
