"""Many streams on one connection: one id resumes them all."""

import asyncio
import json

from http_rig import FINISH, data_of, running_server


async def publish(rig, channel: str, *values) -> None:
    for value in values:
        await rig.publish(channel, value)


async def test_events_say_which_stream_and_where(server):
    async with running_server(server=server) as rig:
        await publish(rig, "a", 1)
        async with rig.stream("/v1/events?stream=a@start&stream=b") as events:
            ready_a, ready_b, first = [await events.next() for _ in range(3)]
            await publish(rig, "b", 2)
            second = await events.next()
    opened = {e["stream"]: e["data"]["outcome"] for e in data_of([ready_a, ready_b, first]) if e["type"] == "ready"}
    assert opened == {"a": "replayed", "b": "live"}
    one = next(e for e in (ready_b, first) if json.loads(e.data)["type"] != "ready")
    assert json.loads(one.data)["stream"] == "a"
    assert json.loads(one.data)["data"] == 1
    a_cursor = json.loads(one.data)["cursor"]
    event = json.loads(second.data)
    assert (event["stream"], event["data"]) == ("b", 2)
    # In the order of the request, whichever stream the event is of.
    assert second.id == f"{a_cursor},{event['cursor']}"


async def test_a_cut_connection_resumes_each_stream_exactly(server):
    async with running_server(server=server) as rig:
        seen: dict[str, list] = {"a": [], "b": []}
        position: dict[str, str] = {}

        async def take(count: int) -> None:
            async with rig.stream("/v1/events?stream=a@start&stream=b@start&merge=false", **position) as events:
                while count:
                    event = await events.next()
                    position["Last_Event_ID"] = event.id
                    data = json.loads(event.data)
                    if data["type"] == "app:x":
                        seen[data["stream"]].append(data["data"])
                        count -= 1

        await publish(rig, "a", *range(5))
        await publish(rig, "b", *range(3))
        for count in (3, 1, 4):
            await take(count)
        await publish(rig, "a", *range(5, 10))
        await publish(rig, "b", *range(3, 8))
        for count in (2, 6, 2):
            await take(count)
        assert seen == {"a": list(range(10)), "b": list(range(8))}


async def test_the_response_ends_when_the_last_view_has(server):
    async with running_server(server=server) as rig:
        one, two = await rig.finished("x"), await rig.start("y")
        path = f"/v1/events?stream=runs/{one}&stream=runs/{two}"
        async with rig.stream(path) as events:
            await events.until("end")
            rig.provider.say(FINISH)
            assert await events.rest() == "whole"
        last = events.events[-1]
        assert json.loads(last.data)["type"] == "end"
        assert (await rig.ask("GET", path, Last_Event_ID=last.id)).status == 204
        await rig.nobody_watches()


async def test_one_stream_that_goes_cuts_all_of_them(server):
    async with running_server(server=server) as rig, rig.stream("/v1/events?stream=a&stream=b") as events:
        await events.next()
        await rig.ask("DELETE", "/v1/streams/b")
        assert await events.rest() == "cut"


async def test_gone_moves_one_position_and_leaves_the_others():
    async with running_server() as rig:
        await publish(rig, "a", 1, 2)
        await publish(rig, "b", 1)
        async with rig.stream("/v1/events?stream=a@start&stream=b@start") as events:
            ids = [(await events.next()).id for _ in range(5)]
        a, _, b = ids[-1].partition(",")
        resumed = f"zzzzzzzz-9,{b}"
        async with rig.stream("/v1/events?stream=a&stream=b", Last_Event_ID=resumed) as events:
            readies = [await events.next() for _ in range(2)]
            outcomes = {e["stream"]: e["data"]["outcome"] for e in data_of(readies) if e["type"] == "ready"}
            while len(outcomes) < 2:
                event = json.loads((await events.next()).data)
                if event["type"] == "ready":
                    outcomes[event["stream"]] = event["data"]["outcome"]
        assert outcomes == {"a": "gone", "b": "live"}
        assert a.endswith("-2")


async def test_what_cannot_be_asked_for():
    async with running_server(limits__max_streams=2) as rig:
        await publish(rig, "a", 1)
        cases = [
            ("/v1/events", {}, 400, "bad_request"),
            ("/v1/events?stream=a&stream=b&stream=c", {}, 400, "bad_request"),
            ("/v1/events?stream=a&stream=a", {}, 400, "bad_request"),
            ("/v1/events?stream=$runs", {}, 400, "invalid_name"),
            ("/v1/events?stream=runs/$x@start", {}, 400, "invalid_name"),
            ("/v1/events?stream=a@yesterday", {}, 400, "invalid_cursor"),
            ("/v1/events?stream=runs/r_none", {}, 404, "run_not_found"),
            ("/v1/events?stream=a&stream=b", {"Last_Event_ID": "k3f9-1"}, 400, "invalid_cursor"),
            ("/v1/events?stream=a", {"Last_Event_ID": "k3f9-1,k3f9-2"}, 400, "invalid_cursor"),
            ("/v1/events?stream=a", {"Last_Event_ID": ","}, 400, "invalid_cursor"),
        ]
        for path, headers, status, code in cases:
            reply = await rig.ask("GET", path, **headers)
            assert (reply.status, reply.json["code"]) == (status, code), path
        await rig.nobody_watches()


async def test_a_refused_stream_lets_go_of_those_before_it():
    async with running_server(limits__watchers_per_stream=1) as rig, rig.stream("/v1/channels/b/events") as events:
        await events.next()
        assert (await rig.ask("GET", "/v1/events?stream=a&stream=b")).status == 429
        assert rig.services.hub.watchers() == 1


async def test_a_name_with_an_at_sign_has_its_position_after_the_last():
    async with running_server() as rig:
        await publish(rig, "bob@home", 1)
        async with rig.stream("/v1/events?stream=bob@home@start") as events:
            await events.next()
            assert json.loads((await events.next()).data)["stream"] == "bob@home"


async def test_streams_do_not_wait_for_one_another():
    async with running_server() as rig, rig.stream("/v1/events?stream=a&stream=b") as events:
        await events.next()
        await events.next()
        await asyncio.gather(*(publish(rig, name, *range(50)) for name in "ab"))
        got = {"a": [], "b": []}
        for _ in range(100):
            event = json.loads((await events.next()).data)
            got[event["stream"]].append(event["data"])
        assert got == {"a": list(range(50)), "b": list(range(50))}
