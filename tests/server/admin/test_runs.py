"""Runs as an operator sees them: how they do, what was tried, what happened when; and the end of many at once."""

import asyncio
import time

from http_rig import running_server
from scripted import FINISH, overloaded
from wire import PATIENCE

from tokentape.providers.base import Part


async def listed(rig, query: str = "") -> dict:
    reply = await rig.ask("GET", f"/v1/admin/runs?{query}")
    assert reply.status == 200, reply
    return reply.json


async def test_what_is_listed_of_a_run():
    async with running_server() as rig:
        ended = await rig.finished("a ", "b ", "c ")
        live = await rig.start("one ", "two ", metadata={"who": "me"})
        async with rig.stream(f"/v1/runs/{live}/events") as watching:
            while "two" not in (await watching.next()).data:
                pass
            found = await listed(rig)
            assert found["total"] == 2
            newest, oldest = found["runs"]
            assert (newest["id"], newest["state"], newest["tokens"], newest["watchers"]) == (live, "running", 2, 1)
            assert (newest["lag"], newest["attempts"], newest["error"], newest["reason"]) == (0, 1, None, None)
            assert newest["rate"] > 0
            assert newest["ttft_ms"] >= 0
            assert (newest["provider"], newest["stream"]) == ("scripted", f"runs/{live}")
            assert (oldest["id"], oldest["state"], oldest["tokens"], oldest["reason"]) == (ended, "done", 3, "stop")
            assert oldest["ttft_ms"] >= 0
            assert oldest["ended_at"] >= oldest["started_at"] >= oldest["created_at"]
            assert [row["id"] for row in (await listed(rig, "state=live"))["runs"]] == [live]
            assert [row["id"] for row in (await listed(rig, "state=done"))["runs"]] == [ended]
            assert (await listed(rig, "state=queued")) == {"total": 0, "runs": []}
            assert [row["id"] for row in (await listed(rig, f"q={ended[3:12].upper()}"))["runs"]] == [ended]
            assert (await listed(rig, "limit=1"))["total"] == 2


async def test_the_story_of_a_run_that_was_tried_again():
    async with running_server() as rig:
        called = Part("tool_call", {"id": "c1", "name": "weather", "arguments": "{}"})
        run = await rig.start(overloaded(retry_after=0.05), "one ", called, FINISH, metadata={"who": "me"})
        async with rig.stream(f"/v1/runs/{run}/events") as watching:
            assert await watching.rest() == "whole"
        found = (await rig.ask("GET", f"/v1/admin/runs/{run}")).json
        first, second = found["attempts"]
        assert (first["outcome"], first["error_code"], first["first_token_ms"]) == (
            "failed",
            "provider_overloaded",
            None,
        )
        assert (second["outcome"], second["error_code"], second["provider"]) == ("done", None, "scripted")
        assert second["first_token_ms"] >= 0
        assert second["started_at"] >= first["ended_at"] >= first["started_at"]
        assert [mark["kind"] for mark in found["marks"]] == ["start", "first_token", "tool", "end"]
        assert [mark["label"] for mark in found["marks"]][2:] == ["weather", "stop"]
        assert [mark["offset"] for mark in found["marks"]] == sorted(mark["offset"] for mark in found["marks"])
        assert found["usage"]["estimated"] is True
        assert found["request"]["metadata"] == {"who": "me"}
        assert found["whole"] is True
        assert "Hello" not in str(found)
        assert (await rig.ask("GET", "/v1/admin/runs/r_nothing")).status == 404


async def test_the_story_of_a_run_that_is_live_and_stopped():
    async with running_server() as rig:
        run = await rig.start("one ")
        async with rig.stream(f"/v1/runs/{run}/events") as watching:
            while "one" not in (await watching.next()).data:
                pass
            found = (await rig.ask("GET", f"/v1/admin/runs/{run}")).json
            assert [attempt["outcome"] for attempt in found["attempts"]] == ["running"]
            assert found["request"]["messages"] == 1
            await rig.ask("POST", f"/v1/runs/{run}/stop", {"reason": "enough"})
            found = (await rig.ask("GET", f"/v1/admin/runs/{run}")).json
            assert [attempt["outcome"] for attempt in found["attempts"]] == ["stopped"]
            assert [(mark["kind"], mark["label"]) for mark in found["marks"]][-2:] == [
                ("stop", "enough"),
                ("end", "stopped"),
            ]


async def test_a_watcher_who_comes_back_is_on_the_timeline():
    async with running_server() as rig:
        run = await rig.start("one ")
        async with rig.stream(f"/v1/runs/{run}/events") as watching:
            while not (event := await watching.next()).id:
                pass
        async with rig.stream(f"/v1/runs/{run}/events", Last_Event_ID=event.id) as again:
            await again.next()
            found = (await rig.ask("GET", f"/v1/admin/runs/{run}")).json
        resume = found["marks"][-1]
        assert (resume["kind"], resume["offset"]) == ("resume", int(event.id.split("-")[1]))
        assert found["started_at"] <= resume["at"] <= time.time()


async def test_a_run_on_a_channel_has_its_own_story():
    async with running_server() as rig:
        await rig.publish("room", "hello")
        run = await rig.finished("one ", channel="room")
        found = (await rig.ask("GET", f"/v1/admin/runs/{run}")).json
        assert found["request"]["channel"] == found["stream"] == "room"
        assert [mark["kind"] for mark in found["marks"]] == ["start", "first_token", "end"]


async def test_many_are_stopped_at_once():
    async with running_server() as rig:
        ended = await rig.finished("a ")
        live = [await rig.start() for _ in range(5)]
        asked = {"ids": [*live, ended, "r_nothing", live[0]], "reason": "cleaning up"}
        async with asyncio.timeout(PATIENCE):
            reply = await rig.ask("POST", "/v1/admin/runs/stop", asked)
        assert reply.status == 200, reply
        assert sorted(reply.json["stopped"]) == sorted(live)
        assert (reply.json["ended"], reply.json["unknown"]) == ([ended], ["r_nothing"])
        for run in live:
            async with rig.stream(f"/v1/runs/{run}/events") as watching:
                assert await watching.rest() == "whole"
                assert "cleaning up" in watching.events[-2].data
        assert (await rig.ask("POST", "/v1/admin/runs/stop", {"ids": []})).status == 400
        assert (await rig.ask("POST", "/v1/admin/runs/stop", {"ids": ["r"] * 1001})).status == 400
