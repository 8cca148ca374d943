"""The numbers are of what was really done, on real sockets."""

import asyncio
import json
import os
from itertools import pairwise

import pytest
from http_rig import running_server
from scripted import FINISH
from wire import PATIENCE

from tokentape.server.admin.overview import without_password
from tokentape.server.admin.sampler import KEPT

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


def change(samples: list[dict], name: str) -> list[float]:
    """What happened between samples, of something that they give per second."""
    return [after[name] * (after["at"] - before["at"]) for before, after in pairwise(samples)]


async def test_a_sample_comes_each_second_and_the_newest_at_once():
    async with running_server() as rig:
        run = await rig.start("one ")
        async with rig.stream(f"/v1/runs/{run}/events") as watching, rig.stream("/v1/admin/metrics/live") as live:
            await watching.next()
            first = json.loads((await live.next()).data)
            seen = [json.loads((await live.next()).data)]
            assert first["at"] <= seen[0]["at"]
            rig.provider.say(*TOKENS)
            while len(seen) < 3 or sum(change(seen, "tokens")) < 199:
                seen.append(json.loads((await live.next()).data))
            assert sum(change(seen, "tokens")) == pytest.approx(200, abs=1)
            assert sum(change(seen, "delivered")) == pytest.approx(200, abs=1)
            # A second each; one that is late on a busy machine is followed by the next one in its time.
            assert 0.5 * (len(seen) - 1) < seen[-1]["at"] - seen[0]["at"] < 3 * (len(seen) - 1)
            newest = seen[-1]
            assert (newest["watchers"], newest["runs"]) == (1, 1)
            assert newest["connections"] >= 3
            assert newest["memory"] > 10_000_000
            assert 0 <= newest["cpu"] < 8
            for name in ("delivery", "ttft", "inter_token"):
                spread = newest[name]
                assert spread["count"] > 0
                assert 0 < spread["p50"] <= spread["p90"] <= spread["p99"] < 10_000
        kept = (await rig.ask("GET", "/v1/admin/metrics")).json
        assert kept["interval"] == 1
        assert [sample["at"] for sample in kept["samples"]][-len(seen) :] == [sample["at"] for sample in seen]
        newest = (await rig.ask("GET", "/v1/admin/metrics?last=1")).json["samples"]
        assert newest == [kept["samples"][-1]] or newest[0]["at"] > kept["samples"][-1]["at"]
        assert rig.app.state.admin.sampler.samples.maxlen == KEPT == 600


async def test_a_quiet_second_has_no_percentiles():
    async with running_server() as rig:
        seen = await overview(rig)
        assert seen["sample"]["delivery"] == {"count": 0, "p50": None, "p90": None, "p99": None}


async def test_connections_are_told_apart_and_forgotten():
    async with running_server() as rig:
        before = (await overview(rig))["connections"]
        assert before == {"sse": 0, "websocket": 0, "http": 1}
        async with (
            rig.stream("/v1/channels/room/events"),
            rig.session.ws_connect(f"{rig.url}/v1/ws"),
            rig.wire() as idle,
        ):
            idle.ask("/healthz")
            await idle.reply()
            async with asyncio.timeout(PATIENCE):
                while (await overview(rig))["connections"] != {"sse": 1, "websocket": 1, "http": 2}:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)
        async with asyncio.timeout(PATIENCE):
            while (await overview(rig))["connections"] != before:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)


async def test_who_comes_back_is_counted_as_such():
    async with running_server() as rig:
        run = await rig.start("one ", "two ")
        async with rig.stream(f"/v1/runs/{run}/events?merge=false") as watching:
            while (event := await watching.next()).id == "" or "two" not in event.data:
                pass
        await rig.nobody_watches()
        async with rig.stream(f"/v1/runs/{run}/events", Last_Event_ID=event.id) as watching:
            await watching.next()
        totals = (await overview(rig))["totals"]
        assert totals["reconnects"] == 1
        assert totals["resumes"] == {"replayed": 1, "snapshot": 0, "live": 1, "gone": 0}
        await rig.nobody_watches()
        assert (await overview(rig))["totals"]["aborted"] == 2


@pytest.mark.parametrize(
    "settings", [{"admin__enabled": "off"}, {"hosts": ["tape.example"]}, {"auth__delegated": True}]
)
async def test_it_is_off_where_others_may_come_in(settings):
    async with running_server(**settings) as rig:
        for path in ("overview", "metrics", "metrics/live", "runs", "streams", "crowd"):
            reply = await rig.ask("GET", f"/v1/admin/{path}")
            assert (reply.status, reply.json["code"]) == (404, "admin_off")
            assert "admin.enabled" in reply.json["detail"]
        assert not rig.app.state.admin.sampler.samples


async def test_it_needs_a_key_where_there_are_keys():
    async with running_server(auth__api_keys=["secret"]) as rig:
        assert (await rig.ask("GET", "/v1/admin/overview")).status == 401
        assert (await rig.ask("GET", "/v1/admin/overview", Authorization="Bearer secret")).status == 200


async def test_mounted_it_is_on_only_when_told_so():
    async with running_server(mount="/tape") as rig:
        assert (await rig.ask("GET", "/tape/v1/admin/overview")).status == 404


async def test_live_numbers_end_with_the_server():
    async with running_server() as rig, rig.stream("/v1/admin/metrics/live") as live:
        await live.next()
        await rig.end()
        assert await live.rest() == "whole"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@host:6379/0", "redis://user:***@host:6379/0"),
        ("redis://:secret@host", "redis://:***@host"),
        ("redis://user@host", "redis://user@host"),
        ("redis+sentinel://u:p%40@a,b:1/s?sentinel_user=x&sentinel_password=y&db=1",
         "redis+sentinel://u:***@a,b:1/s?sentinel_user=x&sentinel_password=***&db=1"),
        ("sqlite:///tape.db?durability=full", "sqlite:///tape.db?durability=full"),
        ("memory://", "memory://"),
    ],
)  # fmt: skip
def test_a_store_is_shown_without_its_password(url, shown):
    assert without_password(url) == shown
