"""The numbers are of what was really done, on real sockets."""

import os

from http_rig import running_server
from scripted import FINISH

TOKENS = [f"t{n} " for n in range(200)]


async def overview(rig) -> dict:
    reply = await rig.ask("GET", "/v1/admin/overview")
    assert reply.status == 200, reply
    return reply.json


async def test_a_run_with_three_watchers_is_counted_whole():
    async with running_server() as rig:
        run = await rig.start(*TOKENS, FINISH)
        async with (
            rig.stream(f"/v1/runs/{run}/events") as one,
            rig.stream(f"/v1/runs/{run}/events?merge=false") as two,
            rig.stream(f"/v1/events?stream=runs/{run}") as three,
        ):
            for stream in (one, two, three):
                assert await stream.rest() == "whole"
        seen = await overview(rig)
        totals = seen["totals"]
        assert totals["runs"] == 1
        assert totals["tokens"] == 200
        # The start, the tokens, what they used, and the end: to each of three, merged or not.
        assert totals["delivered"] == 3 * 203
        assert totals["bytes_out"] > 3 * sum(map(len, TOKENS))
        assert sum(totals["resumes"].values()) == 3
        assert totals["reconnects"] == totals["aborted"] == 0
        assert seen["pid"] == os.getpid()
        assert seen["store"] == {"kind": "memory", "url": ""}
        assert seen["streams"] == 1
        assert seen["runs"] == {"live": 0, "queued": 0}
