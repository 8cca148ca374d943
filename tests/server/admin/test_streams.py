"""Who watches what, how far behind, and what becomes of those who are cut."""

import asyncio
import json

from http_rig import data_of, running_server
from wire import PATIENCE

ROOM = "/v1/channels/room/events?merge=false"


async def watchers(rig, stream: str, **query) -> dict:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    reply = await rig.ask("GET", f"/v1/admin/streams/{stream}/watchers?{asked}")
    assert reply.status == 200, reply
    return reply.json


async def test_streams_are_listed_the_most_watched_first():
    async with running_server() as rig:
        run = await rig.start("one ")
        async with (
            rig.stream(ROOM) as one,
            rig.stream(ROOM) as two,
            rig.stream(f"/v1/runs/{run}/events") as three,
        ):
            for stream in (one, two, three):
                await stream.next()
            await rig.publish("room", "hello")
            for stream in (one, two):
                await stream.next()
            found = (await rig.ask("GET", "/v1/admin/streams")).json
            assert found["total"] == 2
            room, other = found["streams"]
            assert (room["stream"], room["kind"], room["watchers"], room["lag"]) == ("room", "channel", 2, 0)
            assert (room["events"], room["state"], room["present"]) == (1, "open", 0)
            assert room["head"].endswith("-1")
            assert room["ring_bytes"] > 0
            assert 0 <= room["idle"] < PATIENCE
            assert (other["stream"], other["kind"], other["watchers"]) == (f"runs/{run}", "run", 1)
            first = (await rig.ask("GET", "/v1/admin/streams?limit=1")).json
            assert (first["total"], [row["stream"] for row in first["streams"]]) == (2, ["room"])
            assert [row["stream"] for row in (await rig.ask("GET", "/v1/admin/streams?q=RUNS")).json["streams"]] == [
                f"runs/{run}"
            ]


async def test_a_watcher_that_reads_nothing_shows_its_lag_is_cut_and_misses_nothing():
    async with running_server(ring=64) as rig, rig.stream(ROOM, rcvbuf=4096) as slow, rig.stream(ROOM) as quick:
        await slow.next()
        await quick.next()
        sent = [f"{n} {'x' * 1000}" for n in range(600)]

        async def read_on() -> None:
            for _ in sent:
                await quick.next()

        reading = asyncio.create_task(read_on())
        for data in sent:
            await rig.publish("room", data)
        await reading
        async with asyncio.timeout(PATIENCE):
            while not (found := await watchers(rig, "room"))["watchers"][0]["paused"]:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        behind, level = found["watchers"]
        assert found["total"] == 2
        assert behind["lag"] > level["lag"] == 0
        assert behind["cursor"].rpartition("-")[2] == str(600 - behind["lag"])
        assert (behind["transport"], behind["format"]) == ("sse", "native")
        assert behind["address"].startswith("127.0.0.1:")
        assert behind["address"] != level["address"]
        assert 0 < level["age"] <= behind["age"] < PATIENCE
        assert (await rig.ask("GET", "/v1/admin/streams")).json["streams"][0]["lag"] == behind["lag"]
        assert [row["id"] for row in (await watchers(rig, "room", limit=1))["watchers"]] == [behind["id"]]

        reply = await rig.ask("POST", f"/v1/admin/watchers/{behind['id']}/disconnect")
        assert (reply.status, reply.json) == (200, {"disconnected": True})
        assert await slow.rest() == "cut"
        assert (await rig.ask("POST", f"/v1/admin/watchers/{behind['id']}/disconnect")).status == 404
        assert [row["id"] for row in (await watchers(rig, "room"))["watchers"]] == [level["id"]]
        got = [event for event in slow.events if event.id]
        async with rig.stream(ROOM, Last_Event_ID=got[-1].id) as again:
            while len(got) < len(sent):
                event = await again.next()
                got += [event] if event.id else []
        assert [event["data"] for event in data_of(got)] == sent


async def test_one_who_is_cut_is_told_when_to_come_back():
    async with running_server() as rig, rig.stream(ROOM) as stream:
        await stream.next()
        [row] = (await watchers(rig, "room"))["watchers"]
        await rig.ask("POST", f"/v1/admin/watchers/{row['id']}/disconnect")
        assert await stream.rest() == "cut"
        assert b"retry: " in bytes(stream.raw)


async def test_a_websocket_shows_too():
    async with running_server() as rig, rig.session.ws_connect(f"{rig.url}/v1/ws") as ws:
        await ws.send_json({"op": "subscribe", "id": 1, "stream": "room"})
        await ws.receive_json()
        [row] = (await watchers(rig, "room"))["watchers"]
        assert (row["transport"], row["format"], row["lag"]) == ("websocket", "native-websocket", 0)
        assert row["address"].startswith("127.0.0.1:")
        await rig.ask("POST", f"/v1/admin/watchers/{row['id']}/disconnect")
        closing = await ws.receive(timeout=PATIENCE)
        # The code with which a server goes away: clients come back from it by themselves.
        assert closing.data == 3002


async def test_one_event_in_every_format():
    async with running_server() as rig:
        run = await rig.start("one ", "two ")
        path = f"/v1/runs/{run}/events?merge=false"
        async with rig.stream(path) as native, rig.stream(f"{path}&format=openai-chat") as openai:
            while "two" not in (event := await native.next()).data:
                pass
            while "two" not in (chunk := await openai.next()).data:
                pass
            ask = f"/v1/admin/streams/runs/{run}/event?cursor="
            found = (await rig.ask("GET", ask + event.id)).json
            assert found["cursor"] == event.id
            assert json.loads(found["record"]) == found["event"] == json.loads(event.data)
            assert found["bytes"] == len(found["record"])
            assert found["at"] == found["event"]["at"] / 1000
            assert found["frames"]["native"] == f"id: {event.id}\ndata: {event.data}\n\n"
            # With what the format has to know of what came before: no second beginning.
            assert chunk.data in found["frames"]["openai-chat"]
            assert found["frames"]["openai-chat"].count("data: ") == 1
            assert found["frames"]["text"] is not None
            assert all(frame is None or "two" in frame for frame in found["frames"].values())
            epoch = event.id.partition("-")[0]
            assert (await rig.ask("GET", f"{ask}{epoch}-99")).status == 404
            assert (await rig.ask("GET", f"{ask}{epoch}-0")).status == 404
            assert (await rig.ask("GET", f"{ask}zzzzzzzz-1")).status == 410
            assert (await rig.ask("GET", "/v1/admin/streams/nothing/event?cursor=a-1")).status == 404


async def test_an_event_of_a_channel_is_none_of_a_run():
    async with running_server() as rig:
        await rig.publish("room", "hello")
        epoch = (await rig.ask("GET", "/v1/streams/room")).json["cursor"].partition("-")[0]
        frames = (await rig.ask("GET", f"/v1/admin/streams/room/event?cursor={epoch}-1")).json["frames"]
        assert "hello" in frames["native"]
        assert frames["openai-chat"] is None


async def test_a_record_that_is_no_event_is_shown_as_it_is():
    async with running_server() as rig:
        async with rig.session.put(
            f"{rig.url}/v1/stream/raw", data=b"\xff!", headers={"Content-Type": "text/plain"}
        ) as r:
            assert r.status == 201
        epoch = (await rig.ask("GET", "/v1/streams/raw")).json["cursor"].partition("-")[0]
        found = (await rig.ask("GET", f"/v1/admin/streams/raw/event?cursor={epoch}-1")).json
        assert (found["event"], found["frames"], found["record"], found["bytes"]) == (None, {}, "\ufffd!", 2)
