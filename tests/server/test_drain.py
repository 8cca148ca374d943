"""The end of a server in order: what goes on in the pause, and that nobody is cut before he has what was recorded."""

import asyncio

from http_rig import running_server
from wire import PATIENCE

EVENTS = 40
SIZE = 50_000


async def test_in_the_pause_it_is_not_ready_and_serves_all_the_same():
    async with running_server(shutdown_delay=3, shutdown_grace=30) as rig:
        rig.stop.set()
        await rig.unready()
        # A load balancer may still send this here, for as long as it has not noticed.
        run = await rig.start("a")
        async with rig.stream(f"/v1/runs/{run}/events") as events:
            await events.until("token")
            async with asyncio.timeout(PATIENCE):
                # No run can be made of this, whoever is asked.
                while (reply := await rig.ask("POST", "/v1/runs", {"messages": []})).status == 400:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert (reply.status, reply.json["code"]) == (503, "shutting_down")
            assert int(reply.headers["retry-after"]) >= 1
            await rig.ask("POST", f"/v1/runs/{run}/stop")


async def test_who_is_behind_gets_what_was_recorded_before_he_is_sent_elsewhere():
    async with (
        running_server(shutdown_grace=0, ring=4) as rig,
        rig.stream("/v1/channels/room/events?merge=false", rcvbuf=4096) as slow,
    ):
        await slow.next()
        slow.pause()
        for number in range(EVENTS):
            await rig.publish("room", {"n": number, "x": "y" * SIZE})
        ending = asyncio.create_task(rig.end())
        slow.resume()
        for number in range(EVENTS):
            assert f'"n":{number},' in (await slow.next()).data
        assert await slow.rest() == "cut"
        await ending


async def test_who_comes_while_the_others_get_the_rest_is_told_to_come_back():
    async with running_server() as rig, rig.stream("/v1/channels/room/events", rcvbuf=4096) as stalled:
        await stalled.next()
        stalled.pause()
        for number in range(EVENTS):
            await rig.publish("room", {"n": number, "x": "y" * SIZE})
        settling = asyncio.create_task(rig.services.hub.settle())
        await asyncio.sleep(0)
        reply = await rig.ask("GET", "/v1/channels/room/events")
        assert (reply.status, reply.json["code"]) == (503, "shutting_down")
        assert int(reply.headers["retry-after"]) >= 1
        # Who takes nothing is not waited for.
        async with asyncio.timeout(4):
            await settling
