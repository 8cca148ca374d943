"""Long-poll: the same events, the same positions (P1, P2)."""

import asyncio
import json

from http_rig import FINISH, HELLO, running_server


async def poll(rig, path: str, position: str | None = None, **query):
    given = {**query, **({"from": position} if position else {})}
    reply = await rig.ask("GET", path + "?" + "&".join(f"{k}={v}" for k, v in given.items()), Accept="application/json")
    assert reply.status == 200, reply
    return reply.json


async def test_what_is_there_comes_at_once():
    async with running_server() as rig:
        run = await rig.finished("a", "b")
        page = await poll(rig, f"/v1/runs/{run}/events", merge="false")
        assert [e["type"] for e in page["events"]] == ["start", "token", "token", "usage", "done"]
        assert [e["cursor"].partition("-")[2] for e in page["events"]] == ["1", "2", "3", "4", "5"]
        assert page["outcome"] == "replayed"
        assert page["ended"] is True
        assert page["cursor"] == page["events"][-1]["cursor"]


async def test_merging_is_as_on_a_stream():
    async with running_server() as rig:
        run = await rig.finished("a", "b")
        page = await poll(rig, f"/v1/runs/{run}/events")
        assert [e["data"] for e in page["events"] if e["type"] == "token"] == ["ab"]


async def test_polling_by_cursors_gets_everything_once():
    async with running_server() as rig:
        run = await rig.start()
        seen, cursor, ended = [], None, False
        for step in ["a", "b", None, "c", FINISH]:
            if step is not None:
                rig.provider.say(step)
            page = await poll(rig, f"/v1/runs/{run}/events", cursor, wait="0.2", merge="false")
            seen += page["events"]
            cursor, ended = page["cursor"], page["ended"]
        while not ended:
            page = await poll(rig, f"/v1/runs/{run}/events", cursor, wait="5", merge="false")
            seen += page["events"]
            cursor, ended = page["cursor"], page["ended"]
        assert [e["type"] for e in seen] == ["start", "token", "token", "token", "usage", "done"]
        assert [int(e["cursor"].partition("-")[2]) for e in seen] == [1, 2, 3, 4, 5, 6]
        again = await poll(rig, f"/v1/runs/{run}/events", cursor, wait="5")
        assert (again["events"], again["ended"], again["cursor"]) == ([], True, cursor)


async def test_it_waits_for_what_comes():
    async with running_server() as rig:
        first = await poll(rig, "/v1/channels/room/events", wait="0")
        assert (first["events"], first["outcome"], first["ended"]) == ([], "live", False)
        waiting = asyncio.create_task(poll(rig, "/v1/channels/room/events", first["cursor"], wait="30"))
        await rig.somebody_watches()
        await rig.publish("room", {"hello": 1})
        page = await waiting
        assert page["events"][0]["data"] == {"hello": 1}
        assert page["cursor"] == page["events"][0]["cursor"]
        await rig.nobody_watches()


async def test_nothing_within_the_wait_is_an_empty_page():
    async with running_server() as rig:
        page = await poll(rig, "/v1/channels/room/events", wait="0.05")
        assert page["events"] == []
        assert page["ended"] is False
        await rig.nobody_watches()


async def test_ephemeral_events_have_no_cursor():
    async with running_server() as rig:
        waiting = asyncio.create_task(poll(rig, "/v1/channels/room/events", wait="30"))
        await rig.somebody_watches()
        # It is live in the next turn of the loop or so; what it does not see then is not kept for it.
        while not waiting.done():
            await rig.ask("POST", "/v1/channels/room/events", {"type": "chat:typing", "persist": False})
        page = await waiting
        assert page["events"][0]["type"] == "chat:typing"
        assert "cursor" not in page["events"][0]
        assert page["cursor"].endswith("-0")


async def test_gone_is_told_with_the_reason():
    async with running_server() as rig:
        await rig.publish("room", 1)
        page = await poll(rig, "/v1/channels/room/events", "zzzzzzzz-7", wait="0")
        assert (page["outcome"], page["reason"]) == ("gone", "epoch")
        assert [e["data"] for e in page["events"]] == [1]


async def test_a_run_on_a_channel_is_seen_alone():
    async with running_server() as rig:
        await rig.publish("room", "before")
        run = await rig.finished("a", channel="room")
        await rig.publish("room", "after")
        page = await poll(rig, f"/v1/runs/{run}/events")
        assert {e["run"] for e in page["events"]} == {run}
        assert page["ended"] is True
        again = await poll(rig, f"/v1/runs/{run}/events", page["events"][-1]["cursor"], wait="5")
        assert (again["events"], again["ended"]) == ([], True)


async def test_a_page_is_bounded():
    async with running_server() as rig:
        for number in range(20):
            await rig.publish("room", {"n": number, "x": "y" * 50_000})
        seen, cursor = [], "start"
        while len(seen) < 20:
            page = await poll(rig, "/v1/channels/room/events", cursor, wait="0")
            assert len(json.dumps(page)) < 600_000
            seen += [e["data"]["n"] for e in page["events"]]
            cursor = page["cursor"]
        assert seen == list(range(20))


async def test_a_drain_answers_who_waits():
    async with running_server(shutdown_grace=0) as rig:
        waiting = asyncio.create_task(rig.ask("GET", "/v1/channels/room/events?wait=30"))
        await rig.somebody_watches()
        await rig.end()
        reply = await waiting
        assert (reply.status, reply.json["code"]) == (503, "shutting_down")


async def test_waits_that_are_none():
    async with running_server() as rig:
        for wait in ("61", "-1", "soon", "nan", "inf"):
            reply = await rig.ask("GET", f"/v1/channels/room/events?wait={wait}")
            assert (reply.status, reply.json["code"]) == (400, "bad_request"), wait
        assert (await rig.ask("GET", "/v1/runs/r_none/events?wait=0")).json["code"] == "run_not_found"


async def test_a_poller_counts_as_a_watcher():
    async with running_server() as rig:
        rig.provider.say("a")
        reply = await rig.ask("POST", "/v1/runs", {**HELLO, "on_no_watchers": {"stop_after": 0.3}})
        path = f"/v1/runs/{reply.json['id']}/events"
        page = await poll(rig, path, wait="0.6")
        for _ in range(2):
            page = await poll(rig, path, page["cursor"], wait="0.6")
        assert (await rig.ask("GET", f"/v1/runs/{reply.json['id']}")).json["state"] == "running"
