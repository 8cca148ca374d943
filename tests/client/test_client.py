"""The client against a real server over real sockets."""

import asyncio
from typing import Any

import pytest

from tokentape.client import Client, Unreachable
from tokentape.core.errors import (
    BadRequest,
    InvalidCursor,
    InvalidName,
    ModelNotFound,
    NotFound,
    ProtocolError,
    RunConflict,
    RunNotFound,
    SetupError,
    StreamNotFound,
    Unauthorized,
)
from tokentape.core.transcript import Transcript
from tokentape.hub.channels import Publish

TRANSPORTS = ["sse", "ws", "poll"]


def prompt(**fields: Any) -> dict[str, Any]:
    simulated = {"rate": fields.pop("rate", 500), "tokens": fields.pop("tokens", 30), "seed": 7}
    return {"messages": [{"role": "user", "content": "Hello"}], "simulated": simulated, **fields}


async def collect(watch):
    return [item async for item in watch]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_run_from_start_to_end(client, transport):
    run = await client.start(prompt())
    items = await collect(client.watch(f"runs/{run.id}", transport=transport))
    assert items[0].event.type == "ready"
    assert items[0].event.data["outcome"] in ("replayed", "live")
    assert [items[1].event.type, items[-1].event.type] == ["start", "done"]
    offsets = [item.cursor.offset for item in items[1:]]
    assert offsets == sorted(set(offsets))
    assert (await client.run(run.id)).reason == "stop"


async def test_every_transport_shows_the_same_bytes(client):
    run = await client.start(prompt(rate=0))
    seen = {
        transport: [
            (i.cursor, i.record)
            for i in await collect(client.watch(f"runs/{run.id}", transport=transport, merge=False))
            if i.cursor
        ]
        for transport in TRANSPORTS
    }
    assert seen["sse"] == seen["ws"] == seen["poll"]
    assert len(seen["sse"]) > 30
    assert [cursor.offset for cursor, _ in seen["sse"]] == list(range(1, len(seen["sse"]) + 1))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_merged_is_shorter_and_says_the_same(client, transport):
    run = await client.start(prompt(rate=0))
    whole = await collect(client.watch(f"runs/{run.id}", merge=False))
    merged = await collect(client.watch(f"runs/{run.id}", transport=transport))
    assert len(merged) < len(whole) / 3

    def text(items):
        transcript = Transcript()
        for item in items:
            transcript.apply(item.event)
        return transcript.text(run.id)

    assert text(merged) == text(whole) != ""


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_resumes_from_any_position(client, transport):
    run = await client.start(prompt(rate=0, tokens=10))
    whole = [item for item in await collect(client.watch(f"runs/{run.id}", merge=False)) if item.cursor]
    for place, (cursor, _, _) in enumerate(whole):
        rest = await collect(client.watch(f"runs/{run.id}", cursor, merge=False, transport=transport))
        assert [item for item in rest if item.cursor] == whole[place + 1 :]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_position_of_another_life_is_gone(client, transport):
    run = await client.start(prompt(rate=0, tokens=3))
    await collect(client.watch(f"runs/{run.id}"))
    items = await collect(client.watch(f"runs/{run.id}", "0ld-3", transport=transport))
    assert items[0].event.data["outcome"] == "gone"
    assert items[0].event.data["reason"] == "epoch"
    assert items[1].event.type == "start"
    assert items[-1].event.type == "done"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_channel_from_now_on(client, transport):
    await client.publish("room", Publish("chat:old", 0))
    watch = client.watch("room", "now", transport=transport)
    ready = await anext(watch)
    assert ready.event.data["outcome"] == "live"
    cursor = await client.publish("room", [Publish("chat:line", {"n": 1}), Publish("chat:line", {"n": 2})])
    first, second = await anext(watch), await anext(watch)
    assert [first.event.data, second.event.data] == [{"n": 1}, {"n": 2}]
    assert second.cursor == cursor == watch.position
    await watch.aclose()
    assert [item async for item in watch] == []


@pytest.mark.parametrize("transport", ["sse", "ws"])
async def test_what_is_not_stored_has_no_cursor(client, transport):
    async with client.watch("room", "now", transport=transport) as watch:
        await anext(watch)
        # What is not stored is for whoever watches right now, and a view needs a moment to be live.
        await client.publish("room", Publish("chat:line", 1))
        assert (await anext(watch)).event.type == "chat:line"
        assert await client.publish("room", Publish("chat:typing", {"who": "ann"}, persist=False)) is None
        cursor, event, _ = await anext(watch)
        assert (cursor, event.type, event.data) == (None, "chat:typing", {"who": "ann"})


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_reading_that_was_given_up_goes_on_where_it_was(client, transport):
    await client.publish("room", Publish("chat:line", 0))
    async with client.watch("room", "start", transport=transport) as watch:
        assert (await anext(watch)).event.type == "ready"
        assert (await anext(watch)).event.data == 0
        for count in (1, 2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(watch), 0.05)
            await client.publish("room", Publish("chat:line", count))
            while (item := await anext(watch)).event.type == "ready":
                pass
            assert item.event.data == count


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_run_on_a_channel_is_seen_through_its_own_view(client, transport):
    await client.publish("room", Publish("chat:line", 1))
    run = await client.start(prompt(channel="room", rate=0, tokens=5))
    items = await collect(client.watch(f"runs/{run.id}", transport=transport))
    assert {item.event.run for item in items[1:]} == {run.id}
    assert items[-1].event.type == "done"


async def test_stop(client):
    run = await client.start(prompt(rate=20, tokens=2000))
    async with client.watch(f"runs/{run.id}") as watch:
        async for item in watch:
            if item.event.type == "token":
                stopped = await client.stop(run.id, reason="enough")
                break
        assert stopped.reason == "stopped"
        last = [item async for item in watch][-1]
    assert last.event.data["reason"] == "stopped"
    assert last.event.data["detail"] == "enough"
    assert (await client.stop(run.id)).reason == "stopped"


async def test_an_idempotency_key_is_one_run(client):
    first = await client.start(prompt(), idempotency_key="k1")
    assert (await client.start(prompt(), idempotency_key="k1")).id == first.id
    with pytest.raises(RunConflict) as raised:
        await client.start(prompt(tokens=31), idempotency_key="k1")
    assert raised.value.details["run"] == first.id


async def test_lists(client):
    for _ in range(3):
        run = await client.start(prompt(rate=0, tokens=1))
        await collect(client.watch(f"runs/{run.id}"))
    await client.publish("a/room", Publish("chat:line", 1))
    runs = await client.runs()
    assert len(runs) == 3
    assert runs[0].id == run.id
    assert await client.runs(limit=1, before=runs[0].id) == [runs[1]]
    assert await client.runs(state="running") == []
    assert [stream.name for stream in await client.streams(prefix="a/")] == ["a/room"]
    assert [stream.name for stream in await client.streams(limit=1, after="a/room")] == [min(r.stream for r in runs)]
    assert [model.name for model in await client.models() if model.default] == ["simulated"]
    assert (await client.healthz())["status"] == "ok"


async def test_history(client):
    cursor = await client.publish("room", [Publish("chat:line", n) for n in range(5)])
    page = await client.history("room", limit=2)
    assert [located.event.data for located in page.items] == [4, 3]
    assert page.cursor == str(cursor)
    following = await client.history("room", limit=2, before=page.next)
    assert [located.event.data for located in following.items] == [2, 1]
    oldest = await client.history("room", limit=2, order="oldest", after=following.items[-1].cursor)
    assert [located.event.data for located in oldest.items] == [2, 3]


async def test_messages(client):
    await client.publish("room", Publish("message", {"id": "1", "role": "user", "content": "Hi"}))
    run = await client.start(prompt(channel="room", rate=0, tokens=3))
    await collect(client.watch(f"runs/{run.id}"))
    page = await client.messages("room", order="oldest")
    assert [(message.role, message.run) for message in page.items] == [("user", None), ("assistant", run.id)]


async def test_presence(client):
    await client.publish("room", Publish("chat:line", 1))
    assert await client.presence("room") == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_run_that_is_not_there(client, transport):
    with pytest.raises(RunNotFound):
        await anext(client.watch("runs/r_nothing", transport=transport))


async def test_errors_have_their_own_classes(client):
    with pytest.raises(RunNotFound):
        await client.stop("r_nothing")
    with pytest.raises(NotFound):
        await client.run("../../healthz")  # an id, whatever it looks like
    with pytest.raises(ModelNotFound):
        await client.start(prompt(model="gpt-99"))
    with pytest.raises(StreamNotFound):
        await client.history("nothing")
    with pytest.raises(InvalidName):
        await client.publish("no name", Publish("chat:line", 1))
    with pytest.raises(InvalidName):
        client.watch("no name")
    with pytest.raises(InvalidCursor):
        client.watch("room", "yesterday")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost:8000",
        "ftp://x",
        "http://",
        "http://x?y=1",
        "http://x#y",
        "http://x:port",
        "http://[::1",
        "http://x:0",
    ],
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(SetupError):
        Client(address)


@pytest.mark.parametrize("token", ["a b", "a\n", "ü", "a\r\nX-Other: 1"])
async def test_what_no_header_can_carry_is_refused_unseen(client, token):
    with pytest.raises(SetupError) as raised:
        Client("http://127.0.0.1:1", token=token)
    assert token not in raised.value.message
    with pytest.raises(BadRequest, match="no idempotency key"):
        await client.start(prompt(), idempotency_key=token)


async def test_a_key_goes_with_every_transport(server):
    async with server(**{"auth.api_keys": ["s3cret"]}) as url:
        async with Client(url, token="s3cret") as client:
            run = await client.start(prompt(rate=0, tokens=3))
            for transport in TRANSPORTS:
                items = await collect(client.watch(f"runs/{run.id}", transport=transport))
                assert items[-1].event.type == "done"
        for token in (None, "wrong"):
            async with Client(url, token=token) as stranger:
                with pytest.raises(Unauthorized):
                    await stranger.runs()
                for transport in TRANSPORTS:
                    with pytest.raises(Unauthorized):
                        await collect(stranger.watch(f"runs/{run.id}", transport=transport))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_server_that_is_not_there(client, transport):
    async with Client("http://127.0.0.1:1") as lost:
        with pytest.raises(Unreachable, match=r"Cannot reach http://127\.0\.0\.1:1: Connection refused"):
            await lost.runs()
        with pytest.raises(Unreachable):
            await anext(lost.watch("room", transport=transport))


async def test_something_else_at_that_address(listening):
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")

    async with listening(other) as address, Client(address) as client:
        with pytest.raises(ProtocolError, match="is not an address of tokentape"):
            await client.runs()
        for transport in TRANSPORTS:
            with pytest.raises(ProtocolError):
                await anext(client.watch("room", transport=transport))
