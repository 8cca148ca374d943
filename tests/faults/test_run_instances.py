"""Rows 8 to 11: instances on one Redis, killed, frozen and cut off; the oracle is what is recorded (P1–P4, P6, P7)."""

from __future__ import annotations

import asyncio
import random
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cutting import Seen, cut_sse, cut_websocket
from fleet import Program, fleet, kinds

WATCHERS = 4
MUCH = 100_000_000


async def watching(
    servers: list[Program], run: dict[str, Any], *, count: int = WATCHERS
) -> list[tuple[Seen, asyncio.Task[None]]]:
    """Watchers over both protocols, which reconnect to the next server whenever they are cut."""
    ports = [server.port for server in servers]

    async def watch(seen: Seen, number: int) -> None:
        turn = number // 2
        while not seen.ended:
            port = ports[turn % len(ports)]
            turn += 1
            connect = (
                partial(cut_sse, port, f"/v1/runs/{run['id']}/events")
                if number % 2
                else partial(cut_websocket, port, f"runs/{run['id']}", merge=False)
            )
            try:
                await connect(seen=seen, budget=MUCH)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.02 + random.random() / 50)

    seen = [Seen() for _ in range(count)]
    return [(each, asyncio.create_task(watch(each, number))) for number, each in enumerate(seen)]


def text(events: list[dict[str, Any]]) -> str:
    return "".join(event["data"] for event in events if event["type"] == "token")


async def all_saw(watchers: list[tuple[Seen, asyncio.Task[None]]], events: list[dict[str, Any]]) -> None:
    """Each watcher has what is recorded, no more and no less."""
    async with asyncio.timeout(40):
        await asyncio.gather(*(task for _, task in watchers))
    last = int(events[-1]["cursor"].rpartition("-")[2])
    for seen, _ in watchers:
        assert (seen.last, seen.text()) == (last, text(events))
        assert [event["type"] for _, event in seen.events].count("done") == 1


async def test_what_one_instance_does_the_other_knows(tmp_path: Path) -> None:
    async with fleet(tmp_path) as made:
        one, two = await asyncio.gather(made.serve(), made.serve())
        run = await one.start_run(key="k", tokens=100_000)
        # At once, not a moment later.
        assert (await two.run(run["id"]))["id"] == run["id"]
        again = await two.start_run(key="k", tokens=100_000)
        assert (again["id"], again["cursor"]) == (run["id"], run["cursor"])
        assert [found["id"] for found in (await two.ask("GET", "/v1/runs"))[1]["runs"]] == [run["id"]]
        await two.until(run["id"], state="running")
        async with asyncio.timeout(1):
            status, stopped = await two.ask("POST", f"/v1/runs/{run['id']}/stop", {"reason": "tired"})
        assert (status, stopped["state"], stopped["reason"]) == (200, "done", "stopped")
        assert (await one.events(run["id"]))[-1]["data"]["detail"] == "tired"

        first = await one.start_run(tokens=100_000, channel="room")
        await two.until(first["id"], state="running")
        second = await two.start_run(tokens=3, rate=0, channel="room", replaces=first["id"])
        events = await one.events(second["id"])
        assert events[0]["data"]["replaces"] == first["id"]
        assert (await one.run(first["id"]))["reason"] == "stopped"


@pytest.mark.timeout(120)
async def test_row_8_watchers_of_a_killed_instance_resume_at_another(tmp_path: Path) -> None:
    async with fleet(tmp_path) as made:
        one, two, three = await asyncio.gather(made.serve(), made.serve(), made.serve())
        run = await one.start_run(rate=200, tokens=400)
        watchers = await watching([two, three], run, count=8)
        async with asyncio.timeout(30):
            await asyncio.gather(*(seen.until(50) for seen, _ in watchers))
        await two.kill()
        events = await one.events(run["id"])
        assert kinds(events) == ["start", "token", "usage", "done"]
        await all_saw(watchers, events)
        assert sum(seen.cuts > 0 for seen, _ in watchers) >= 4


@pytest.mark.timeout(120)
@pytest.mark.parametrize("on_crash", ["interrupt", "restart"])
async def test_row_9_a_killed_instance_leaves_no_run_open(tmp_path: Path, on_crash: str) -> None:
    async with fleet(tmp_path) as made:
        one, two, three = await asyncio.gather(made.serve(), made.serve(), made.serve())
        runs = [
            await one.start_run(on_crash=on_crash, channel=channel, rate=100, tokens=200)
            for channel in (None, None, "room-1", "room-2")
        ]
        watchers = [await watching([one, two], run) for run in runs]
        async with asyncio.timeout(30):
            await asyncio.gather(*(seen.until(30) for some in watchers for seen, _ in some))
        await one.kill()
        loop = asyncio.get_running_loop()
        died = loop.time()
        for run, some in zip(runs, watchers, strict=True):
            events = await three.events(run["id"])
            if on_crash == "restart":
                assert kinds(events) == ["start", "token", "reset", "token", "usage", "done"]
                assert (await two.until(run["id"], state="done"))["attempt"] == 2
            else:
                assert kinds(events) == ["start", "token", "done"]
                assert events[-1]["data"] == {"reason": "interrupted", "detail": "process_died"}
                assert loop.time() - died < 2 + 3, "the time of a lease, and a little more"
            await all_saw(some, events)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("on_crash", ["interrupt", "restart"])
async def test_row_10_a_frozen_writer_is_fenced_off(tmp_path: Path, on_crash: str) -> None:
    async with fleet(tmp_path) as made:
        one, two = await asyncio.gather(made.serve(), made.serve())
        run = await one.start_run(on_crash=on_crash, rate=100, tokens=250)
        watchers = await watching([two], run)
        async with asyncio.timeout(30):
            await asyncio.gather(*(seen.until(20) for seen, _ in watchers))
        one.signal(signal.SIGSTOP)
        if on_crash == "restart":
            await two.until(run["id"], attempt=2, state="running")
        else:
            await two.until(run["id"], state="done")
        one.signal(signal.SIGCONT)
        events = await two.events(run["id"])
        expected = ["start", "token", "reset", "token", "usage", "done"]
        assert kinds(events) == (expected if on_crash == "restart" else ["start", "token", "done"])
        await all_saw(watchers, events)
        # It goes on serving, and knows what became of the run.
        assert (await one.until(run["id"], state="done"))["reason"] == events[-1]["data"]["reason"]
        assert await one.events(run["id"]) == events


@pytest.mark.timeout(120)
async def test_row_11_what_nobody_was_told_of_is_delivered_from_the_log(tmp_path: Path) -> None:
    """The instance that recorded it is killed, and the wake-ups for all of it are lost with a connection."""
    async with fleet(tmp_path) as made:
        one, two = await asyncio.gather(made.serve(), made.serve())
        run = await one.start_run(rate=200, tokens=100_000)
        watchers = await watching([two], run)
        async with asyncio.timeout(30):
            await asyncio.gather(*(seen.until(20) for seen, _ in watchers))
        two.signal(signal.SIGSTOP)
        made.redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        seen = max(seen.last for seen, _ in watchers)
        log = f"tape:{{{run['stream']}}}:log"
        async with asyncio.timeout(30):
            while int(made.redis.command("XLEN", log)[1:]) < seen + 200:  # noqa: ASYNC110 - Redis tells the frozen one
                await asyncio.sleep(0.05)
        await one.kill()
        two.signal(signal.SIGCONT)
        events = await two.events(run["id"])
        assert len(events) > seen + 200
        assert events[-1]["data"] == {"reason": "interrupted", "detail": "process_died"}
        await all_saw(watchers, events)


@pytest.mark.timeout(120)
async def test_row_13_runs_go_on_when_redis_has_lost_them_all(tmp_path: Path) -> None:
    async with fleet(tmp_path) as made:
        one, two = await asyncio.gather(made.serve(), made.serve())
        lost = await one.start_run(tokens=100_000)
        await two.until(lost["id"], state="running")
        await asyncio.to_thread(made.redis.stop, signal.SIGKILL)
        await asyncio.to_thread(made.redis.start)
        async with asyncio.timeout(30):
            while (status := (await one.ask("GET", "/readyz"))[0]) != 200:
                assert status == 503
                await asyncio.sleep(0.1)
        run = await one.start_run(rate=0, tokens=3)
        assert kinds(await two.events(run["id"])) == ["start", "token", "usage", "done"]
        assert (await two.until(run["id"], state="done"))["reason"] == "stop"
        # The lost one has an end, too, wherever one asks.
        for server in (one, two):
            assert (await server.until(lost["id"], state="done"))["reason"] in ("interrupted", "error")


@pytest.mark.timeout(120)
async def test_p4_an_instance_that_ends_hands_over_what_may_be_restarted(tmp_path: Path) -> None:
    async with fleet(tmp_path, TOKENTAPE_SHUTDOWN_GRACE="300ms") as made:
        one, two = await asyncio.gather(made.serve(), made.serve())
        runs = [await one.start_run(on_crash=on_crash, tokens=200) for on_crash in ("restart", "interrupt")]
        watchers = [await watching([one, two], run) for run in runs]
        async with asyncio.timeout(30):
            await asyncio.gather(*(seen.until(20) for some in watchers for seen, _ in some))
        assert await one.end() == 0, one.log()
        again, once = [await two.events(run["id"]) for run in runs]
        assert kinds(again) == ["start", "token", "reset", "token", "usage", "done"]
        assert once[-1]["data"]["reason"] == "interrupted"
        for some, events in zip(watchers, (again, once), strict=True):
            await all_saw(some, events)
