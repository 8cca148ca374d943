"""What is live over instances that are processes of their own, also when one of them is killed. Faults, row 26."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from brief_presence import shorten
from redis_server import RedisServer
from wire import Stream
from ws_rig import RawPeer

from tokentape import Tape
from tokentape.client import Client
from tokentape.hub.channels import Publish
from tokentape.server.config import load_config

SCRIPT = Path(__file__).parents[1] / "support" / "brief_presence.py"
SECONDS = 3.0
"""After which a process that is silent is taken for dead."""
SLOW = {
    "model": "simulated",
    "messages": [{"role": "user", "content": "Go"}],
    "simulated": {"rate": 20, "tokens": 9999},
}


class Instance:
    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url
        self.port = int(url.rpartition(":")[2])

    async def kill(self) -> float:
        """`kill -9`; when that was."""
        self.process.kill()
        await self.process.wait()
        return time.monotonic()


@asynccontextmanager
async def instance(redis: RedisServer) -> AsyncIterator[Instance]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), redis.url, str(SECONDS), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            yield Instance(process, (await process.stdout.readline()).decode().strip())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - it is another process that acts
            await asyncio.sleep(0.02)


async def next_of(stream: Stream, kind: str) -> Any:
    """The data of the next event of a type."""
    async with asyncio.timeout(30):
        while True:
            event = json.loads((await stream.next()).data)
            if event["type"] == kind:
                return event["data"]


async def presence(stream: Stream) -> tuple[str, str]:
    """The next news of a member."""
    data = await next_of(stream, "presence")
    return data["action"], data["id"]


async def test_an_ephemeral_event_reaches_the_watchers_of_the_other_instance(redis: RedisServer) -> None:
    async with instance(redis) as one, instance(redis) as two, Client(one.url) as client:
        await client.publish("room", Publish("chat:line", 0))
        streams = [await Stream.open(i.port, "/v1/channels/room/events?from=now", headers={}) for i in (one, two)]
        heard = asyncio.create_task(next_of(streams[1], "chat:typing"))
        while not heard.done():
            # An instance that has just started may not hear the others yet.
            await client.publish("room", Publish("chat:typing", -1, persist=False))
            await asyncio.sleep(0.05)
        for number in range(20):
            await client.publish("room", Publish("chat:typing", number, persist=False))
        for stream in streams:
            while (number := await next_of(stream, "chat:typing")) < 0:
                pass
            numbers = [number] + [await next_of(stream, "chat:typing") for _ in range(19)]
            assert numbers == [*range(20)]
            stream.close()


async def test_a_killed_instance_takes_its_members_along_for_everybody(redis: RedisServer) -> None:
    async with instance(redis) as one, instance(redis) as two, Client(one.url) as client:
        await client.publish("room", Publish("chat:line", 0))
        events = await Stream.open(one.port, "/v1/channels/room/events?from=now", headers={})
        await events.next()
        peers = []
        for at, name in ((two, "ada"), (two, "bob"), (one, "bob"), (one, "eve")):
            peers.append(peer := await RawPeer.connect(at.port))
            peer.request("presence", stream="room", action="track", member=name)
            assert (await peer.receive())["op"] == "ack"
        assert [await presence(events) for _ in range(4)] == [
            ("join", "ada"), ("join", "bob"), ("update", "bob"), ("join", "eve"),
        ]  # fmt: skip
        assert sorted(member.id for member in await client.presence("room")) == ["ada", "bob", "eve"]
        killed = await two.kill()
        # Bob is still here, through the other one.
        assert await presence(events) == ("leave", "ada")
        assert time.monotonic() - killed < SECONDS + 5
        peers[3].drop()
        assert await presence(events) == ("leave", "eve")
        assert sorted(member.id for member in await client.presence("room")) == ["bob"]
        events.close()
        for peer in peers:
            peer.drop()


@pytest.mark.parametrize("how", ["leaves", "is killed with its instance"])
async def test_row_26_the_last_watcher_of_all_instances(redis: RedisServer, how: str) -> None:
    """The run is executed here, and watched through another instance only."""
    tape = Tape(redis.url, config=load_config(None, {}, {}))
    shorten(tape, SECONDS)
    async with tape:
        run = await tape.start(**SLOW, on_no_watchers={"stop_after": 2.0})
        roster, audience = tape.channels.roster, f"$audience/{run.stream}"
        async with AsyncExitStack() as stack:
            # Somebody is here until the other one has begun: after the run, of which it learns from what is recorded.
            async with tape.hub.reading(run.stream, "start"):
                other = await stack.enter_async_context(instance(redis))
                events = await Stream.open(other.port, f"/v1/runs/{run.id}/events", headers={})
                await events.next()
                await until(lambda: {member.id for member in roster.known(audience)} - {roster.instance})
            await asyncio.sleep(2.6)
            assert run.info.state == "running"
            if how == "leaves":
                left = time.monotonic()
                events.close()
            else:
                left = await other.kill()
            await until(lambda: run.info.state == "done")
            assert run.info.reason == "stopped"
            assert 1.5 < time.monotonic() - left < 2 + SECONDS + 5
            events.close()
