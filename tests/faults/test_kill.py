"""P2, P3 and P4 when the server is killed: whoever watched resumes exactly, and every run has one ending."""

import asyncio
import random
from functools import partial

import pytest
from cutting import Seen, cut_sse, cut_websocket
from served import Served

KILLS = 5
WATCHERS = 4


@pytest.mark.timeout(120)
async def test_sigkill_in_mid_run_loses_nothing_that_was_shown(tmp_path) -> None:
    luck = random.Random(9)
    async with Served(tmp_path / "tape.db") as server, server.client() as client:
        for _ in range(KILLS):
            pace = {"rate": 500, "tokens": 100_000, "seed": 1}
            run = await client.start({"messages": [{"role": "user", "content": "Go on"}], "simulated": pace})
            port = server.port
            watchers = [Seen() for _ in range(WATCHERS)]
            connect = [
                partial(cut_sse, port, f"/v1/runs/{run.id}/events"),
                partial(cut_websocket, port, run.stream, merge=False),
            ]
            watching = [
                asyncio.create_task(_watch(connect[n % 2], seen, random.Random(n))) for n, seen in enumerate(watchers)
            ]
            shown = luck.randint(20, 200)
            async with asyncio.timeout(20):
                await asyncio.gather(*(seen.until(shown) for seen in watchers))
            await server.kill()
            await server.start()
            await asyncio.gather(*watching)
            truth = [(i.cursor.offset, i.event) async for i in client.watch(run.stream, merge=False) if i.cursor]
            assert [event.type for _, event in truth].count("done") == 1
            assert truth[-1][1].data == {"reason": "interrupted", "detail": "process_died"}
            text = "".join(event.data for _, event in truth if event.type == "token")
            for seen in watchers:
                assert (seen.last, seen.text()) == (truth[-1][0], text)


async def _watch(connect, seen: Seen, luck: random.Random) -> None:
    while not seen.ended:
        try:
            await connect(seen=seen, budget=luck.randint(1, 200_000))
        except OSError:
            await asyncio.sleep(0.01)  # it is down: a client's pause before it tries again
