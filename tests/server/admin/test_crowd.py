"""A crowd is a process of its own, over real sockets, and tells what its watchers really got."""

import asyncio

import aiohttp
import psutil
import pytest
from http_rig import running_server
from scripted import FINISH
from wire import PATIENCE

from tokentape.cli.child import ServerProcess


async def look(rig) -> dict:
    return (await rig.ask("GET", "/v1/admin/crowd")).json


async def until(rig, condition, seconds=PATIENCE) -> dict:
    async with asyncio.timeout(seconds):
        while not condition(crowd := await look(rig)):  # noqa: ASYNC110 - it is polled by whoever looks
            await asyncio.sleep(0.05)
    return crowd


async def start(rig, **wanted):
    reply = await rig.ask("POST", "/v1/admin/crowd", {"seconds": 30, **wanted})
    assert reply.status == 201, reply
    return reply.json


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_all_of_a_crowd_get_the_same(transport):
    async with running_server() as rig:
        run = await rig.start("before ")
        asked = await start(rig, stream=f"runs/{run}", watchers=20, transport=transport)
        assert (asked["state"], asked["watchers"], asked["transport"]) == ("connecting", 20, transport)
        await until(rig, lambda crowd: crowd["state"] == "watching" and crowd["connected"] == 20)
        assert rig.services.hub.audience(f"runs/{run}") == 20
        rig.provider.say(*(f"word {n} " for n in range(50)), FINISH)
        crowd = await until(rig, lambda crowd: crowd["state"] == "ended")
        # What it used and the end come after the fifty.
        assert (crowd["received"], crowd["lost"], crowd["repeated"]) == (20 * 52, 0, 0)
        assert crowd["equal"] is True
        assert crowd["error"] is None
        assert 0 < crowd["delay"]["p50"] <= crowd["delay"]["p99"] <= crowd["delay"]["max"] < 5000
        await rig.nobody_watches()


async def test_there_is_one_crowd_at_a_time_and_it_can_be_ended():
    async with running_server(admin__max_crowd=10) as rig:
        assert (await look(rig))["state"] == "idle"
        await rig.publish("room", "before")
        await start(rig, stream="room", watchers=3)
        reply = await rig.ask("POST", "/v1/admin/crowd", {"stream": "room", "watchers": 3})
        assert (reply.status, reply.json["code"]) == (409, "crowd_busy")
        await until(rig, lambda crowd: crowd["connected"] == 3)
        for n in range(5):
            await rig.publish("room", n)
        await until(rig, lambda crowd: crowd["received"] == 15)
        ended = (await rig.ask("DELETE", "/v1/admin/crowd")).json
        assert (ended["state"], ended["received"], ended["equal"], ended["connected"]) == ("ended", 15, True, 0)
        await rig.nobody_watches()
        assert (await rig.ask("POST", "/v1/admin/crowd", {"stream": "room", "watchers": 11})).status == 400
        assert (await rig.ask("POST", "/v1/admin/crowd", {"stream": "nothing", "watchers": 1})).status == 404
        run = await rig.finished("a ")
        assert (await rig.ask("POST", "/v1/admin/crowd", {"stream": f"runs/{run}", "watchers": 1})).status == 400


async def test_one_who_is_cut_comes_back_and_misses_nothing():
    async with running_server(auth__api_keys=["secret"]) as rig:
        key = {"Authorization": "Bearer secret"}
        await rig.publish("room", "before")
        reply = await rig.ask("POST", "/v1/admin/crowd", {"stream": "room", "watchers": 2, "seconds": 60}, **key)
        assert reply.status == 201, reply

        async def until_keyed(condition) -> dict:
            async with asyncio.timeout(4 * PATIENCE):
                while not condition(crowd := (await rig.ask("GET", "/v1/admin/crowd", **key)).json):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.05)
            return crowd

        await until_keyed(lambda crowd: crowd["connected"] == 2)
        found = (await rig.ask("GET", "/v1/admin/streams/room/watchers", **key)).json["watchers"]
        await rig.ask("POST", f"/v1/admin/watchers/{found[0]['id']}/disconnect", **key)
        for n in range(5):
            await rig.publish("room", n)
        await until_keyed(lambda crowd: crowd["reconnected"] == 1 and crowd["received"] == 10)
        ended = (await rig.ask("DELETE", "/v1/admin/crowd", **key)).json
        assert (ended["lost"], ended["repeated"], ended["equal"]) == (0, 0, True)


async def test_who_may_not_come_in_is_told_of():
    async with running_server(limits__watchers_per_stream=2) as rig:
        await rig.publish("room", "before")
        await start(rig, stream="room", watchers=3, seconds=0.5)
        crowd = await until(rig, lambda crowd: crowd["state"] == "ended", 60)
        assert "too_many" in crowd["error"]
        assert crowd["equal"] is None


async def test_a_crowd_ends_with_its_server():
    async with running_server() as rig:
        await rig.publish("room", "before")
        await start(rig, stream="room", watchers=3, seconds=120)
        await until(rig, lambda crowd: crowd["connected"] == 3)
        [process] = [child for child in psutil.Process().children() if "tokentape.server.crowd" in child.cmdline()]
        async with asyncio.timeout(2 * PATIENCE):
            await rig.end()
        assert not process.is_running()


async def test_a_server_that_is_killed_leaves_no_crowd_behind(tmp_path):
    async with ServerProcess("memory://", tmp_path / "log") as server, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}"
        run = {"messages": [{"role": "user", "content": "Hi"}], "simulated": {"rate": 20, "tokens": 10_000}}
        async with session.post(f"{url}/v1/runs", json=run) as reply:
            stream = (await reply.json())["stream"]
        async with session.post(f"{url}/v1/admin/crowd", json={"stream": stream, "watchers": 3}) as reply:
            assert reply.status == 201
        async with asyncio.timeout(4 * PATIENCE):
            connected = 0
            while connected != 3:
                async with session.get(f"{url}/v1/admin/crowd") as reply:
                    connected = (await reply.json())["connected"]
        [process] = [p for p in psutil.process_iter() if is_crowd_of(p, server.pid)]
        await server.kill()
        async with asyncio.timeout(2 * PATIENCE):
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)


def is_crowd_of(process: psutil.Process, pid: int) -> bool:
    try:
        return process.ppid() == pid and "tokentape.server.crowd" in process.cmdline()
    except psutil.Error:
        return False
