"""P1–P4 while servers and workers are killed at random: no run is lost, none ends twice, and watchers miss nothing."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cutting import Seen, cut_sse, cut_websocket
from fleet import Fleet, Program, fleet

WORKERS = {"TOKENTAPE_RUNS_EXECUTE": "workers"}
MUCH = 100_000_000


class Chaos:
    """Two servers and two workers, of which one at a time is killed and started again."""

    def __init__(self, made: Fleet, luck: random.Random) -> None:
        self._made = made
        self._luck = luck
        self.servers: list[Program] = []
        self.workers: list[Program] = []
        self.kills = 0

    async def start(self) -> None:
        made = self._made
        self.servers = list(await asyncio.gather(made.serve(**WORKERS), made.serve(**WORKERS)))
        self.workers = list(await asyncio.gather(made.worker(50), made.worker(50)))

    async def kill(self, kills: int) -> None:
        while self.kills < kills:
            await asyncio.sleep(self._luck.uniform(0.2, 1))
            victim = self._luck.choice(self._luck.choice([self.servers, self.workers]))
            await victim.kill()
            self.kills += 1
            await asyncio.sleep(self._luck.uniform(0, 0.5))
            await victim.start()

    async def start_run(self, number: int) -> dict[str, Any]:
        """With a key, so that it can be asked for again when the server died meanwhile."""
        on_crash = ("restart", "interrupt")[number % 2]
        while True:
            server = self._luck.choice(self.servers)
            try:
                return await server.start_run(
                    key=f"run-{number}", on_crash=on_crash, rate=40, tokens=40 + number * 37 % 200
                )
            except (OSError, aiohttp.ClientError):
                await asyncio.sleep(0.1)

    async def watch(self, run: dict[str, Any], seen: Seen, *, sse: bool) -> None:
        while not seen.ended:
            port = self._luck.choice(self.servers).port
            connect = (
                partial(cut_sse, port, f"/v1/runs/{run['id']}/events")
                if sse
                else partial(cut_websocket, port, f"runs/{run['id']}", merge=False)
            )
            try:
                await connect(seen=seen, budget=MUCH)
            except (OSError, TimeoutError):
                await asyncio.sleep(self._luck.uniform(0.05, 0.2))


async def one_run(chaos: Chaos, number: int, watchers: int) -> tuple[dict[str, Any], list[Seen]]:
    run = await chaos.start_run(number)
    seen = [Seen() for _ in range(watchers)]
    await asyncio.gather(*(chaos.watch(run, each, sse=place % 2 == 0) for place, each in enumerate(seen)))
    return run, seen


@pytest.mark.parametrize(
    ("runs", "kills", "watchers"),
    [
        pytest.param(12, 5, 3, marks=pytest.mark.timeout(120)),
        pytest.param(50, 50, 10, marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
async def test_p4_whatever_is_killed_every_run_ends_once(tmp_path: Path, runs: int, kills: int, watchers: int) -> None:
    async with fleet(tmp_path) as made:
        chaos = Chaos(made, random.Random(7))
        await chaos.start()
        killing = asyncio.create_task(chaos.kill(kills))
        found: list[tuple[dict[str, Any], list[Seen]]] = []
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
        assert len(listed["runs"]) == len(found)
        # Nothing is left behind: no lease, no entry of the queue, no request.
        async with asyncio.timeout(30):
            while await _left(made) != (0, 0, 0):  # noqa: ASYNC110 - Redis does not tell
                await asyncio.sleep(0.2)


async def _left(made: Fleet) -> tuple[int, int, int]:
    def count(*words: str) -> int:
        return int(made.redis.command(*words)[1:])

    pattern = "return #redis.call('KEYS', 'tape:{$requests/*}:state')"
    return count("HLEN", "tape:{leases}"), count("XLEN", "tape:{runs}:jobs"), count("EVAL", pattern, "0")
