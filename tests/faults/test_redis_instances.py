"""Two instances on one Redis: a run of one is watched at the other, whatever happens to Redis meanwhile."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis_server import RedisServer

from tokentape import Run, Tape
from tokentape.core.errors import StoreUnavailable, StreamNotFound


async def counting(count: int, pause: float) -> AsyncIterator[str]:
    for number in range(count):
        yield f"{number} "
        await asyncio.sleep(pause)


async def watch(tape: Tape, run: Run) -> str:
    """The text as a watcher of another instance sees it, up to the terminal event."""
    text, types = "", []
    async with asyncio.timeout(60):
        async for item in tape.read(run.info.stream):
            types.append(item.event.type)
            text += item.event.data if item.event.type == "token" else ""
    assert types.count("done") == 1
    return text


async def test_a_run_of_one_instance_is_watched_at_another(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with Tape(server.url) as one, Tape(server.url) as two:
            runs = [await one.record(counting(40, 0.005)) for _ in range(5)]
            texts = await asyncio.gather(*(watch(two, run) for run in runs for _ in range(3)))
            assert texts == ["".join(f"{number} " for number in range(40))] * 15


async def test_row_12_a_watcher_misses_nothing_when_redis_restarts(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always", "--save", "") as server:
        async with Tape(server.url) as one, Tape(server.url) as two:
            run = await one.record(counting(300, 0.005))
            watching = asyncio.create_task(watch(two, run))
            for how in (signal.SIGTERM, signal.SIGKILL):
                await asyncio.sleep(0.4)
                await asyncio.to_thread(server.stop, how)
                await asyncio.sleep(0.2)
                await asyncio.to_thread(server.start)
            assert await watching == "".join(f"{number} " for number in range(300))


async def test_row_13_a_watcher_is_told_when_redis_comes_back_empty(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with Tape(server.url) as one, Tape(server.url) as two:
            run = await one.record(counting(100_000, 0.05))
            watching = asyncio.create_task(watch(two, run))
            await asyncio.sleep(0.5)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            with pytest.raises(StreamNotFound):
                await watching


@pytest.mark.parametrize(("stall", "ending"), [(0.5, "stop"), (3.0, "error")])
async def test_row_15_a_stall_is_waited_out_or_said(tmp_path: Path, stall: float, ending: str) -> None:
    """Shorter than the time-out, nobody notices; longer, the run ends with an error, and what was shown was kept."""
    with RedisServer(tmp_path) as server:
        url = f"{server.url}?timeout=1"
        async with Tape(url) as one, Tape(url) as two:
            run = await one.record(counting(200, 0.01))
            shown: list[str] = []
            endings: list[dict] = []

            async def follow() -> None:
                after = "start"
                while not endings or "reason" not in endings[-1]:
                    try:
                        async for item in two.read(run.info.stream, after=after):
                            if item.event.type == "token":
                                shown.append(item.event.data)
                            elif item.event.type in ("error", "done"):
                                endings.append(item.event.data)
                            after = str(item.cursor or after)
                    except StoreUnavailable:  # it was reading at this very moment: it comes back, as clients do
                        await asyncio.sleep(0.1)

            following = asyncio.create_task(follow())
            await asyncio.sleep(0.5)
            server.signal(signal.SIGSTOP)
            await asyncio.sleep(stall)
            server.signal(signal.SIGCONT)
            async with asyncio.timeout(30):
                await following
            assert endings[-1]["reason"] == ending
            numbers = "".join(shown).split()
            assert numbers == [str(number) for number in range(len(numbers))]
            assert len(numbers) == 200 or ending == "error"
            if ending == "error":
                assert endings[0]["code"] == "store_unavailable"
            assert [item.event.type async for item in two.read(run.info.stream)].count("done") == 1
