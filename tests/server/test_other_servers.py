"""The native WebSocket under servers that are not ours, and what they leave behind; SSE there is in test_sse.py."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from asgi_servers import SERVERS
from http_rig import FINISH, HELLO, Rig, running_server
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from ws_rig import CLOSE, PATIENCE, Peer, RawPeer, text_of

from tokentape.core.frames import CloseCode
from tokentape.core.messages import SUBPROTOCOL
from tokentape.server.direct import DirectStream
from tokentape.server.pump import PumpedStream
from tokentape.server.websocket.asgi import AsgiWire
from tokentape.server.websocket.direct import DirectWire

ROOM = "/v1/channels/room/events"
ENDINGS = {
    "ours": None,
    "uvicorn": None,
    # It says goodbye when an application returns, whatever for; no subscription has ended (P4).
    "hypercorn": CloseCode.INTERNAL_ERROR.to_bytes(2),
    # Granian sends no more, but may leave the connection open, in the middle of a message, until its client goes.
}
"""How the connection of a watcher that was cut ends: with the payload of a close frame, or with None."""


@asynccontextmanager
async def peer_on(rig: Rig, **options) -> AsyncIterator[Peer]:
    """A client that behaves."""
    options = {"subprotocols": [SUBPROTOCOL], "ping_interval": None, "max_size": None, **options}
    async with connect(f"ws://127.0.0.1:{rig.port}/v1/ws", **options) as ws:
        yield Peer(ws)


@asynccontextmanager
async def raw_on(rig: Rig) -> AsyncIterator[RawPeer]:
    """A client that reads when it likes, and watches the room."""
    raw = await RawPeer.connect(rig.port)
    try:
        raw.request("subscribe", stream="room")
        assert (await raw.receive())["op"] == "ack"
        yield raw
    finally:
        raw.drop()


async def ending_of(raw: RawPeer) -> bytes | None:
    async with asyncio.timeout(PATIENCE):
        try:
            while (frame := await raw._frame())[0] != CLOSE:
                assert json.loads(frame[1])["op"] == "event"
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
    return frame[1][:2]


async def test_only_our_own_server_writes_directly(server):
    async with running_server(server=server) as rig, rig.stream(ROOM) as events, peer_on(rig) as peer:
        await events.next()
        await peer.ask("subscribe", stream="room")
        (stream,) = {w.outlet.stream for w in rig.services.hub._tails["room"].attached if hasattr(w.outlet, "stream")}
        (wire,) = {w.outlet._wire for w in rig.services.hub._tails["room"].attached if hasattr(w.outlet, "_wire")}
        ours = server not in SERVERS
        assert (type(stream), type(wire)) == ((DirectStream, DirectWire) if ours else (PumpedStream, AsgiWire))


async def test_a_run_is_started_watched_and_ended(server):
    async with running_server(server=server) as rig, peer_on(rig) as peer:
        rig.provider.say("Hel", "lo", FINISH)
        run = await peer.ask("start", request=HELLO)
        await peer.ask("subscribe", stream=run["stream"])
        seen = await peer.until_end(run["stream"])
        assert text_of(seen) == "Hello"
        assert seen[-2]["event"]["type"] == "done"
        # The connection goes on.
        assert await peer.ask("ping") == {}


async def test_what_one_publishes_the_other_sees(server):
    async with running_server(server=server) as rig, peer_on(rig) as one, peer_on(rig) as two:
        await two.ask("subscribe", stream="room")
        for number in range(10):
            position = await one.ask("publish", stream="room", type="app:x", data={"n": number})
            event = await two.event()
            assert (event["event"]["data"], event["cursor"]) == ({"n": number}, position["cursor"])
        assert await one.ask("publish", stream="room", type="app:x", data=0, persist=False) == {"cursor": None}
        assert (await two.event())["event"]["type"] == "app:x"


async def test_a_cut_connection_resumes_exactly(server):
    async with running_server(server=server) as rig:
        for number in range(6):
            await rig.publish("room", {"n": number})
        async with raw_on(rig) as raw:
            seen = [await raw.receive() for _ in range(3)]
        async with peer_on(rig) as peer:
            await peer.ask("subscribe", stream="room", **{"from": seen[-1]["cursor"]})
            seen += [await peer.event() for _ in range(3)]
        assert [message["event"]["data"]["n"] for message in seen] == list(range(6))


async def test_a_client_that_goes_leaves_nothing_behind(server):
    async with running_server(server=server) as rig:
        async with rig.stream(ROOM) as events, raw_on(rig):  # once, for what is made when it is first needed
            await events.next()
        await rig.nobody_watches()
        footprint = await rig.footprint()
        for _ in range(5):
            async with rig.stream(ROOM) as events, raw_on(rig), peer_on(rig) as peer:
                await events.next()
                await peer.ask("subscribe", stream="room")
                assert rig.services.hub.watchers() == 3
            await rig.nobody_watches()
        await footprint.back()


async def test_who_stops_reading_is_bounded_and_cut_while_others_go_on(server):
    async with (
        running_server(server=server, limits__write_deadline="400ms") as rig,
        raw_on(rig) as stalled,
        peer_on(rig) as good,
    ):
        await good.ask("subscribe", stream="room")
        watchers = tuple(rig.services.hub._tails["room"].attached)
        for number in range(200):
            await rig.publish("room", {"n": number, "x": "y" * 50_000})
            assert (await good.event())["event"]["data"]["n"] == number
        await rig.audience.until(lambda: rig.services.hub.watchers() == 1)
        # Of ten megabytes; other servers' sockets hold some in the kernel.
        assert min(watcher.cursor for watcher in watchers) * 50_000 < (6_000_000 if server in SERVERS else 1_000_000)
        if server in ENDINGS:
            assert await ending_of(stalled) == ENDINGS[server]
        assert await good.ask("ping") == {}


async def test_who_was_slow_gets_it_all(server):
    async with running_server(server=server, ring=16) as rig, raw_on(rig) as slow:
        for number in range(100):
            await rig.publish("room", {"n": number, "x": "y" * 50_000})
        seen = [(await slow.receive())["event"]["data"]["n"] for _ in range(100)]
        assert seen == list(range(100))


async def test_a_client_that_closes_gets_its_code_back(server):
    async with running_server(server=server) as rig, peer_on(rig) as peer:
        await peer.ask("subscribe", stream="room")
        await peer.ws.close(4321, "enough")
        assert peer.ws.close_code == 4321
        await rig.nobody_watches()


async def test_a_drain_says_when_to_come_back(server):
    """On both; when a server that is not ours ends by itself, it may not wait for what an application has to say."""
    async with running_server(server=server) as rig, rig.stream(ROOM) as events, peer_on(rig) as peer:
        await events.next()
        await peer.ask("subscribe", stream="room")
        await rig.publish("room", {"n": 1})
        rig.services.hub.drain()
        code, reason = await peer.closed()
        assert (code, "reconnect" in reason) == (CloseCode.DRAINING, True)
        assert [message["op"] for message in peer.seen] == ["event"]
        assert await events.rest() == "cut"
        assert len(events.events) == 1
        assert events.decoder.retry is not None
        await rig.nobody_watches()


@pytest.mark.parametrize(
    ("options", "status"),
    [({"subprotocols": ["other.v1"]}, 400), ({"additional_headers": {"Origin": "http://evil.example"}}, 403)],
    ids=["subprotocol", "origin"],
)
async def test_who_may_not_come_in_is_refused_before_the_upgrade(server, options, status):
    async with running_server(server=server) as rig:
        with pytest.raises(InvalidStatus) as refused:
            async with peer_on(rig, **options):
                pass
        response = refused.value.response
        assert response.status_code == status
        assert json.loads(response.body)["status"] == status
