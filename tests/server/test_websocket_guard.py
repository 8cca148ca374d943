"""Rows 5 and 33 of the faults: peers that are hostile or dead, against a real socket."""

import asyncio
import itertools
import json
import time
import zlib

import pytest
from ws_rig import BINARY, CLOSE, CONT, PATIENCE, PING, PONG, TEXT, frame, limits, serving

from tokentape.core.frames import CloseCode
from tokentape.core.messages import MAX_MESSAGE
from tokentape.hub.channels import Publish
from tokentape.server import websocket_guard
from tokentape.server.websocket_guard import MAX_CONTROLS, MAX_FRAGMENTS, PIECE

PING_REQUEST = b'{"op":"ping","id":1}'
ACK = {"op": "ack", "id": 1, "data": {}}


@pytest.fixture(params=["direct", "asgi"])
async def rig(request):
    """The guard is the same for an application that takes the connection over, and for any other."""
    async with serving(hidden=request.param == "asgi") as rig:
        yield rig


@pytest.fixture
async def raw(rig):
    return await rig.raw()


def log_of(caplog) -> list[str]:
    return [record.message for record in caplog.records if record.levelname != "DEBUG"]


# Sizes


async def test_a_message_over_the_limit_is_refused_by_its_header(raw, caplog):
    raw.send(frame(TEXT, b"x", size=10 * MAX_MESSAGE))
    assert await raw.closed() == CloseCode.TOO_BIG
    assert len(log_of(caplog)) == 1


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(TEXT, b"x", size=10 * MAX_MESSAGE), CloseCode.TOO_BIG),
        # The message makes the server pause; what follows in the same read is refused.
        (frame(TEXT, PING_REQUEST) + frame(PING) * 200, CloseCode.POLICY),
    ],
)
async def test_a_refused_client_may_finish_what_it_was_sending(raw, frames, code):
    raw.send(frames)
    assert await raw.closed() == code
    for _ in range(100):
        raw.send(b"x" * 65_536)
        await raw.writer.drain()  # a reset would be raised here, and might have swallowed the close frame


async def test_a_refused_client_need_not_wait_for_the_end(raw, monkeypatch):
    monkeypatch.setattr(websocket_guard, "LINGER", 60)
    raw.send(frame(3))
    assert await raw.closed() == CloseCode.PROTOCOL
    async with asyncio.timeout(PATIENCE):
        assert await raw.reader.read() == b""


async def test_a_message_over_the_limit_in_fragments_is_refused(raw, caplog):
    raw.send(frame(TEXT, b"x" * 1000, fin=False), *[frame(CONT, b"x" * 100_000, fin=False)] * 11)
    assert await raw.closed() == CloseCode.TOO_BIG
    assert len(log_of(caplog)) == 1


async def test_deflate_bombs_are_not_unpacked(rig, caplog):
    raw = await rig.raw(headers="Sec-WebSocket-Extensions: permessage-deflate\r\n")
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(b'"' + b"x" * 50_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)
    raw.send(frame(TEXT, bomb[:-4], rsv1=True))
    assert await raw.closed() == CloseCode.PROTOCOL
    assert len(log_of(caplog)) == 1


# Fragments


async def test_a_message_may_come_byte_by_byte(raw):
    pieces = [PING_REQUEST[i : i + 1] for i in range(len(PING_REQUEST))]
    raw.send(frame(TEXT, pieces[0], fin=False), *[frame(CONT, piece, fin=False) for piece in pieces[1:]])
    raw.send(frame(PING, b"in between"), frame(CONT))
    assert await raw.receive() == ACK
    assert raw.pongs == 1


async def test_a_flood_of_fragments_is_refused(raw, caplog):
    raw.send(frame(TEXT, b"", fin=False), *[frame(CONT, b"", fin=False)] * (2 * MAX_FRAGMENTS))
    assert await raw.closed() == CloseCode.POLICY
    assert len(log_of(caplog)) == 1


# Frames


@pytest.mark.parametrize(
    "broken",
    [
        b"\x81\x02{}",  # not masked
        frame(CONT, b"x"),  # nothing to continue
        frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"),  # a message within a message
        frame(PING, b"x" * 126),
        frame(PING, fin=False),
        frame(3),
    ],
)
async def test_broken_frames_are_refused(raw, broken, caplog):
    raw.send(broken)
    assert await raw.closed() == CloseCode.PROTOCOL
    assert len(log_of(caplog)) == 1


@pytest.mark.parametrize(
    "frames",
    [
        [frame(TEXT, b'{"op":"ping","id":"\xff"}')],
        [frame(TEXT, b'"\xc3', fin=False), frame(CONT, b'x"')],
        [frame(TEXT, b"\xed\xa0\x80")],  # half of a surrogate pair
    ],
)
async def test_text_that_is_not_utf8_is_refused(raw, frames, caplog):
    raw.send(*frames)
    assert await raw.closed() == CloseCode.INVALID_DATA
    assert len(log_of(caplog)) == 1
    assert "Traceback" not in caplog.text


async def test_a_character_may_be_split_between_fragments(raw):
    raw.send(frame(TEXT, b'{"op":"ping","id":"\xc3', fin=False), frame(CONT, b'\xa9"}'))
    assert (await raw.receive())["id"] == "é"


async def test_a_close_in_the_middle_of_a_message_ends_it_quietly(raw, caplog):
    raw.send(frame(TEXT, PING_REQUEST), frame(CLOSE, b"\x03\xe8"))
    assert await raw.closed() == CloseCode.NORMAL
    assert log_of(caplog) == []


# Floods


async def test_pings_are_answered(raw):
    raw.send(frame(PING, b"are you there?"), frame(TEXT, PING_REQUEST))
    assert await raw.receive() == ACK
    assert raw.pongs == 1


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_a_flood_of_pings_or_pongs_is_refused(raw, opcode, caplog):
    raw.send(frame(opcode) * 50_000)
    assert await raw.closed() == CloseCode.POLICY
    assert raw.pongs <= MAX_CONTROLS + PIECE // 6
    assert len(log_of(caplog)) == 1


async def test_a_read_full_of_tiny_frames_becomes_no_queue_of_messages(rig, raw):
    raw.send(frame(TEXT, PING_REQUEST))
    await raw.receive()
    (connection,) = rig.server.server_state.connections
    tiny = frame(TEXT, b"1")
    connection.data_received(tiny * 40_000)
    assert len(connection._unparsed) > 20_000 * len(tiny)
    if connection.sink is None:
        assert connection.queue.qsize() <= PIECE // len(tiny) + 1
    assert await raw.closed() == CloseCode.POLICY  # they are no requests


async def test_a_read_full_of_requests_does_not_hold_the_loop(rig):
    raw = await rig.raw(window=4 * 1_048_576)  # who reads more slowly than it asks is cut
    raw.send(frame(TEXT, PING_REQUEST))
    await raw.receive()
    (connection,) = rig.server.server_state.connections
    loop = asyncio.get_running_loop()

    async def longest_turn():
        """In seconds of this thread, in which some machines count what they were stopped for."""
        turns = []

        def turn():
            turns.append(time.thread_time())
            if len(turns) < 40_000:
                loop.call_soon(turn)

        turn()
        connection.data_received(frame(TEXT, PING_REQUEST) * 20_000)
        for _ in range(20_000):
            assert await raw.receive() == ACK
        return max(after - before for before, after in itertools.pairwise(turns))

    # Who handles it in one turn takes twice as long, every time; the collector or a pause of the machine comes once.
    for _ in range(3):
        longest = await longest_turn()
        if longest < 0.05:
            return
    pytest.fail(f"a turn took {longest:.3f} s")


async def test_the_order_of_many_frames_in_one_read_is_kept(raw):
    requests = [{"op": "ping", "id": number} for number in range(5000)]
    raw.send(*[frame(TEXT, json.dumps(request).encode()) for request in requests])
    assert [(await raw.receive())["id"] for _ in requests] == list(range(5000))


async def test_a_client_that_closes_behind_many_frames_is_not_waited_for(rig, raw):
    raw.send(frame(TEXT, PING_REQUEST))
    await raw.receive()
    (connection,) = rig.server.server_state.connections
    connection.close_timeout = 60
    connection.data_received(frame(TEXT, b"1") * 2000 + frame(CLOSE, b"\x03\xe8"))
    assert await raw.closed() == CloseCode.POLICY
    async with asyncio.timeout(PATIENCE):
        assert await raw.reader.read() == b""


async def test_a_server_that_ends_while_a_client_closes(rig, raw):
    raw.send(frame(TEXT, PING_REQUEST))
    await raw.receive()
    (connection,) = rig.server.server_state.connections
    connection.data_received(frame(CLOSE, b"\x03\xe8"))
    await rig.shut_down()
    assert await raw.closed() == CloseCode.NORMAL


async def test_binary_is_refused(raw):
    raw.send(frame(BINARY, PING_REQUEST))
    assert await raw.closed() == CloseCode.UNSUPPORTED_DATA


# Who answers no ping


HASTE = {"ws_ping_interval": 0.1, "ws_ping_timeout": 0.2}


async def test_a_client_that_answers_is_kept():
    async with serving(**HASTE) as rig, rig.peer() as peer:
        await asyncio.sleep(0.6)  # several pings and time-outs
        assert await peer.ask("ping") == {}


async def test_a_client_that_reads_and_never_answers_a_ping_is_dropped(caplog):
    async with serving(**HASTE) as rig:
        raw = await rig.raw()
        assert await raw.closed() == CloseCode.HEARTBEAT_LOST
        assert raw.pings > 0
        assert len(log_of(caplog)) == 1


@pytest.mark.parametrize("hidden", [False, True])
async def test_an_unread_client_that_never_answers_a_ping_is_dropped(hidden):
    async with serving(limits(write_deadline=30), hidden=hidden, **HASTE) as rig:
        raw = await rig.raw()
        raw.request("subscribe", stream="room")
        await raw.receive()
        (connection,) = rig.server.server_state.connections
        while not connection.transport.get_write_buffer_size():
            await rig.services.channels.publish("room", [Publish("chat:x", "x" * 100_000)])
        await rig.idle()
        assert rig.services.hub.watchers() == 0
        assert await raw.closed() is None


async def test_a_client_is_not_blamed_for_pongs_that_the_server_does_not_read(monkeypatch):
    async with serving(**HASTE) as rig:
        released = asyncio.Event()
        publish = rig.services.channels.publish

        async def hang(*args):
            await released.wait()
            return await publish(*args)

        monkeypatch.setattr(rig.services.channels, "publish", hang)
        async with rig.peer() as peer:
            numbers = [await peer.tell("publish", stream="room", type="chat:x", data=n) for n in range(600)]
            await asyncio.sleep(0.6)  # several pings and time-outs
            released.set()
            for number in numbers:
                assert (await peer.answer(number))["op"] == "ack"


# Under a server that is not ours


async def test_without_our_protocol_a_stalled_reader_still_costs_no_watcher():
    async with serving(limits(write_deadline=0.3), plain=True) as rig:
        raw = await rig.raw()
        raw.request("subscribe", stream="room")
        await raw.receive()
        for _ in range(40):
            await rig.services.channels.publish("room", [Publish("chat:x", "x" * 100_000)])
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*rig.server.server_state.tasks)
        assert rig.services.hub.watchers() == 0


async def test_without_our_protocol_everything_else_works():
    async with serving(plain=True) as rig, rig.peer() as peer:
        await peer.ask("subscribe", stream="room")
        await peer.ask("publish", stream="room", type="chat:x", data=1)
        assert (await peer.event())["event"]["data"] == 1
