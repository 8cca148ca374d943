"""One tape: runs and channels as Durable Streams, and what may not be done to them from here."""

import asyncio
import json

from http_rig import running_server
from scripted import FINISH

from tokentape.stores.sqlite import SqliteStore


async def read(rig, name: str, offset: str = "-1"):
    reply = await rig.ask("GET", f"/v1/stream/{name}?offset={offset}")
    assert reply.status == 200, reply
    return reply


async def test_a_run_is_read_as_its_events():
    async with running_server() as rig:
        run = await rig.finished("Hel", "lo")
        reply = await read(rig, f"runs/{run}")
        assert [event["type"] for event in reply.json] == ["start", "token", "token", "usage", "done"]
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["stream-closed"] == "true"
        assert (await rig.ask("HEAD", f"/v1/stream/runs/{run}")).headers["stream-closed"] == "true"


async def test_a_run_on_a_channel_is_the_channel_seen_through_it():
    async with running_server() as rig:
        await rig.publish("room", "before")
        run = await rig.start("Hel", "lo", FINISH, channel="room")
        async with rig.stream(f"/v1/runs/{run}/events") as events:
            await events.rest()
        await rig.publish("room", "after")
        for live in ("", "&live=sse", "&live=long-poll"):
            reply = await rig.ask("GET", f"/v1/stream/runs/{run}?offset=-1{live}")
            assert "before" not in reply.body.decode()
            assert "after" not in reply.body.decode()
            assert b'"Hel"' in reply.body
            closed = reply.headers.get("stream-closed") == "true" or b'"streamClosed":true' in reply.body
            assert closed, live
        assert (await read(rig, "room")).json[0]["data"] == "before"
        assert "stream-closed" not in (await read(rig, "room")).headers


async def test_a_run_is_watched_live_and_its_watchers_count():
    async with running_server() as rig:
        run = await rig.start("Hel")
        async with rig.stream(f"/v1/stream/runs/{run}?offset=-1&live=sse") as events:
            await rig.audience.until(lambda: rig.services.hub.audience(f"runs/{run}") == 1)
            rig.provider.say("lo", FINISH)
            assert await events.rest() == "whole"
        found = [json.loads(event.data) for event in events.events if event.event == "data"]
        assert text_of_batches(found) == "Hello"
        assert json.loads(events.events[-1].data)["streamClosed"] is True


def text_of_batches(batches: list) -> str:
    return "".join(event["data"] for batch in batches for event in batch if event["type"] == "token")


async def test_nobody_writes_to_a_run_or_deletes_it_while_it_runs():
    async with running_server() as rig:
        run = await rig.start("x")
        for method, headers in (("POST", {}), ("PUT", {}), ("DELETE", {}), ("POST", {"Stream_Closed": "true"})):
            reply = await rig.ask(method, f"/v1/stream/runs/{run}", {"type": "token", "data": "!"}, **headers)
            assert (reply.status, reply.json["code"]) == (403, "forbidden"), (method, reply)
        on_channel = await rig.start("x", channel="room")
        assert (await rig.ask("DELETE", f"/v1/stream/runs/{on_channel}")).status == 403
        assert (await rig.ask("DELETE", "/v1/stream/room")).status == 409
        for run_id in (run, on_channel):
            await rig.ask("POST", f"/v1/runs/{run_id}/stop")
        assert (await rig.ask("DELETE", f"/v1/stream/runs/{run}")).status == 204
        assert (await rig.ask("GET", f"/v1/stream/runs/{run}")).status == 404


async def test_a_channel_takes_events_and_shows_them_to_everybody():
    async with running_server() as rig:
        await rig.publish("room", 1)
        async with rig.stream("/v1/channels/room/events") as watcher:
            await watcher.next()
            reply = await rig.ask("POST", "/v1/stream/room", [{"type": "app:x", "data": 2, "id": "two"}])
            assert reply.status == 204
            event = json.loads((await watcher.next()).data)
        assert (event["type"], event["data"], event["id"]) == ("app:x", 2, "two")
        assert [event["data"] for event in (await read(rig, "room")).json] == [1, 2]
        # The same id is recorded once, whoever sends it.
        await rig.ask("POST", "/v1/stream/room", {"type": "app:x", "data": 2, "id": "two"})
        assert len((await read(rig, "room")).json) == 2
        for body in ({"data": 1}, 7, {"type": "nonsense"}, {"type": "app:x", "persist": False}):
            reply = await rig.ask("POST", "/v1/stream/room", body)
            assert (reply.status, reply.json["code"][-11:] in ("bad_request", "valid_event")) == (400, True), reply
        assert (await rig.ask("POST", "/v1/stream/room", Stream_Closed="true")).status == 403


async def test_producers_write_to_a_channel_once():
    async with running_server() as rig:
        await rig.publish("room", 1)
        producer = {"Producer_Id": "p", "Producer_Epoch": "0", "Producer_Seq": "0"}
        statuses = [
            (await rig.ask("POST", "/v1/stream/room", {"type": "app:x", "data": 2}, **producer)).status for _ in "ab"
        ]
        assert statuses == [200, 204]
        assert len((await read(rig, "room")).json) == 2


async def test_native_cursors_are_offsets_too():
    async with running_server() as rig:
        run = await rig.finished("Hel", "lo")
        epoch = (await rig.ask("GET", f"/v1/streams/runs/{run}")).json["cursor"].partition("-")[0]
        events = (await read(rig, f"runs/{run}", f"{epoch}-2")).json
        assert [event["type"] for event in events] == ["token", "usage", "done"]
        assert (await read(rig, f"runs/{run}", f"{2:016d}_{epoch}")).json == events
        for offset, status in (
            (f"{epoch}-9", 410),
            ("zzzzzzzz-2", 410),
            (f"{3:016d}_zzzzzzzz", 410),
            (f"3_{epoch}", 400),
        ):
            assert (await rig.ask("GET", f"/v1/stream/runs/{run}?offset={offset}")).status == status, offset


async def test_what_is_made_here_is_no_channel():
    async with running_server() as rig:
        assert (await rig.ask("PUT", "/v1/stream/bytes", b"\x00\xff")).status == 400
        assert (await rig.ask("PUT", "/v1/stream/bytes", b"\x00\xff", Content_Type="image/png")).status == 201
        reply = await rig.ask("GET", "/v1/channels/bytes/events")
        assert (reply.status, reply.json["code"]) == (409, "stream_exists")
        assert (await rig.ask("GET", "/v1/streams/bytes")).json["content_type"] == "image/png"


async def test_names_are_those_of_all_other_routes():
    async with running_server() as rig:
        for name, status in (
            ("a/b.c:d", 201),
            ("$runs", 400),
            ("a//b", 400),
            (".hidden", 400),
            ("__ds/jwks.json", 400),
        ):
            assert (await rig.ask("PUT", f"/v1/stream/{name}", b"x", Content_Type="text/plain")).status == status, name
        assert [stream["name"] for stream in (await rig.ask("GET", "/v1/streams")).json["streams"]] == ["a/b.c:d"]


async def test_a_fork_of_a_run_is_a_channel_that_goes_on_from_there():
    async with running_server() as rig:
        run = await rig.finished("Hel", "lo")
        source = f"/v1/stream/runs/{run}"
        made = await rig.ask(
            "PUT", "/v1/stream/branch", Content_Type="application/json", Stream_Forked_From=source,
            Stream_Fork_Offset=f"{0:016d}_{'0' * 16}", Stream_Fork_Sub_Offset="2",
        )  # fmt: skip
        assert made.status == 201, made
        await rig.publish("branch", "mine")
        # Also in the native format, from its start.
        page = (await rig.ask("GET", "/v1/channels/branch/events?from=start&wait=0")).json
        assert [event["type"] for event in page["events"]] == ["start", "token", "app:x"]
        assert (await rig.ask("DELETE", source)).status == 204
        assert [event["type"] for event in (await read(rig, "branch")).json] == ["start", "token", "app:x"]
        assert (await rig.ask("GET", source)).status == 410


async def test_an_event_stream_is_told_to_come_back_when_the_server_ends():
    async with running_server() as rig:
        await rig.publish("room", 1)
        async with rig.stream("/v1/stream/room?offset=-1&live=sse") as events:
            await events.next()
            rig.stop.set()
            assert await events.rest() == "whole"
        assert not any("streamClosed" in event.data for event in events.events)


async def test_an_event_stream_ends_in_time_and_goes_on_where_it_ended(tmp_path):
    async with running_server(store=SqliteStore(tmp_path / "t.db"), durable_streams__sse=0.2) as rig:
        await rig.ask("PUT", "/v1/stream/notes", b" one\r\ntwo ", Content_Type="text/plain")
        async with rig.stream("/v1/stream/notes?offset=-1&live=sse") as events:
            assert await events.rest() == "whole"
        data, control = [event.data for event in events.events][:2]
        assert data == " one\ntwo "
        offset = json.loads(control)["streamNextOffset"]
        cursor = json.loads(control)["streamCursor"]
        async with rig.stream(f"/v1/stream/notes?offset={offset}&live=sse&cursor={cursor}") as again:
            first = json.loads((await again.next()).data)
            assert (first["streamNextOffset"], first["upToDate"]) == (offset, True)
            assert int(first["streamCursor"]) > int(cursor)
            await rig.ask("POST", "/v1/stream/notes", b"three", Content_Type="text/plain")
            assert (await again.next()).data == "three"


async def test_those_who_look_alike_share_the_bytes():
    async with running_server() as rig:
        await rig.publish("room", 1)
        opened = [rig.stream("/v1/stream/room?offset=now&live=sse") for _ in range(5)]
        streams = [await stream.__aenter__() for stream in opened]
        for stream in streams:
            await stream.next()
        views = {watcher.view for watcher in rig.services.hub._tails["room"].attached}
        assert len(views) <= 2  # a minute of cursors may turn in between
        await rig.publish("room", 2)
        for stream in streams:
            assert json.loads((await stream.next()).data)[0]["data"] == 2
        for stream in opened:
            await stream.__aexit__(None, None, None)


async def test_a_long_poll_ends_with_the_stream_that_it_waits_for():
    async with running_server() as rig:
        await rig.ask("PUT", "/v1/stream/notes", Content_Type="text/plain")
        waiting = asyncio.create_task(rig.ask("GET", "/v1/stream/notes?offset=now&live=long-poll"))
        await rig.audience.until(lambda: rig.services.hub.audience("notes") == 1)
        await rig.ask("DELETE", "/v1/stream/notes")
        assert (await waiting).status == 404
        await rig.ask("PUT", "/v1/stream/notes", Content_Type="text/plain")
        waiting = asyncio.create_task(rig.ask("GET", "/v1/stream/notes?offset=now&live=long-poll"))
        await rig.audience.until(lambda: rig.services.hub.audience("notes") == 1)
        await rig.ask("POST", "/v1/stream/notes", Stream_Closed="true")
        reply = await waiting
        assert (reply.status, reply.headers["stream-closed"]) == (204, "true")
