"""P1–P4 while servers and workers are killed at random: no run is lost, none ends twice, and watchers miss nothing."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cutting import Seen, cut_sse, cut_websocket
from fleet import HELLO, Fleet, Program, fleet
from ports import free_port
from proxies import Proxy
from websockets.exceptions import InvalidHandshake

WORKERS = {"TOKENTAPE_RUNS_EXECUTE": "workers"}
MUCH = 100_000_000


class Chaos:
    """nginx before two servers, and two workers; one of these four at a time is killed and started again."""

    def __init__(self, made: Fleet, folder: Path, luck: random.Random) -> None:
        self._made = made
        self._luck = luck
        self._ports = free_port(), free_port()
        self.proxy = Proxy("nginx", folder, self._ports, tls=False)
        self.servers: list[Program] = []
        self.workers: list[Program] = []

    async def start(self) -> None:
        made = self._made
        self.servers = list(await asyncio.gather(*(made.serve(port=port, **WORKERS) for port in self._ports)))
        self.workers = list(await asyncio.gather(made.worker(50), made.worker(50)))

    async def kill(self, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(self._luck.uniform(0.2, 1))
            victim = self._luck.choice(self._luck.choice([self.servers, self.workers]))
            await victim.kill()
            await asyncio.sleep(self._luck.uniform(0, 0.5))
            await victim.start()

    async def start_run(self, number: int) -> dict[str, Any]:
        """With a key, so that it can be asked for again when the server died meanwhile."""
        body = {
            "messages": HELLO,
            "on_crash": ("restart", "interrupt")[number % 2],
            "simulated": {"rate": 60, "tokens": 40 + number * 37 % 200, "seed": 1},
        }
        headers = {"Idempotency-Key": f"run-{number}"}
        while True:
            with suppress(OSError, aiohttp.ClientError):
                async with (
                    aiohttp.ClientSession() as session,
                    session.post(f"{self.proxy.url}/v1/runs", json=body, headers=headers) as reply,
                ):
                    if reply.status in (200, 201):
                        return await reply.json()
                    assert reply.status >= 500, await reply.text()
            await asyncio.sleep(0.1)

    async def watch(self, run: dict[str, Any], seen: Seen, *, sse: bool) -> None:
        connect = (
            partial(cut_sse, self.proxy.port, f"/v1/runs/{run['id']}/events")
            if sse
            else partial(cut_websocket, self.proxy.port, f"runs/{run['id']}", merge=False)
        )
        while not seen.ended:
            with suppress(OSError, TimeoutError, InvalidHandshake):
                await connect(seen=seen, budget=MUCH)
            if not seen.ended:
                await asyncio.sleep(self._luck.uniform(0.05, 0.2))


async def one_run(chaos: Chaos, number: int, watchers: int) -> tuple[dict[str, Any], list[Seen]]:
    run = await chaos.start_run(number)
    seen = [Seen() for _ in range(watchers)]
    await asyncio.gather(*(chaos.watch(run, each, sse=place % 2 == 0) for place, each in enumerate(seen)))
    return run, seen


@pytest.mark.parametrize(
    ("runs", "kills", "watchers"),
    [
        pytest.param(12, 3, 3),
        pytest.param(50, 60, 10, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_p4_whatever_is_killed_every_run_ends_once(tmp_path: Path, runs: int, kills: int, watchers: int) -> None:
    async with fleet(tmp_path) as made:
        chaos = Chaos(made, tmp_path, random.Random(7))
        await chaos.start()
        found: list[tuple[dict[str, Any], list[Seen]]] = []
        with chaos.proxy:
            killing = asyncio.create_task(chaos.kill(kills))
            turn = 0
            while turn == 0 or not killing.done():
                found += await asyncio.gather(*(one_run(chaos, turn * runs + n, watchers) for n in range(runs)))
                turn += 1
            await killing
        server = chaos.servers[0]
        for run, watched in found:
            events = await server.events(run["id"])
            types = [event["type"] for event in events]
            assert types.count("done") == 1
            assert types.count("start") == 1 or events[-1]["data"]["reason"] == "interrupted"
            text = "".join(event["data"] for event in events if event["type"] == "token")
            last = int(events[-1]["cursor"].rpartition("-")[2])
            assert [(seen.last, seen.text()) for seen in watched] == [(last, text)] * watchers
            assert (await server.until(run["id"], state="done"))["reason"] == events[-1]["data"]["reason"]
        _, listed = await server.ask("GET", "/v1/runs?limit=1000")
        assert {run["state"] for run in listed["runs"]} == {"done"}
        assert len(listed["runs"]) == min(1000, len(found))
        print(
            f"{kills} kills, {len(found)} runs, {len(found) * watchers} watchers, "
            f"{sum(seen.cuts for _, watched in found for seen in watched)} cuts"
        )
        # Nothing is left behind: no lease, no entry of the queue, no request.
        async with asyncio.timeout(30):
            while await _left(made) != (0, 0, 0):  # noqa: ASYNC110 - Redis does not tell
                await asyncio.sleep(0.2)


async def _left(made: Fleet) -> tuple[int, int, int]:
    def count(*words: str) -> int:
        return int(made.redis.command(*words)[1:])

    pattern = "return #redis.call('KEYS', 'tape:{$requests/*}:state')"
    return count("HLEN", "tape:{leases}"), count("XLEN", "tape:{runs}:jobs"), count("EVAL", pattern, "0")
