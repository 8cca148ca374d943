"""Views over SSE on real sockets, on our own connections and under other servers (P1, P2, P4, P5)."""

import asyncio
import json

import pytest
from http_rig import FINISH, HELLO, data_of, running_server, text_of
from starlette.routing import Route

from tokentape.server.sse import run_response


async def test_a_run_is_played_from_its_start_to_its_end(server):
    async with running_server(server=server) as rig:
        run = await rig.start("Hel", "lo", FINISH)
        async with rig.stream(f"/v1/runs/{run}/events") as events:
            assert events.status == 200
            assert events.headers["content-type"] == "text/event-stream"
            assert events.headers["cache-control"] == "no-cache, no-transform"
            assert events.headers["x-accel-buffering"] == "no"
            assert await events.rest() == "whole"
    seen = events.events
    assert seen[0].id == ""
    assert json.loads(seen[0].data)["type"] == "ready"
    assert text_of(seen) == "Hello"
    assert seen[-1].data == "[DONE]"
    assert json.loads(seen[-2].data)["type"] == "done"
    assert b"\r" not in events.raw


async def test_the_ready_block_comes_before_anything_is_there(server):
    async with running_server(server=server) as rig, rig.stream("/v1/channels/room/events") as events:
        ready = await events.next()
        assert json.loads(ready.data)["data"]["outcome"] == "live"


async def test_what_comes_later_is_shown_as_it_comes(server):
    async with running_server(server=server) as rig, rig.stream("/v1/channels/room/events") as events:
        await events.next()
        for number in range(3):
            await rig.ask("POST", "/v1/channels/room/events", {"type": "app:count", "data": number})
            event = await events.next()
            assert json.loads(event.data)["data"] == number
            assert event.id.endswith(f"-{number + 1}")


async def test_an_ephemeral_event_has_no_id_and_leaves_the_old_one(server):
    async with running_server(server=server) as rig, rig.stream("/v1/channels/room/events") as events:
        await events.next()
        await rig.ask("POST", "/v1/channels/room/events", {"type": "chat:typing", "data": {}, "persist": False})
        event = await events.next()
        assert json.loads(event.data)["type"] == "chat:typing"
        assert event.id == ""


async def test_last_event_id_wins_over_from_and_goes_on_exactly(server):
    async with running_server(server=server) as rig:
        run = await rig.finished("a", "b", "c", "d")
        async with rig.stream(f"/v1/runs/{run}/events?merge=false") as whole:
            await whole.rest()
        third = whole.events[3]
        async with rig.stream(f"/v1/runs/{run}/events?merge=false&from=start", Last_Event_ID=third.id) as resumed:
            await resumed.rest()
        assert data_of(resumed.events)[0]["data"]["outcome"] == "replayed"
        assert resumed.raw.partition(b"\n\n")[2] == whole.raw.partition(whole.events[3].data.encode() + b"\n\n")[2]


async def test_from_takes_a_cursor_too(server):
    async with running_server(server=server) as rig:
        run = await rig.finished("a", "b")
        async with rig.stream(f"/v1/runs/{run}/events?merge=false") as whole:
            await whole.rest()
        async with rig.stream(f"/v1/runs/{run}/events?merge=false&from={whole.events[2].id}") as resumed:
            await resumed.rest()
        assert text_of(resumed.events) == "b"


@pytest.mark.parametrize(("position", "outcome"), [("start", "replayed"), ("snapshot", "snapshot"), ("now", "live")])
async def test_named_positions(position, outcome):
    async with running_server() as rig:
        await rig.ask("POST", "/v1/channels/room/events", {"type": "app:x"})
        async with rig.stream(f"/v1/channels/room/events?from={position}") as events:
            assert json.loads((await events.next()).data)["data"]["outcome"] == outcome


async def test_a_view_that_has_ended_is_204_for_a_client_that_has_it(server):
    async with running_server(server=server) as rig:
        run = await rig.finished("a")
        async with rig.stream(f"/v1/runs/{run}/events") as events:
            await events.rest()
        end = events.events[-1].id
        reply = await rig.ask("GET", f"/v1/runs/{run}/events", Last_Event_ID=end)
        assert (reply.status, reply.body) == (204, b"")
        assert (await rig.ask("GET", f"/v1/runs/{run}/events?from={end}")).status == 204
        await rig.nobody_watches()


async def test_a_run_on_a_channel_ends_its_own_view_only():
    async with running_server() as rig:
        run = await rig.finished("a", channel="room")
        async with rig.stream(f"/v1/runs/{run}/events") as events:
            assert await events.rest() == "whole"
        end = events.events[-1].id
        # What follows on the channel is not the run's.
        await rig.ask("POST", "/v1/channels/room/events", {"type": "app:later"})
        assert (await rig.ask("GET", f"/v1/runs/{run}/events", Last_Event_ID=end)).status == 204
        middle = events.events[1].id
        async with rig.stream(f"/v1/runs/{run}/events", Last_Event_ID=middle) as resumed:
            assert await resumed.rest() == "whole"
        assert data_of(resumed.events)[-1]["type"] == "done"


async def test_a_closed_view_without_a_position_is_played_again():
    async with running_server() as rig:
        run = await rig.finished("a")
        async with rig.stream(f"/v1/runs/{run}/events?from=now") as events:
            assert events.status == 200
            assert await events.rest() == "whole"


async def test_a_backlog_is_merged_unless_it_must_not_be():
    async with running_server() as rig:
        run = await rig.finished("a", "b", "c")
        async with rig.stream(f"/v1/runs/{run}/events") as merged:
            await merged.rest()
        async with rig.stream(f"/v1/runs/{run}/events?merge=false") as unmerged:
            await unmerged.rest()
        assert [e["data"] for e in data_of(merged.events) if e["type"] == "token"] == ["abc"]
        assert [e["data"] for e in data_of(unmerged.events) if e["type"] == "token"] == ["a", "b", "c"]
        assert merged.events[-2].id == unmerged.events[-2].id


async def test_post_streams_at_once(server):
    async with running_server(server=server) as rig:
        rig.provider.say("Hello", FINISH)
        async with rig.stream("/v1/runs", method="POST", body=HELLO, Accept="text/event-stream") as events:
            assert await events.rest() == "whole"
        run = events.headers["tokentape-run"]
        assert events.headers["location"] == f"/v1/runs/{run}"
        assert events.headers["tokentape-cursor"].endswith("-0")
        assert text_of(events.events) == "Hello"


async def test_a_client_that_goes_is_noticed_though_nothing_is_said(server):
    async with running_server(server=server) as rig:
        async with rig.stream("/v1/channels/room/events") as events:
            await events.next()
            assert rig.services.hub.watchers() == 1
        await rig.nobody_watches()


async def test_a_disconnect_is_not_a_stop(server):
    async with running_server(server=server) as rig:
        run = await rig.start("a")
        async with rig.stream(f"/v1/runs/{run}/events") as events:
            await events.until("token")
        await rig.nobody_watches()
        rig.provider.say("b", FINISH)
        async with rig.stream(f"/v1/runs/{run}/events") as events:
            assert await events.rest() == "whole"
        assert text_of(events.events) == "ab"


async def test_an_idle_stream_has_heartbeats(server):
    async with running_server(server=server, limits__heartbeat="50ms") as rig:
        async with rig.stream("/v1/channels/room/events") as events:
            while events.raw.count(b": hb\n\n") < 3:
                assert await events._read()
        # A comment is no event.
        assert len(events.events) == 1


async def test_a_busy_stream_has_no_heartbeats():
    async with running_server(limits__heartbeat="200ms") as rig, rig.stream("/v1/channels/room/events") as events:
        await events.next()
        for _ in range(20):
            await rig.publish("room", {})
            await events.next()
            await asyncio.sleep(0.025)
        assert b": hb" not in events.raw


async def test_head_has_the_headers_and_watches_nothing(server):
    async with running_server(server=server) as rig:
        run = await rig.finished("a")
        reply = await rig.ask("HEAD", f"/v1/runs/{run}/events")
        assert reply.status == 200
        assert reply.headers["content-type"] == "text/event-stream"
        assert reply.body == b""
        assert (await rig.ask("HEAD", "/v1/runs/r_none/events")).status == 404


async def test_draining_cuts_and_says_when_to_come_back(server):
    async with running_server(server=server, shutdown_grace=0) as rig:
        async with rig.stream("/v1/channels/room/events") as events:
            await events.next()
            await rig.end()
            # P4: without the end of the response.
            assert await events.rest() == "cut"
        assert events.decoder.retry is not None
        assert 500 <= events.decoder.retry <= 3500


async def test_a_run_that_ends_in_a_drain_is_whole_only_with_its_end(server):
    """P4: whether the watcher still gets the end or is sent elsewhere before it, no response is whole without."""
    async with running_server(server=server, shutdown_grace=0) as rig:
        run = await rig.start("a")
        async with rig.stream(f"/v1/runs/{run}/events") as events:
            await events.until("token")
            await rig.end()
            ending = await events.rest()
        kinds = [event["type"] for event in data_of(events.events)]
        assert (ending == "whole") == ("done" in kinds)
        assert rig.services.runs.get(run).reason == "interrupted"


async def test_deleting_a_stream_cuts_its_watchers(server):
    async with running_server(server=server) as rig, rig.stream("/v1/channels/room/events") as events:
        await events.next()
        assert (await rig.ask("DELETE", "/v1/streams/room")).status == 204
        assert await events.rest() == "cut"


async def test_a_stalled_reader_is_cut_while_another_goes_on(server, caplog):
    """P5: its memory is bounded, and the other one gets everything at once."""
    async with (
        running_server(server=server, limits__write_deadline="400ms") as rig,
        rig.stream("/v1/channels/room/events", rcvbuf=4096) as stalled,
        rig.stream("/v1/channels/room/events") as good,
    ):
        await stalled.next()
        await good.next()
        stalled.pause()
        watchers = tuple(rig.services.hub._tails["room"].attached)
        for number in range(200):
            await rig.publish("room", {"n": number, "x": "y" * 50_000})
            assert json.loads((await good.next()).data)["data"]["n"] == number
        await rig.audience.until(lambda: rig.services.hub.watchers() == 1)
        stalled.resume()
        assert await stalled.rest() == "cut"
        # Of ten megabytes so much was handed to it: about a page of the store, and the buffers of one connection
        # (of which other servers' have some megabytes in the kernel).
        assert min(watcher.cursor for watcher in watchers) * 50_000 < (5_000_000 if server != "ours" else 1_000_000)
        if server == "ours":
            assert not [r for r in caplog.records if r.name.startswith("uvicorn")]


async def test_a_reader_that_was_slow_gets_it_all(server):
    async with (
        running_server(server=server, ring=16) as rig,
        rig.stream("/v1/channels/room/events?merge=false", rcvbuf=65_536) as slow,
    ):
        await slow.next()
        slow.pause()
        for number in range(100):
            await rig.publish("room", {"n": number, "x": "y" * 50_000})
        slow.resume()
        seen = [json.loads((await slow.next()).data)["data"]["n"] for _ in range(100)]
        assert seen == list(range(100))


async def test_a_view_lasts_until_its_last_byte_has_left():
    async with running_server() as rig:
        run = await rig.start(*["y" * 40_000] * 3, FINISH)
        async with rig.stream(f"/v1/runs/{run}/events?merge=false", rcvbuf=4096) as slow:
            slow.pause()
            await rig.somebody_watches()
            # All of it fits into the buffers between, and yet it has not left.
            await asyncio.sleep(0.2)
            assert rig.services.hub.watchers() == 1
            slow.resume()
            assert await slow.rest() == "whole"
            await rig.nobody_watches()


async def test_a_reader_that_stalls_before_the_end_is_not_whole(server):
    """P4: the end is written only when everything before it has left, or not at all."""
    async with running_server(server=server, limits__write_deadline="300ms") as rig:
        run = await rig.start(*["y" * 60_000] * 100, FINISH)
        async with rig.stream(f"/v1/runs/{run}/events?merge=false", rcvbuf=4096) as stalled:
            stalled.pause()
            await rig.somebody_watches()
            await rig.nobody_watches()
            stalled.resume()
            assert await stalled.rest() == "cut"


async def test_too_many_watchers_of_a_stream():
    async with running_server(limits__watchers_per_stream=1) as rig, rig.stream("/v1/channels/room/events") as events:
        await events.next()
        reply = await rig.ask("GET", "/v1/channels/room/events")
        assert (reply.status, reply.json["code"]) == (429, "too_many")
        assert int(reply.headers["retry-after"]) >= 1
        assert (await rig.ask("GET", "/v1/channels/room/events?wait=0")).status == 429


async def test_what_is_no_cursor_is_400():
    bad = ["garbage", "k3f9", "k3f9--1", "k3f9-1,k3f9-2", "K3F9-1", "x" * 7_000, "k3f9-" + "9" * 30]
    async with running_server() as rig:
        run = await rig.finished("a")
        path = f"/v1/runs/{run}/events"
        for cursor in bad:
            for reply in (
                await rig.ask("GET", f"{path}?from={cursor}"),
                await rig.ask("GET", f"{path}?wait=0&from={cursor}"),
                await rig.ask("GET", path, Last_Event_ID=cursor),
                await rig.ask("GET", f"/v1/events?stream=runs/{run}@{cursor}"),
                await rig.ask("GET", f"/v1/channels/room/history?after={cursor}"),
                await rig.ask("POST", f"/v1/runs?from={cursor}", HELLO),
            ):
                assert (reply.status, reply.json["code"]) == (400, "invalid_cursor"), reply
                assert len(reply.body) < 500
        assert len((await rig.ask("GET", "/v1/runs")).json["runs"]) == 1


async def test_a_cursor_that_cannot_be_served_is_gone_with_a_snapshot(server):
    """P2: the reason is told, and what follows is everything."""
    async with running_server(server=server, retention__channels_max_bytes=3000) as rig:
        for number in range(20):
            await rig.publish("room", {"n": number, "x": "y" * 300})
        info = (await rig.ask("GET", "/v1/streams/room")).json
        epoch = info["cursor"].partition("-")[0]
        assert info["first"] > 5
        for cursor, reason in [(f"{epoch}-3", "trimmed"), (f"{epoch}-999", "future"), ("zzzzzzzz-5", "epoch")]:
            async with rig.stream("/v1/channels/room/events", Last_Event_ID=cursor) as events:
                ready = json.loads((await events.next()).data)["data"]
                assert (ready["outcome"], ready["reason"]) == ("gone", reason)
                first = await events.next()
                assert first.id == f"{epoch}-{info['first']}"


async def test_a_run_in_somebody_elses_own_route():
    async with running_server() as rig:

        async def mine(request):
            return run_response(rig.services, request.path_params["run"], request)

        rig.app.router.routes.append(Route("/mine/{run}", mine))
        run = await rig.finished("a", "b", channel="room")
        async with rig.stream(f"/mine/{run}?merge=false") as events:
            assert await events.rest() == "whole"
        assert text_of(events.events) == "ab"
        async with rig.stream(f"/mine/{run}", Last_Event_ID=events.events[2].id) as resumed:
            assert await resumed.rest() == "whole"
        assert text_of(resumed.events) == "b"
        assert (await rig.ask("GET", f"/mine/{run}", Last_Event_ID=events.events[-1].id)).status == 204
        for path, code in [("/mine/r_none", "stream_not_found"), (f"/mine/{run}?from=x", "invalid_cursor")]:
            reply = await rig.ask("GET", path)
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.json["code"] == code


async def test_an_unknown_format_names_those_that_there_are():
    async with running_server() as rig:
        for method, path, body in [
            ("GET", "/v1/channels/room/events?format=nope", None),
            ("POST", "/v1/runs?format=nope", HELLO),
        ]:
            reply = await rig.ask(method, path, body, Accept="text/event-stream")
            assert (reply.status, reply.json["code"]) == (400, "bad_request")
            assert "native" in reply.json["detail"]
        assert (await rig.ask("GET", "/v1/runs")).json["runs"] == []


async def test_the_connection_can_be_used_again_after_a_whole_response(server):
    async with running_server(server=server) as rig:
        run = await rig.finished("a")
        async with rig.stream(f"/v1/runs/{run}/events") as events:
            assert await events.rest() == "whole"
            events.writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await events.reader.readline()).startswith(b"HTTP/1.1 200 ")  # not every server says more
