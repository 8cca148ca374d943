"""P1, P2, P4 and P5 over a WebSocket: exact order, exact resume, and one connection shared fairly."""

import asyncio
import json
import random

import pytest
from scripted import FINISH
from ws_rig import serving, text_of

from tokentape.core.errors import StoreUnavailable
from tokentape.core.events import Event
from tokentape.core.messages import Subscribe
from tokentape.hub.channels import Publish
from tokentape.server.websocket.asgi import AsgiWire
from tokentape.server.websocket.socket import Socket
from tokentape.server.websocket.subscriptions import Subscriptions
from tokentape.stores.base import Append, Retention

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


async def publish(rig, stream, *data) -> None:
    await rig.services.channels.publish(stream, [Publish("chat:x", item) for item in data])


async def tokens(rig, stream, count, *, run="r_1") -> str:
    texts = [f"{number} " for number in range(count)]
    await rig.services.channels.ensure(stream)
    await rig.services.hub.append(Append(stream=stream), [Event(type="token", run=run, data=text) for text in texts])
    return "".join(texts)


async def collect(peer, stream, last):
    """Events of a stream up to the one whose offset is `last`."""
    found = []
    while not found or offset(found[-1]) != last:
        message = await peer.receive()
        if message.get("stream") == stream and message["op"] == "event":
            found.append(message)
    return found


def offset(message) -> int:
    return int(message["cursor"].partition("-")[2])


# How a view begins


async def test_the_ack_says_how_the_view_begins_and_comes_before_its_events(rig, peer):
    await publish(rig, "room", *range(3))
    publishing = asyncio.create_task(keep_publishing(rig, "room"))
    for _ in range(5):
        data = await peer.ask("subscribe", stream="room")
        assert data["outcome"] == "replayed"
        assert not [m for m in peer.seen if m.get("stream") == "room"]
        assert offset(await peer.event()) == 1
        await peer.ask("unsubscribe", stream="room")
        peer.seen.clear()
    publishing.cancel()


async def keep_publishing(rig, stream):
    while True:
        await publish(rig, stream, "more")
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("position", "told", "first"),
    [
        ("start", ("replayed", None), 1),
        ("snapshot", ("snapshot", None), 1),
        ("now", ("live", None), 4),
        ("{epoch}-2", ("replayed", None), 3),
        ("{epoch}-3", ("live", None), 4),
        ("{epoch}-99", ("gone", "future"), 1),
        ("zzzz-2", ("gone", "epoch"), 1),
    ],
)
async def test_every_way_to_begin(rig, peer, position, told, first):
    await publish(rig, "room", 1, 2, 3)
    epoch = (await rig.services.store.info("room")).epoch
    data = await peer.ask("subscribe", stream="room", **{"from": position.format(epoch=epoch)})
    assert (data["outcome"], data.get("reason")) == told
    await publish(rig, "room", 4)
    found = await collect(peer, "room", 4)
    assert [offset(m) for m in found] == list(range(first, 5))


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"stream": "room", "from": "garbage"}, "invalid_cursor"),
        ({"stream": "room", "from": "k" * 10_000}, "invalid_cursor"),
        ({"stream": "$runs"}, "invalid_name"),
        ({"stream": "two words"}, "invalid_name"),
    ],
)
async def test_what_cannot_be_subscribed(peer, members, code):
    assert (await peer.refused("subscribe", **members))["code"] == code


async def test_without_a_position_a_channel_is_played_from_now_and_a_run_from_its_start(rig, peer):
    await publish(rig, "room", 1)
    run = await peer.ask("start", request=HELLO)
    rig.provider.say("Hi", FINISH)
    assert (await peer.ask("subscribe", stream="room", **{"from": None}))["outcome"] == "live"
    assert (await peer.ask("subscribe", stream=run["stream"], **{"from": None}))["cursor"].endswith("-0")


async def test_a_run_that_is_not_there(peer):
    error = await peer.refused("subscribe", stream="runs/r_none")
    assert (error["code"], error["retryable"]) == ("run_not_found", False)


async def test_a_name_is_subscribed_once_at_a_time(peer):
    await peer.ask("subscribe", stream="room")
    assert (await peer.refused("subscribe", stream="room"))["code"] == "bad_request"
    await peer.ask("unsubscribe", stream="room")
    assert (await peer.refused("unsubscribe", stream="room"))["code"] == "bad_request"
    await peer.ask("subscribe", stream="room")


async def test_nothing_comes_after_the_ack_of_unsubscribe(rig, peer):
    await peer.ask("subscribe", stream="room")
    publishing = asyncio.create_task(keep_publishing(rig, "room"))
    await peer.event()
    await peer.ask("unsubscribe", stream="room")
    peer.seen.clear()
    await peer.ask("ping")
    await publish(rig, "room", "last")
    await peer.ask("ping")
    assert peer.seen == []
    publishing.cancel()


# Merging


async def test_a_late_joiner_gets_the_same_text_in_few_messages(rig, peer):
    text = await tokens(rig, "room", 3000)
    await peer.ask("subscribe", stream="room")
    merged = await collect(peer, "room", 3000)
    assert text_of(merged) == text
    assert len(merged) < 30


async def test_without_merging_each_event_comes_as_it_was_recorded(rig, peer):
    text = await tokens(rig, "room", 3000)
    await peer.ask("subscribe", stream="room", merge=False)
    found = await collect(peer, "room", 3000)
    assert [offset(m) for m in found] == list(range(1, 3001))
    assert text_of(found) == text


# Runs


async def test_the_end_is_said_once_and_the_connection_goes_on(rig, peer):
    run = await peer.ask("start", request=HELLO)
    await peer.ask("subscribe", stream=run["stream"])
    rig.provider.say("Hi", FINISH)
    first = await peer.until_end(run["stream"])
    assert [m["op"] for m in first].count("end") == 1
    # It is over, so the name is free again; and a replay is the same story.
    await peer.ask("subscribe", stream=run["stream"])
    again = await peer.until_end(run["stream"])
    assert text_of(again) == text_of(first) == "Hi"
    assert again[-1] == first[-1]


async def test_a_client_that_has_it_all_is_told_the_end_at_once(rig, peer):
    run = await peer.ask("start", request=HELLO)
    rig.provider.say("Hi", FINISH)
    await peer.ask("subscribe", stream=run["stream"])
    end = (await peer.until_end(run["stream"]))[-1]
    await peer.ask("subscribe", stream=run["stream"], **{"from": end["cursor"]})
    assert await peer.receive() == end


async def test_a_run_on_a_channel_is_seen_alone_under_its_own_name(rig, peer):
    await publish(rig, "room", "before")
    run = await peer.ask("start", request={**HELLO, "channel": "room"})
    own = f"runs/{run['id']}"
    await peer.ask("subscribe", stream=own)
    await publish(rig, "room", "meanwhile")
    rig.provider.say("Hi", FINISH)
    messages = await peer.until_end(own)
    assert {m["event"].get("run") for m in messages if m["op"] == "event"} == {run["id"]}
    assert text_of(messages) == "Hi"
    await publish(rig, "room", "after")
    # The channel goes on, and yet who comes back with the end of the run is not left waiting.
    await peer.ask("subscribe", stream=own, **{"from": messages[-1]["cursor"]})
    assert (await peer.receive())["op"] == "end"
    await peer.ask("subscribe", stream=own, **{"from": run["cursor"]})
    assert text_of(await peer.until_end(own)) == "Hi"


async def test_a_channel_and_its_run_on_one_connection(rig, peer):
    run = await peer.ask("start", request={**HELLO, "channel": "room"})
    own = f"runs/{run['id']}"
    await peer.ask("subscribe", stream="room")
    await peer.ask("subscribe", stream=own)
    rig.provider.say("Hi", FINISH)
    by_stream = {"room": [], own: []}
    while not by_stream[own] or by_stream[own][-1]["op"] != "end":
        message = await peer.receive()
        by_stream[message["stream"]].append(message)
    await publish(rig, "room", "bye")
    while not by_stream["room"] or by_stream["room"][-1]["event"]["type"] != "chat:x":
        by_stream["room"].append(await peer.receive())
    assert text_of(by_stream["room"]) == text_of(by_stream[own]) == "Hi"


# What becomes of a stream


async def test_a_closed_channel_ends_the_subscription(rig, peer):
    await publish(rig, "room", 1)
    await peer.ask("subscribe", stream="room")
    await rig.services.hub.append(Append(stream="room", close=True), [Event(type="chat:x", data=2)])
    assert [offset(await peer.event()) for _ in range(2)] == [1, 2]
    end = await peer.receive()
    assert (end["op"], end["stream"], offset(end)) == ("end", "room", 2)


async def test_a_deleted_stream_is_an_error_of_its_subscription_alone(rig, peer):
    await publish(rig, "room", 1)
    await peer.ask("subscribe", stream="room")
    await peer.ask("subscribe", stream="hall")
    await peer.event()
    await rig.services.hub.delete("room")
    told = await peer.receive()
    assert (told["op"], told["id"]) == ("error", None)
    assert (told["error"]["code"], told["error"]["stream"], told["error"]["reason"]) == ("gone", "room", "deleted")
    await publish(rig, "hall", 1)
    assert (await peer.event())["stream"] == "hall"
    assert (await peer.ask("subscribe", stream="room"))["outcome"] == "live"


async def test_who_falls_behind_the_retention_is_told_in_mid_stream():
    async with serving(retention=Retention(max_bytes=600_000), ring=2) as rig:
        raw = await rig.raw()
        raw.request("subscribe", stream="room")
        assert (await raw.receive())["op"] == "ack"
        for number in range(60):
            await publish(rig, "room", [number, "x" * 50_000])
        ready, position = None, 0
        while position != 60:
            message = await raw.receive()
            if message["op"] == "ready":
                ready = message
                position = offset({"cursor": ready["data"]["cursor"]})
            else:
                assert offset(message) == position + 1
                position += 1
        assert ready["data"]["outcome"] == "gone"
        assert ready["data"]["reason"] == "trimmed"


async def test_a_store_that_fails_is_an_error_that_can_be_tried_again(monkeypatch):
    async with serving(ring=2) as rig, rig.peer() as peer:
        await publish(rig, "room", *range(10))

        async def failing(*_args, **_options):
            await asyncio.sleep(0)
            raise StoreUnavailable("The store is away.")

        with monkeypatch.context() as patch:
            patch.setattr(rig.services.store, "read", failing)
            await peer.ask("subscribe", stream="room")
            told = await peer.receive()
        assert (told["op"], told["error"]["stream"], told["error"]["retryable"]) == ("error", "room", True)
        await peer.ask("subscribe", stream="room")
        assert len(await collect(peer, "room", 10)) == 10


# Sharing a connection


async def test_a_stream_that_lags_does_not_hold_up_another_one(rig):
    raw = await rig.raw()
    await publish(rig, "heavy", *["x" * 200_000] * 40)
    raw.request("subscribe", stream="heavy")
    raw.request("subscribe", stream="light")
    while (await raw.receive()).get("stream") != "heavy":
        pass
    # The client reads nothing more, so the connection is full of the heavy stream.
    for number in range(50):
        await publish(rig, "light", number)
    order = ["heavy"]
    light = []
    while len(light) < 50 or order.count("heavy") < 40:
        message = await raw.receive()
        if message["op"] == "event":
            order.append(message["stream"])
            if message["stream"] == "light":
                light.append(message["event"]["data"])
    assert light == list(range(50))
    assert order.index("light") < 30, "the light stream waited for all of the heavy one"


class Parked:
    """A wire over a server that sends one message each time it is let to."""

    def __init__(self, rig):
        self.sent = []
        self.turns: asyncio.Queue = asyncio.Queue()
        self.wire = AsgiWire(Socket({}, asyncio.Event().wait, self.send), write_deadline=60)
        self.subscriptions = Subscriptions(rig.services, self.wire, on_shutdown=lambda: None)
        self.serving = asyncio.create_task(self.wire.serve(self))

    async def send(self, message):
        await self.turns.get()
        self.sent.append(message["text"])
        self.turns.task_done()

    async def let(self, count):
        """Lets `count` messages leave."""
        for turn in range(count):
            self.turns.put_nowait(turn)
        await self.turns.join()

    # As the host

    def received(self, message): ...

    def blocked(self): ...

    def unblocked(self):
        self.subscriptions.resume()

    def lost(self):
        self.wire.seal()

    async def part(self):
        self.subscriptions.close()

    async def stop(self):
        self.serving.cancel()
        await asyncio.gather(self.serving, return_exceptions=True)


async def test_subscriptions_take_turns(rig):
    # One always has in memory what fills the connection, and yet the other gets its part.
    parked = Parked(rig)
    heavy = "heavy" * 40
    for name in (heavy, "light"):
        await parked.subscriptions.add(Subscribe(id=1, stream=name))
    for _ in range(3):
        await publish(rig, heavy, *["x" * 100] * 900)
    await publish(rig, "light", "y")
    for _ in range(8):
        await parked.let(500)
        await publish(rig, heavy, *["x" * 100] * 900)
        await publish(rig, "light", "y")
    assert any('"stream":"light"' in message for message in parked.sent)
    await parked.stop()
    assert rig.services.hub.watchers() == 0


async def test_a_connection_that_ends_while_a_subscription_begins(rig, monkeypatch):
    parked = Parked(rig)
    reached, released = asyncio.Event(), asyncio.Event()
    attach = rig.services.hub.attach

    async def wait(*args, **options):
        reached.set()
        await released.wait()
        return await attach(*args, **options)

    monkeypatch.setattr(rig.services.hub, "attach", wait)
    adding = asyncio.create_task(parked.subscriptions.add(Subscribe(id=1, stream="room")))
    await reached.wait()
    parked.subscriptions.close()
    released.set()
    await adding
    assert rig.services.hub.watchers() == 0
    await parked.stop()


async def test_a_client_that_pauses_catches_up_merged(rig):
    raw = await rig.raw()
    raw.request("subscribe", stream="room")
    await raw.receive()
    text = ""
    for _ in range(60):
        text += await tokens(rig, "room", 1000)
    seen = []
    while not seen or offset(seen[-1]) != 60_000:
        seen.append(await raw.receive())
    assert text_of(seen) == text
    assert len(seen) < 40_000


async def test_resumes_after_cuts_anywhere_repeat_and_miss_nothing(rig):
    publishing = asyncio.create_task(keep_publishing(rig, "room"))
    chance = random.Random(7)
    position, offsets = "start", []
    for _ in range(60):
        raw = await rig.raw()
        raw.request("subscribe", stream="room", merge=False, **{"from": position})
        for message in await read_and_cut(raw, chance.randrange(1, 6000)):
            if message["op"] == "event":
                offsets.append(offset(message))
                position = message["cursor"]
    publishing.cancel()
    assert len(offsets) > 200
    assert offsets == list(range(1, len(offsets) + 1))


async def read_and_cut(raw, count) -> list[dict]:
    """What was whole among the next `count` bytes, after which the connection breaks."""
    data = await raw.reader.readexactly(count)
    raw.drop()
    found = []
    while len(data) >= 4:
        start, size = (2, data[1]) if data[1] < 126 else (4, int.from_bytes(data[2:4]))
        if len(data) < start + size:
            break
        found.append(json.loads(data[start : start + size]))
        data = data[start + size :]
    return found
