"""Faults 2, 3 and 5: watchers that vanish, stop reading, or never answer, beside some that go on watching."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from bystanders import bystanders, watched_by
from served import Served
from watchers import WATCHERS, ChannelWatcher, WebSocketWatcher, drop_everything

from tokentape.core.frames import CloseCode
from tokentape.hub.channels import Publish

HEARTBEAT, DEADLINE = 0.3, 3.0
BUSY = 5
"""How many times longer things may take than they should, on a machine that is busy with other things."""
COUNT = 20
GROWTH = 48 * 1_048_576
"""Bytes that the process may grow by: its rings and caches, which are bounded, and a socket's buffers for each."""
NOTICED = HEARTBEAT + DEADLINE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="socket filters and TCP_USER_TIMEOUT are Linux's")


@pytest.fixture(params=["sse", "websocket"])
def watcher(request) -> type[ChannelWatcher]:
    return WATCHERS[request.param]


@pytest.fixture
async def server(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENTAPE_LIMITS_HEARTBEAT", f"{HEARTBEAT}s")
    monkeypatch.setenv("TOKENTAPE_LIMITS_WRITE_DEADLINE", f"{DEADLINE}s")
    async with Served(tmp_path / "tape.db") as server:
        yield server


@asynccontextmanager
async def all_open(watcher: type[ChannelWatcher], server: Served) -> AsyncIterator[list[ChannelWatcher]]:
    with ExitStack() as stack:
        opened = [await watcher.open(server.port, "room") for _ in range(COUNT)]
        for one in opened:
            stack.callback(one.close)
        await watched_by(server, "room", COUNT)
        yield opened


async def publish(client, numbers: range, *, size: int = 0) -> None:
    for number in numbers:
        await client.publish("room", Publish(type="app:x", data={"n": number, "x": "y" * size}))


async def events(watcher: ChannelWatcher, count: int) -> list[int]:
    return [(await watcher.event())["data"]["n"] for _ in range(count)]


@pytest.mark.parametrize("traffic", ["quiet", "busy"])
async def test_a_black_hole_is_noticed_and_resumes_exactly(server, watcher, traffic) -> None:
    """Fault 2: nothing comes from them any more, no FIN and no ACK."""
    async with bystanders(server, growth=GROWTH) as client, all_open(watcher, server) as gone:
        await publish(client, range(5))
        for one in gone:
            assert await events(one, 5) == list(range(5))
            drop_everything(one.fileno)
        if traffic == "busy":
            await publish(client, range(5, 10))
        # Without traffic it is the heartbeats, and the pings, that find no answer.
        assert await watched_by(server, "room", 0) < NOTICED * BUSY
        if traffic == "quiet":
            await publish(client, range(5, 10))
        for one in gone:
            back = await watcher.open(server.port, "room", after=one.cursor)
            try:
                assert await events(back, 5) == list(range(5, 10))
            finally:
                back.close()


async def test_who_stops_reading_is_cut_at_the_deadline(server, watcher) -> None:
    """Fault 3: 4 MB for each, of which they hold no more than the buffers of their sockets."""
    async with bystanders(server, growth=GROWTH) as client, all_open(watcher, server) as stalled:
        for one in stalled[1:]:
            one.pause()
        _, seen = await asyncio.gather(publish(client, range(400), size=10_000), events(stalled[0], 400))
        assert seen == list(range(400))
        assert await watched_by(server, "room", 1) < DEADLINE * 2 * BUSY


@pytest.mark.parametrize("reads", [True, False], ids=["reads", "does-not-read"])
async def test_who_never_answers_pings_is_dropped(server, reads) -> None:
    """Fault 5: also one to whom nothing is said, and one who goes on reading."""
    async with bystanders(server, growth=GROWTH), all_open(WebSocketWatcher, server) as silent:
        if not reads:
            for one in silent:
                one.pause()
        assert await watched_by(server, "room", 0) < NOTICED * BUSY
        if reads:
            assert {await one.ending() for one in silent} == {CloseCode.HEARTBEAT_LOST}
