"""A connection that was taken over from ASGI: what it costs, what it writes, and that nothing else changes."""

import asyncio
import gc
import json

import pytest
from websockets.exceptions import InvalidStatus
from ws_rig import PATIENCE, TEXT, frame, limits, serving, text_of

from tokentape.core.events import Event
from tokentape.core.frames import CloseCode
from tokentape.hub.channels import Publish
from tokentape.server.config import Auth, ServerConfig
from tokentape.server.protocols import WebSocketProtocol
from tokentape.server.protocols.websocket import WebSocketLink
from tokentape.server.settings import ApiKey
from tokentape.server.transport import Way
from tokentape.server.websocket import conversation
from tokentape.server.websocket.connection import Connection
from tokentape.server.websocket.direct import DirectWire
from tokentape.stores.base import Append


@pytest.fixture
async def rig():
    async with serving() as rig:
        yield rig


class Recorded:
    """A socket that tells what it is given."""

    def __init__(self, sock, told):
        self._socket = sock
        self._told = told

    def send(self, data):
        self._told.append(data)
        return self._socket.send(data)


@pytest.fixture
def writes(monkeypatch):
    """What is written to each connection, one list for each in their order."""
    taken = []
    take = WebSocketLink.take

    def recording(link, flow):
        way, mine = take(link, flow), []
        taken.append(mine)

        def write(data):
            mine.append(data)
            way.write(data)

        return Way(write, Recorded(way.socket, mine))

    monkeypatch.setattr(WebSocketLink, "take", recording)
    return taken


async def publish(rig, *data) -> None:
    await rig.services.channels.publish("room", [Publish("chat:x", item) for item in data])


async def tokens(rig, count) -> str:
    texts = [f"{number} " for number in range(count)]
    events = [Event(type="token", run="r_1", data=text) for text in texts]
    await rig.services.hub.append(Append(stream="room"), events)
    return "".join(texts)


async def subscribed(rig):
    """A client that reads when it is told to, watching the room, and the server's side of it."""
    served = rig.served()
    raw = await rig.raw()
    raw.request("subscribe", stream="room")
    assert (await raw.receive())["op"] == "ack"
    (connection,) = served.connections
    return raw, connection


async def fill(rig, connection) -> int:
    """Publishes until the client's side of the network takes nothing more; returns how many events that took."""
    count = 0
    while not connection.transport.get_write_buffer_size():
        await publish(rig, "x" * 50_000)
        count += 1
    return count


# What it costs


async def test_a_silent_connection_has_no_task(rig):
    before = asyncio.all_tasks()
    for _ in range(50):
        await subscribed(rig)
    assert rig.services.hub.audience("room") == 50
    # The answer comes before its worker is through.
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert rig.server.server_state.tasks == set()


async def test_it_holds_nothing_of_the_request_that_it_began_with(rig):
    _, connection = await subscribed(rig)
    assert connection.scope is None
    assert connection.request is None
    assert connection.response is None
    assert connection.server is None


async def test_it_has_neither_a_dict_nor_a_timer_of_its_own(rig):
    _, connection = await subscribed(rig)
    assert vars(connection) == {}, "what is named here belongs to the slots"
    assert connection.ping_timer is None
    assert connection.pong_timer is None


async def test_events_are_fanned_out_without_a_task_and_a_publisher_without_more_than_one(rig, peer):
    for _ in range(10):
        await subscribed(rig)
    seen = set()
    for number in range(20):
        await peer.tell("publish", stream="room", type="chat:x", data=number)
        for _ in range(5):
            seen |= {task.get_coro().__qualname__ for task in asyncio.all_tasks()}
            await asyncio.sleep(0)
    await peer.ask("ping")
    ours = ("Connection.", "Conversation.", "DirectWire.", "Subscriptions.")
    assert {name for name in seen if name.startswith(ours)} == {"Conversation._work"}


async def test_nothing_is_left_after_many_connections(rig):
    for turn in range(200):
        raw = await rig.raw()
        raw.request("subscribe", stream="room")
        assert (await raw.receive())["op"] == "ack"
        if turn % 2:
            raw.drop()
        else:
            raw.send(frame(8, b"\x03\xe8"))
            assert await raw.closed() == 1000
            raw.drop()
    await rig.idle()
    assert rig.services.hub.watchers() == 0
    rig.raws.clear()
    gc.collect()
    left = [thing for thing in gc.get_objects() if isinstance(thing, (Connection, DirectWire, WebSocketProtocol))]
    assert left == []


# What it writes


async def test_an_event_is_one_write_of_bytes_that_all_share(rig, writes):
    raws = [(await subscribed(rig))[0] for _ in range(3)]
    for mine in writes:
        mine.clear()
    await publish(rig, "hello")
    assert [(await raw.receive())["event"]["data"] for raw in raws] == ["hello"] * 3
    one, two, three = writes
    assert len(one) == 1
    assert one[0] is two[0] is three[0]


async def test_events_that_come_together_are_one_write(rig, writes):
    raw, _ = await subscribed(rig)
    writes[0].clear()
    await publish(rig, *range(50))
    assert [(await raw.receive())["event"]["data"] for _ in range(50)] == list(range(50))
    assert len(writes[0]) == 1


async def test_a_client_that_pauses_gets_what_it_missed_merged(rig, writes):
    raw, connection = await subscribed(rig)
    count = await fill(rig, connection)
    before = len(writes[0])
    text = ""
    for _ in range(20):
        text += await tokens(rig, 500)
    assert len(writes[0]) == before, "nothing is written to a connection that takes nothing"
    for _ in range(count):
        assert (await raw.receive())["event"]["type"] == "chat:x"
    seen = []
    while not seen or not seen[-1]["cursor"].endswith(f"-{count + 10_000}"):
        seen.append(await raw.receive())
    assert text_of(seen) == text
    assert len(seen) < 100
    await publish(rig, "live again")
    assert (await raw.receive())["event"]["data"] == "live again"


async def test_answers_and_events_keep_their_order_while_the_client_pauses(rig):
    raw, connection = await subscribed(rig)
    count = await fill(rig, connection)
    served = rig.services.channels
    done = asyncio.Event()
    publish_ = served.publish
    left = 60

    async def counted(*args):
        nonlocal left
        cursor = await publish_(*args)
        left -= 1
        if not left:
            done.set()
        return cursor

    served.publish = counted
    for number in range(60):
        raw.send(frame(TEXT, json.dumps(request(number)).encode()))
    await asyncio.wait_for(done.wait(), PATIENCE)
    acks, events = [], []
    while len(acks) < 60 or len(events) < count + 60:
        message = await raw.receive()
        if message["op"] == "ack":
            acks.append((message["id"], offset(message["data"])))
        else:
            events.append(offset(message))
    assert acks == [(number, count + 1 + number) for number in range(60)]
    assert events == list(range(1, count + 61))


def request(number: int) -> dict:
    return {"op": "publish", "id": number, "stream": "room", "type": "chat:x", "data": number}


def offset(message: dict) -> int:
    return int(message["cursor"].partition("-")[2])


# How it ends


async def test_who_stops_reading_is_cut_and_nobody_else_waits(writes):
    """Faults, row 3."""
    async with serving(limits(write_deadline=0.4)) as rig:
        others = [(await subscribed(rig))[0] for _ in range(5)]
        served = rig.served()
        stalled, connection = await subscribed(rig)
        count = await fill(rig, connection)
        for number in range(30):
            await publish(rig, number)
        for raw in others:
            seen = [(await raw.receive())["event"]["data"] for _ in range(count + 30)]
            assert seen[count:] == list(range(30))
        await served.ended()
        assert rig.services.hub.watchers() == 5
        assert await stalled.closed() is None, "it must not look like a clean end"
        # Nothing was kept for it beyond what it had been sent: the answer, the events, and of the last one the rest.
        assert len(writes[5]) <= count + 2


async def test_who_reads_a_little_at_a_time_is_served():
    """Faults, row 4: merged events, in bounded memory."""
    async with serving(limits(write_deadline=1), sndbuf=16_384) as rig:
        raw, connection = await subscribed(rig)
        text, held = "", 0
        reading = asyncio.create_task(read_slowly(raw))
        for _ in range(60):
            text += await tokens(rig, 500)
            held = max(held, connection.transport.get_write_buffer_size())
            await asyncio.sleep(0.01)
        await publish(rig, "last")
        data = await asyncio.wait_for(reading, 2 * PATIENCE)
        assert text_of(messages_of(data)) == text
        assert held <= 70_000


async def read_slowly(raw) -> bytes:
    data = b""
    while not (b'"last"' in data[-4000:] and data.endswith(b"}}")):
        more = await raw.reader.read(3000)
        assert more, "it was cut"
        data += more
        await asyncio.sleep(0.002)
    return data


def messages_of(data: bytes) -> list[dict]:
    found = []
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10]), 10
        found.append(json.loads(data[start : start + size]))
        data = data[start + size :]
    return found


async def test_a_drain_says_so_also_to_those_who_are_silent(rig):
    raws = [(await subscribed(rig))[0] for _ in range(20)]
    rig.services.hub.drain()
    assert [await raw.closed() for raw in raws] == [CloseCode.DRAINING] * 20


async def test_who_takes_nothing_does_not_hold_up_the_end():
    async with serving(limits(write_deadline=0.3)) as rig:
        raw, connection = await subscribed(rig)
        await fill(rig, connection)
        rig.services.hub.drain()
        await rig.idle()
        assert await raw.closed() is None


async def test_a_client_that_goes_while_the_server_says_goodbye(rig):
    raw, connection = await subscribed(rig)
    await fill(rig, connection)
    rig.services.hub.drain()
    await asyncio.sleep(0)
    raw.drop()
    await rig.idle()
    assert rig.services.hub.watchers() == 0


async def test_the_end_of_a_run_is_told_when_its_last_byte_has_left(rig):
    raw, connection = await subscribed(rig)
    await fill(rig, connection)
    await rig.services.hub.append(Append(stream="room", close=True), [Event(type="chat:x", data="last")])
    # Its subscription is not over as long as the client has not got it.
    assert rig.services.hub.watchers() == 1
    while (await raw.receive())["op"] != "end":
        pass
    raw.request("ping")
    assert (await raw.receive())["op"] == "ack"
    assert rig.services.hub.watchers() == 0


# Where it is not to be had


class Between:
    """A middleware that has its own idea of when a connection is accepted."""

    def __init__(self, *, after_accept=None, keep=False):
        self.after_accept = after_accept
        self.keep = keep

    def around(self, app):
        async def between(scope, receive, send):
            kept = []

            async def passed(message):
                if self.keep and message["type"] == "websocket.accept":
                    kept.append(message)
                    return
                for held in kept:
                    await send(held)
                kept.clear()
                await send(message)
                if message["type"] == "websocket.accept" and self.after_accept is not None:
                    await self.after_accept()

            await app(scope, receive, passed)

        return between


async def test_an_acceptance_that_was_kept_back_leaves_the_connection_to_asgi(monkeypatch):
    # Nothing could be written directly before the client has its answer to the upgrade.
    monkeypatch.setattr(conversation, "AUTH_SECONDS", 0.05)
    config = ServerConfig(auth=Auth(api_keys=(ApiKey("secret"),)))
    async with serving(config, middleware=Between(keep=True).around) as rig, rig.peer() as peer:
        assert (await peer.closed())[0] == CloseCode.UNAUTHORIZED


async def test_an_acceptance_may_have_headers_of_its_own():
    def around(app):
        async def adding(scope, receive, send):
            async def passed(message):
                if message["type"] == "websocket.accept":
                    message = {**message, "headers": [(b"x-mine", b"1"), (b"set-cookie", b"a=b")]}
                await send(message)

            await app(scope, receive, passed)

        return adding

    async with serving(middleware=around) as rig, rig.peer() as peer:
        headers = peer.ws.response.headers
        assert (headers["x-mine"], headers["set-cookie"], headers["Sec-WebSocket-Protocol"]) == (
            "1",
            "a=b",
            "tokentape.v1",
        )
        await peer.ask("publish", stream="room", type="chat:x", data=1)


async def test_what_came_before_the_application_took_over_is_not_lost():
    arrived = asyncio.Event()
    async with serving(middleware=Between(after_accept=arrived.wait).around) as rig, rig.peer() as peer:
        first = await peer.tell("publish", stream="room", type="chat:x", data=1)
        second = await peer.tell("publish", stream="room", type="chat:x", data=2)
        (connection,) = rig.server.server_state.connections
        while connection.queue.empty():  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.002)
        arrived.set()
        assert [offset((await peer.answer(number))["data"]) for number in (first, second)] == [1, 2]
        assert connection.sink is not None


async def test_a_client_that_went_before_the_application_took_over():
    left = asyncio.Event()
    async with serving(middleware=Between(after_accept=left.wait).around) as rig:
        raw = await rig.raw()
        (connection,) = rig.server.server_state.connections
        raw.send(frame(8, b"\x03\xe8"))
        assert await raw.closed() == 1000
        left.set()
        await rig.idle()
        assert connection.sink is None


async def test_an_application_that_sends_after_it_has_handed_over_is_told_that_it_cannot(rig):
    _, connection = await subscribed(rig)
    with pytest.raises(OSError):
        await connection.send({"type": "websocket.send", "text": "late"})


@pytest.mark.parametrize("raises", [False, True])
async def test_an_application_that_neither_accepts_nor_refuses_has_failed(raises, caplog):
    async def unfinished(scope, receive, send):
        if raises:
            raise RuntimeError("it is broken")

    async with serving(middleware=lambda _: unfinished) as rig:
        with pytest.raises(InvalidStatus) as refusal:
            async with rig.peer():
                pass
        assert refusal.value.response.status_code == 500
        await rig.idle()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
