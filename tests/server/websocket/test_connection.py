"""P5 and P6 over a WebSocket, and rows 3, 4 and 33 of the faults: what a connection may cost, and how it ends."""

import asyncio
import json
import os
import socket
import time

import pytest
from scripted import FINISH
from websockets.exceptions import ConnectionClosed
from ws_rig import PATIENCE, PONG, TEXT, frame, limits, serving

from tokentape.core import messages
from tokentape.core.errors import StreamNotFound
from tokentape.core.frames import CloseCode
from tokentape.hub.channels import Publish
from tokentape.server.websocket import conversation
from tokentape.server.websocket.connection import MAX_STRIKES
from tokentape.server.websocket.inbox import MAX_REQUESTS
from tokentape.server.websocket_guard import PIECE

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def hanging(rig, monkeypatch):
    """A store that answers no publish until it is told to."""
    released = asyncio.Event()
    publish = rig.services.channels.publish

    async def wait(*args):
        await released.wait()
        return await publish(*args)

    monkeypatch.setattr(rig.services.channels, "publish", wait)
    return released


async def publish(rig, stream, *data) -> None:
    await rig.services.channels.publish(stream, [Publish("chat:x", item) for item in data])


# What a slow store holds up


async def test_pings_do_not_wait_for_the_store(hanging, peer):
    publishing = await peer.tell("publish", stream="room", type="chat:x", data=1)
    assert await peer.ask("ping") == {}
    await (await peer.ws.ping())
    hanging.set()
    assert (await peer.answer(publishing))["op"] == "ack"


async def test_what_may_wait_for_the_store_is_bounded_and_yet_all_is_carried_out(rig, hanging, peer):
    numbers = [await peer.tell("publish", stream="room", type="chat:x", data=n) for n in range(3 * MAX_REQUESTS)]
    ping = await peer.tell("ping")
    asyncio.get_running_loop().call_later(0.2, hanging.set)
    answers = [await peer.receive() for _ in [*numbers, ping]]
    assert {answer["op"] for answer in answers} == {"ack"}
    ids = [answer["id"] for answer in answers]
    # What is parsed in one go may lie beyond the limit: a piece has some 50 of these requests.
    assert ids.index(ping) >= 2 * MAX_REQUESTS - PIECE // 70, "the server had read past what may wait"
    ids.remove(ping)
    assert ids == numbers
    assert (await rig.services.store.info("room")).last == len(numbers)


# Who asks without reading


@pytest.mark.parametrize("request_", [{"op": "ping", "id": 1}, {"op": "history", "id": 1, "stream": "room"}])
async def test_a_flood_of_requests_whose_answers_are_not_read_is_closed(rig, request_, caplog):
    await publish(rig, "room", *["x" * 1000] * 50)
    raw = await rig.raw()
    flood = frame(TEXT, json.dumps(request_).encode()) * 100
    async with asyncio.timeout(PATIENCE):
        while "Too many requests" not in caplog.text:
            raw.send(flood)
            # The server takes what it can.
            await asyncio.wait([asyncio.ensure_future(raw.writer.drain())], timeout=0.05)
    assert await raw.closed() == CloseCode.POLICY
    assert len([r for r in caplog.records if "websocket" in r.message]) == 1


async def test_a_reader_that_stops_is_cut_at_the_deadline_while_others_go_on():
    async with serving(limits(write_deadline=0.4)) as rig, rig.peer() as peer:
        served = rig.served()
        stalled = await rig.raw()
        stalled.request("subscribe", stream="room")
        assert (await stalled.receive())["op"] == "ack"
        await peer.ask("subscribe", stream="room")
        for number in range(80):
            await publish(rig, "room", [number, "x" * 100_000])
        numbers = [(await peer.event())["event"]["data"][0] for _ in range(80)]
        assert numbers == list(range(80))
        await served.ended()
        assert rig.services.hub.watchers() == 1
        assert await stalled.closed() is None, "it must not look like a clean end"
        assert await peer.ask("ping") == {}


async def test_the_memory_of_a_stalled_reader_is_bounded(rig):
    raw = await rig.raw()
    connection = await subscribed(rig, raw, "room")
    for number in range(100):
        await publish(rig, "room", [number, "x" * 100_000])
    # The transport's own buffer: its limit, and one message that was written when there was room.
    assert connection.transport.get_write_buffer_size() < 65_536 + 200_000


async def test_a_reader_that_stops_is_cut_also_when_nothing_more_is_written():
    async with serving(limits(write_deadline=0.3)) as rig:
        served = rig.served()
        raw = await rig.raw()
        connection = await subscribed(rig, raw, "room")
        while not connection.transport.get_write_buffer_size():
            await publish(rig, "room", "x" * 10_000)
        await served.ended()
        assert rig.services.hub.watchers() == 0
        assert not rig.server.server_state.connections, "its buffer must not wait for a reader"


STILL = 0.4
"""Seconds: longer than a pong may take there."""


class StandsStill(asyncio.Protocol):
    """Holds up the loop in which it is read, while the answer to a ping comes."""

    def __init__(self, answering: int) -> None:
        self._answering = answering

    def data_received(self, data: bytes) -> None:
        os.write(self._answering, frame(PONG, data))
        time.sleep(STILL)


async def test_a_client_is_not_blamed_for_a_time_in_which_the_server_stood_still():
    here, there = socket.socketpair()
    with here, there:
        async with serving(ws_ping_interval=0.1, ws_ping_timeout=STILL / 2) as rig:
            raw = await rig.raw()
            answering = raw.writer.get_extra_info("socket").fileno()
            held_up, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: StandsStill(answering), there)
            for _ in range(3):
                here.send(await raw.pinged())
            held_up.abort()


async def test_a_reader_that_is_merely_slow_is_not_cut():
    async with serving(limits(write_deadline=1)) as rig:
        raw = await rig.raw()
        await subscribed(rig, raw, "room")
        await publish(rig, "room", *["x" * 50_000] * 40)
        await read_slowly(raw, 2_000_000, at_a_time=32_768)
        await still_there(rig, raw)


async def test_a_large_event_may_take_its_time():
    # It is one write, which tells nothing until all of it has left.
    async with serving(limits(write_deadline=1), sndbuf=16_384) as rig:
        raw = await rig.raw()
        await subscribed(rig, raw, "room")
        await publish(rig, "room", "x" * 250_000)
        await read_slowly(raw, 250_000, at_a_time=2_000)
        await still_there(rig, raw)


async def read_slowly(raw, size, *, at_a_time):
    """Slower than the server could, and for longer than its deadline; a machine that is busy for a moment is no cut."""
    while size > 0:
        data = await raw.reader.read(at_a_time)
        assert data, "it was cut"
        size -= len(data)
        await asyncio.sleep(0.02)


async def still_there(rig, raw):
    await publish(rig, "room", "still here")
    data = b""
    while b"still here" not in data:
        more = await raw.reader.read(65_536)
        assert more
        data += more


async def subscribed(rig, raw, stream):
    """Subscribes, and returns the server's side of the connection."""
    raw.request("subscribe", stream=stream)
    assert (await raw.receive())["op"] == "ack"
    (connection,) = rig.server.server_state.connections
    return connection


# What is no request


async def test_after_ten_messages_that_are_no_requests_the_connection_is_closed(peer, caplog):
    for text in ["hello", "[]", '{"op":"dance","id":1}', '{"op":"ping"}', '{"id":1}'] * 2:
        await peer.ws.send(text)
    code, reason = await peer.closed()
    assert code == CloseCode.POLICY
    assert str(MAX_STRIKES) in reason
    assert [m["op"] for m in peer.seen] == ["error"] * MAX_STRIKES
    assert {m["error"]["code"] for m in peer.seen} == {"protocol_error"}
    assert peer.seen[2]["id"] == 1
    assert len(caplog.records) == 1


async def test_nothing_is_carried_out_behind_the_message_that_was_too_much(rig):
    raw = await rig.raw()
    publishing = frame(TEXT, b'{"op":"publish","id":1,"stream":"room","type":"chat:x","data":1}')
    raw.send(frame(TEXT, b"hello") * MAX_STRIKES + publishing)
    assert await raw.closed() == CloseCode.POLICY
    assert len(raw.messages) == MAX_STRIKES
    with pytest.raises(StreamNotFound):
        await rig.services.store.info("room")


async def test_requests_that_are_merely_wrong_may_be_many(peer):
    for _ in range(3 * MAX_STRIKES):
        assert (await peer.refused("subscribe", stream=7))["code"] == "bad_request"
    assert await peer.ask("ping") == {}


async def test_a_binary_message_is_refused(peer):
    await peer.ws.send(b'{"op":"ping","id":1}')
    assert (await peer.closed())[0] == CloseCode.UNSUPPORTED_DATA


async def test_a_message_over_the_limit_is_refused_also_by_a_server_that_lets_it_through():
    async with serving(ws_max_size=4_194_304) as rig, rig.peer() as peer:
        await peer.ws.send(json.dumps({"op": "ping", "id": "x" * messages.MAX_MESSAGE}))
        assert (await peer.closed())[0] == CloseCode.TOO_BIG


async def test_a_message_up_to_the_limit_is_read(peer):
    start = {"op": "start", "id": 1, "request": {"messages": [{"role": "user", "content": ""}]}}
    room = messages.MAX_MESSAGE - len(json.dumps(start))
    start["request"]["messages"][0]["content"] = "x" * room
    await peer.ws.send(json.dumps(start))
    assert (await peer.receive())["op"] == "ack"


# Disconnects


async def test_a_disconnect_is_not_a_stop(rig):
    served = rig.served()
    async with rig.peer() as peer:
        run = await peer.ask("start", request=HELLO)
        await peer.ask("subscribe", stream=run["stream"])
        rig.provider.say("Hel")
        while (await peer.event())["event"]["type"] != "token":
            pass
    await served.ended()
    assert rig.services.hub.watchers() == 0
    rig.provider.say("lo", FINISH)
    async with rig.peer() as back:
        await back.ask("subscribe", stream=run["stream"])
        end = await back.until_end(run["stream"])
    assert end[-2]["event"]["data"]["reason"] == "stop"


async def test_what_was_received_is_carried_out_though_the_client_has_gone(rig, hanging):
    served = rig.served()
    async with rig.peer() as peer:
        for number in range(20):
            await peer.tell("publish", stream="room", type="chat:x", data=number)
        await peer.ask("ping")  # so all of them have arrived
    hanging.set()
    await served.ended()
    assert (await rig.services.store.info("room")).last == 20


async def test_who_has_gone_watches_nothing_though_a_request_still_hangs(rig, hanging):
    left = asyncio.Event()
    async with rig.peer() as peer:
        await peer.ask("subscribe", stream="room")
        rig.services.hub.on_audience.append(lambda _stream, count: count or left.set())
        await peer.tell("publish", stream="room", type="chat:x", data=1)
        await peer.ask("ping")
    await asyncio.wait_for(left.wait(), 2)
    assert not hanging.is_set()
    hanging.set()


async def test_a_server_that_is_forced_to_end_leaves_nothing_behind(rig, peer):
    await peer.ask("subscribe", stream="room")
    await peer.ask("presence", stream="room", action="track", member="ada")
    await rig.force()
    assert rig.services.hub.watchers() == 0
    assert await rig.services.channels.members("room") == []


async def test_a_request_that_never_ends_does_not_keep_a_connection_that_has_gone(rig, hanging, monkeypatch):
    monkeypatch.setattr(conversation, "PARTING_SECONDS", 0.05)
    served = rig.served()
    async with rig.peer() as peer:
        await peer.ask("presence", stream="room", action="track", member="ada")
        await peer.tell("publish", stream="room", type="chat:x", data=1)
        await peer.ask("ping")
    await served.ended()
    assert await rig.services.channels.members("room") == []


# How the server ends it


async def test_a_drain_says_so_after_what_was_recorded_and_ends_no_subscription(rig, peer):
    run = await peer.ask("start", request=HELLO)
    await peer.ask("subscribe", stream=run["stream"])
    await peer.ask("subscribe", stream="room")
    await publish(rig, "room", *range(100))
    rig.services.hub.drain()
    code, reason = await peer.closed()
    assert code == CloseCode.DRAINING
    assert "reconnect" in reason
    assert "end" not in [m["op"] for m in peer.seen]


async def test_what_was_on_its_way_is_sent_before_the_close(rig):
    raw = await rig.raw()
    connection = await subscribed(rig, raw, "room")
    while not connection.transport.get_write_buffer_size():
        await publish(rig, "room", "x" * 100_000)
    async with rig.peer() as other:
        await other.ask("subscribe", stream="room", **{"from": "now"})
        # The client reads nothing, so that the answers of these wait, and the events of them stay behind.
        for number in range(20):
            raw.request("publish", stream="room", type="chat:x", data=number)
        while (await other.event())["event"]["data"] != 19:
            pass
        await other.ask("unsubscribe", stream="room")
    rig.services.hub.drain()
    assert await raw.closed() == CloseCode.DRAINING
    assert [m["op"] for m in raw.messages if m["op"] != "event"] == ["ack"] * 20
    offsets = [int(m["cursor"].partition("-")[2]) for m in raw.messages if m["op"] == "event"]
    assert offsets == list(range(1, len(offsets) + 1))
    assert offsets


async def test_who_subscribes_during_a_drain_is_told_to_come_again(rig, peer):
    rig.services.hub.drain()
    error = await peer.refused("subscribe", stream="room")
    assert (error["code"], error["retryable"]) == ("shutting_down", True)


async def test_the_end_of_the_server_has_a_code_and_a_reason():
    async with serving() as rig, rig.peer() as peer:
        await peer.ask("ping")
        await rig.shut_down()
        code, reason = await peer.closed()
    assert code == CloseCode.DRAINING
    assert "reconnect" in reason


async def test_a_failure_of_the_connection_itself_is_told(peer, monkeypatch, caplog):
    monkeypatch.setattr(messages, "decode_request", lambda _text: 1 / 0)
    await peer.tell("ping")
    assert (await peer.closed())[0] == CloseCode.INTERNAL_ERROR
    assert "ZeroDivisionError" in caplog.text


async def test_nothing_is_left_of_a_connection(rig):
    before = asyncio.all_tasks()
    for end in ("close", "drop"):
        served = rig.served()
        raw = await rig.raw()
        raw.request("subscribe", stream="room")
        await raw.receive()
        if end == "drop":
            raw.drop()
        else:
            raw.send(frame(8, b"\x03\xe8"))
            assert await raw.closed() == 1000
            raw.drop()
        await served.ended()
    assert rig.services.hub.watchers() == 0
    assert asyncio.all_tasks() <= before | set(rig.server.server_state.tasks)


async def test_a_client_that_closes_gets_its_code_back(rig):
    async with rig.peer() as peer:
        await peer.ask("ping")
        await peer.ws.close(1000, "bye")
        with pytest.raises(ConnectionClosed):
            await peer.ws.recv()
        assert peer.ws.close_code == 1000
