"""Workers as processes of their own: they take runs, die, freeze and end, and every run has one ending (P4, P7)."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cutting import Seen, cut_sse
from fleet import Fleet, Program, fleet, kinds

WORKERS = {"TOKENTAPE_RUNS_EXECUTE": "workers"}


async def started(made: Fleet, *, workers: int, concurrency: int = 10) -> tuple[Program, list[Program]]:
    server, *others = await asyncio.gather(made.serve(**WORKERS), *(made.worker(concurrency) for _ in range(workers)))
    return server, others


@pytest.mark.timeout(120)
async def test_workers_take_runs_as_far_as_they_have_room(tmp_path: Path) -> None:
    async with fleet(tmp_path) as made:
        server, workers = await started(made, workers=2, concurrency=2)
        assert [worker.told["concurrency"] for worker in workers] == [2, 2]
        slow = [await server.start_run(tokens=100_000) for _ in range(4)]
        await asyncio.gather(*(server.until(run["id"], state="running") for run in slow))
        waiting = [await server.start_run(tokens=5, rate=0) for _ in range(3)]
        await asyncio.sleep(0.5)  # as long as a worker with room would need many times over
        assert [(await server.run(run["id"])).get("position") for run in waiting] == [0, 1, 2]
        positions: asyncio.Queue[int] = asyncio.Queue()
        watching = asyncio.create_task(told(server, waiting[2]["id"], positions))
        async with asyncio.timeout(30):
            assert await positions.get() == 2
            # One that waits ends at once, and whoever stands behind it is told.
            assert (await server.ask("POST", f"/v1/runs/{waiting[0]['id']}/stop"))[1]["reason"] == "stopped"
            assert await positions.get() == 1
            await server.ask("POST", f"/v1/runs/{slow[0]['id']}/stop")
            await watching
        for run in waiting[1:]:
            assert kinds(await server.events(run["id"])) == ["start", "token", "usage", "done"]
        for run in slow[1:]:
            assert (await server.ask("POST", f"/v1/runs/{run['id']}/stop"))[1]["reason"] == "stopped"


async def told(server: Program, run_id: str, positions: asyncio.Queue[int]) -> None:
    """Takes the positions that a watcher of a run is told, until it begins."""
    after = "start"
    while True:
        _, page = await server.ask("GET", f"/v1/runs/{run_id}/events?wait=10&from={after}", Accept="application/json")
        after = page["cursor"]
        for event in page["events"]:
            if event["type"] == "status":
                assert event["data"]["state"] == "queued"
                positions.put_nowait(event["data"]["position"])
            elif event["type"] == "start":
                return


@pytest.mark.timeout(120)
async def test_row_9_a_killed_worker_leaves_no_run_open(tmp_path: Path) -> None:
    async with fleet(tmp_path) as made:
        server, [one] = await started(made, workers=1)
        again = [await server.start_run(on_crash="restart", tokens=150) for _ in range(3)]
        once = [await server.start_run(tokens=150) for _ in range(3)]
        await asyncio.gather(*(server.until(run["id"], state="running") for run in again + once))
        await one.kill()
        await made.worker()
        for run in again:
            assert kinds(await server.events(run["id"]))[-3:] == ["token", "usage", "done"]
            assert "reset" in kinds(await server.events(run["id"]))
        for run in once:
            assert (await server.events(run["id"]))[-1]["data"]["reason"] == "interrupted"


@pytest.mark.timeout(120)
async def test_row_9_somebody_at_a_terminal_sees_the_run_begin_again(tmp_path: Path) -> None:
    async with fleet(tmp_path) as made:
        server, workers = await started(made, workers=2)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tokentape", "send", "--url", server.told["url"], "--on-crash", "restart",
            "--simulated", "rate=100,tokens=200,seed=1", "Hello",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(60):
            begun = await process.stdout.read(1)
            _, listed = await server.ask("GET", "/v1/runs?state=running")
            [run] = listed["runs"]
            await workers[0].kill()
            await workers[1].kill()
            await workers[0].start()
            out, err = await process.communicate()
        events = await server.events(run["id"])
        again = next(place for place, event in enumerate(events) if event["type"] == "reset")
        text = "".join(event["data"] for event in events[again:] if event["type"] == "token")
        assert process.returncode == 0
        assert (begun + out).decode().rstrip().endswith(text.rstrip())
        assert "the answer starts anew (restarted)" in err.decode()


@pytest.mark.timeout(120)
async def test_row_10_a_frozen_worker_is_fenced_off(tmp_path: Path) -> None:
    async with fleet(tmp_path) as made:
        server, [one] = await started(made, workers=1)
        run = await server.start_run(on_crash="restart", tokens=150)
        await server.until(run["id"], state="running")
        one.signal(signal.SIGSTOP)
        await made.worker()
        await server.until(run["id"], attempt=2, state="running")
        one.signal(signal.SIGCONT)
        events = await server.events(run["id"])
        assert kinds(events) in (
            ["start", "token", "reset", "token", "usage", "done"],
            ["start", "reset", "token", "usage", "done"],  # frozen before its first token
        )
        # The frozen one works on as if nothing had been.
        assert kinds(await server.events((await server.start_run(tokens=5))["id"]))[-1] == "done"


@pytest.mark.timeout(120)
async def test_a_worker_that_ends_hands_over_and_finishes(tmp_path: Path) -> None:
    async with fleet(tmp_path) as made:
        server, [one] = await started(made, workers=1)
        await one.kill()
        one = await made.worker(TOKENTAPE_SHUTDOWN_GRACE="1s")
        short = await server.start_run(tokens=80)
        again = await server.start_run(on_crash="restart", tokens=250)
        once = await server.start_run(tokens=250)
        for run in (short, again, once):
            await server.until(run["id"], state="running")
        late, code = await asyncio.gather(_start_late(server), one.end())
        assert code == 0, one.log()
        assert (await server.run(short["id"]))["reason"] == "stop"
        assert (await server.events(once["id"]))[-1]["data"]["detail"] == "shutdown"
        assert (await server.run(again["id"]))["state"] == "queued"
        await made.worker()
        assert kinds(await server.events(again["id"])) == ["start", "token", "reset", "token", "usage", "done"]
        assert kinds(await server.events(late["id"])) == ["start", "token", "usage", "done"]


async def _start_late(server: Program) -> dict:
    await asyncio.sleep(0.3)
    return await server.start_run(tokens=5)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("everything", [False, True], ids=["redis", "everything"])
async def test_row_15_a_stall_longer_than_a_lease_ends_no_run(tmp_path: Path, everything: bool) -> None:
    async with fleet(tmp_path) as made:
        server, workers = await started(made, workers=2)
        policies = ("interrupt", "restart", "interrupt")
        runs = [await server.start_run(on_crash=policy, tokens=800) for policy in policies]
        await asyncio.gather(*(server.until(run["id"], state="running") for run in runs))
        stalled = [made.redis, server, *workers] if everything else [made.redis]
        for part in reversed(stalled):
            part.signal(signal.SIGSTOP)
        await asyncio.sleep(3)
        for part in stalled:
            part.signal(signal.SIGCONT)
            # Time for the server to find, before the workers can do anything, that all their leases have run out.
            await asyncio.sleep(0.1 if part is made.redis else 0.3)
        for run in runs:
            assert kinds(await server.events(run["id"])) == ["start", "token", "usage", "done"]


@pytest.mark.timeout(120)
async def test_row_26_watchers_at_a_server_keep_a_run_of_a_worker_alive(tmp_path: Path) -> None:
    async with fleet(tmp_path) as made:
        server, _ = await started(made, workers=1)
        run = await server.start_run(tokens=100_000, on_no_watchers={"stop_after": 2.5})
        seen = Seen()
        watching = asyncio.create_task(cut_sse(server.port, f"/v1/runs/{run['id']}/events", seen, budget=100_000_000))
        await asyncio.sleep(4)
        assert (await server.run(run["id"]))["state"] == "running"
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert (await server.until(run["id"], state="done"))["reason"] == "stopped"


@pytest.mark.timeout(120)
async def test_runs_that_wait_survive_a_restart_of_redis(tmp_path: Path) -> None:
    durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
    async with fleet(tmp_path, *durable) as made:
        server, workers = await started(made, workers=1, concurrency=1)
        runs = [await server.start_run(rate=0, tokens=3) for _ in range(3)]
        for run in runs:
            await server.events(run["id"])
        await workers[0].kill()
        waiting = [await server.start_run(rate=0, tokens=3) for _ in range(3)]
        await asyncio.to_thread(made.redis.stop, signal.SIGKILL)
        await asyncio.to_thread(made.redis.start)
        # An entry of the queue is a hint: without any, the runs are found all the same.
        made.redis.command("DEL", "tape:{runs}:jobs")
        await made.worker(2)
        for run in waiting:
            assert kinds(await server.events(run["id"])) == ["start", "token", "usage", "done"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["worker", "--store", "memory://"], "redis://"),
        (["worker", "--store", "sqlite:///tape.db"], "redis://"),
        (["serve", "--port", "0", "--store", "memory://"], "inline"),
        (["worker", "--store", "redis://127.0.0.1:1/0"], "cannot be reached"),
        (["worker", "--concurrency", "0"], "--concurrency"),
    ],
)
def test_a_store_that_cannot_be_shared_is_refused(tmp_path: Path, arguments: list[str], words: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tokentape", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", **WORKERS},
    )
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
