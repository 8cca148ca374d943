"""A crowd is a process of its own, over real sockets, and tells what its watchers really got."""

import asyncio
import os
import signal

import psutil
import pytest
from http_rig import running_server
from scripted import FINISH
from wire import PATIENCE

from tokentape.hub.channels import Publish


async def look(rig) -> dict:
    return (await rig.ask("GET", "/v1/admin/crowd")).json


async def until(rig, condition, seconds=PATIENCE) -> dict:
    async with asyncio.timeout(seconds):
        while not condition(crowd := await look(rig)):
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
