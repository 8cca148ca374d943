"""Fault 1: connections reset at random bytes, a thousand resumes; P1 and P2 over SSE and WebSocket."""

import asyncio
import random
from functools import partial

import pytest
from cutting import Seen, cut_sse, cut_websocket
from served import Served

RESUMES = 1000
WATCHERS = 10


@pytest.mark.parametrize("merge", [True, False], ids=["merged", "as-recorded"])
@pytest.mark.parametrize("transport", ["sse", "websocket"])
@pytest.mark.timeout(240)
async def test_a_thousand_resumes_lose_and_repeat_nothing(tmp_path, transport: str, merge: bool) -> None:
    await _resume(RESUMES, tmp_path, transport=transport, merge=merge)


@pytest.mark.soak
@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_twenty_thousand_resumes(tmp_path, transport: str) -> None:
    await _resume(20 * RESUMES, tmp_path, transport=transport, merge=True)


async def _resume(resumes: int, tmp_path, *, transport: str, merge: bool) -> None:
    luck = random.Random(f"{transport}{merge}")
    cuts = 0
    async with Served(tmp_path / "tape.db") as server, server.client() as client:
        while cuts < resumes:
            pace = {"rate": 400, "tokens": 400, "seed": cuts}
            run = await client.start({"messages": [{"role": "user", "content": "Go on"}], "simulated": pace})
            if transport == "sse":
                path = f"/v1/runs/{run.id}/events?merge={str(merge).lower()}"
                connect = partial(cut_sse, server.port, path)
            else:
                connect = partial(cut_websocket, server.port, run.stream, merge=merge)
            watchers = await asyncio.gather(
                *(_watch_to_the_end(connect, random.Random(luck.random())) for _ in range(WATCHERS))
            )
            truth = [(i.cursor.offset, i.event) async for i in client.watch(run.stream, merge=False) if i.cursor]
            text = "".join(event.data for _, event in truth if event.type == "token")
            for seen in watchers:
                cuts += seen.cuts
                assert seen.last == truth[-1][0]
                assert seen.events[-1][1]["type"] == "done"
                assert seen.text() == text
                if not merge:
                    assert [offset for offset, _ in seen.events] == [offset for offset, _ in truth]


async def _watch_to_the_end(connect, luck: random.Random) -> Seen:
    seen = Seen()
    fruitless = 0
    while not seen.ended:
        # Small enough to be cut in the middle of anything; larger when one merged event did not fit.
        before = len(seen.events)
        await connect(seen=seen, budget=luck.randint(1, 2500) + 500 * fruitless)
        fruitless = fruitless + 1 if len(seen.events) == before else 0
    return seen
