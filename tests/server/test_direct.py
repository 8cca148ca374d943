"""Event streams that are written straight to their connections, and those that something between sends through ASGI."""

import asyncio
import gc
import json
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from fastapi import Depends, FastAPI
from http_rig import FINISH, PATIENCE, Rig, data_of, running_server
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from tokentape.hub.payloads import MAX_PAYLOAD
from tokentape.server.direct import DirectStream
from tokentape.server.protocols.http import HttpLink
from tokentape.server.pump import PumpedStream
from tokentape.server.transport import BUFFER
from tokentape.stores.memory import MemoryStore

ROOM = "/v1/channels/room/events"


def written(rig: Rig, stream: str = "room") -> list[DirectStream | PumpedStream]:
    """How the bytes of each watcher of a stream get to its connection."""
    return [watcher.outlet.stream for watcher in rig.services.hub._tails[stream].attached]


def alive(*kinds: type) -> int:
    """How many objects of these kinds there are."""
    gc.collect()
    return sum(isinstance(thing, kinds) for thing in gc.get_objects())


# What a watcher costs


async def test_watchers_have_no_tasks():
    async with running_server() as rig, AsyncExitStack() as stack:
        await rig.footprint()
        before = len(asyncio.all_tasks())
        watching = [await stack.enter_async_context(rig.stream(ROOM)) for _ in range(50)]
        for events in watching:
            await events.next()
        assert len(asyncio.all_tasks()) == before
        await rig.publish("room", {"n": 1})
        for events in watching:
            assert json.loads((await events.next()).data)["data"] == {"n": 1}
        assert {type(stream) for stream in written(rig)} == {DirectStream}
        assert len(asyncio.all_tasks()) == before


async def test_nothing_is_left_of_connections_that_went():
    async with running_server() as rig:
        footprint = await rig.footprint()
        before = alive(DirectStream, HttpLink)
        for round_ in range(4):
            async with AsyncExitStack() as stack:
                watching = [await stack.enter_async_context(rig.stream(ROOM)) for _ in range(50)]
                for events in watching:
                    await events.next()
                if round_ % 2:
                    for events in watching:
                        events.writer.close()  # a regular end, and not a reset
            await rig.nobody_watches()
        await footprint.back()
        assert alive(DirectStream, HttpLink) <= before


class SlowStore(MemoryStore):
    """Takes its time to say where a stream is."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def info(self, name: str):
        self.asked.set()
        await self.go.wait()
        return await super().info(name)


async def test_a_client_that_goes_before_it_is_answered(ours_or_uvicorn, caplog):
    store = SlowStore()
    store.go.set()
    async with running_server(server=ours_or_uvicorn, store=store) as rig:
        await rig.publish("room", {})
        footprint = await rig.footprint()
        for _ in range(20):
            store.go.clear()
            store.asked.clear()
            async with rig.wire() as wire:
                wire.ask(ROOM)
                await asyncio.wait_for(store.asked.wait(), PATIENCE)
            await footprint.closed()
            store.go.set()
            await footprint.back()
        assert rig.services.hub.watchers() == 0
    assert not [r for r in caplog.records if r.levelname in ("ERROR", "CRITICAL")]


# Signs of life


async def test_a_silent_view_of_a_busy_stream_has_heartbeats(ours_or_uvicorn):
    """What others are told on the same stream is no sign of life to this watcher."""
    async with running_server(server=ours_or_uvicorn, limits__heartbeat="100ms") as rig:
        run = await rig.start("a", channel="room")

        async def chatter() -> None:
            while True:
                await rig.publish("room", {})
                await asyncio.sleep(0.01)

        async with rig.stream(f"/v1/runs/{run}/events") as events:
            await events.until("token")
            busy = asyncio.create_task(chatter())
            await events.comes(b": hb\n\n", times=3)
            busy.cancel()
        assert len(events.events) == 0


async def test_events_between_two_heartbeats_are_all_there(ours_or_uvicorn):
    """Whether something was said is looked at in passing, and nothing is lost by it."""
    async with running_server(server=ours_or_uvicorn, limits__heartbeat="20ms") as rig, rig.stream(ROOM) as events:
        await events.next()
        for number in range(60):
            await rig.publish("room", {"n": number})
            if number % 20 == 19:
                await events.comes(b": hb\n\n", times=1 + events.raw.count(b": hb\n\n"))
        seen = [json.loads((await events.next()).data)["data"]["n"] for _ in range(60)]
        assert seen == list(range(60))


# What is between


class Passing(BaseHTTPMiddleware):
    """Hands every part of the response on by itself, as many applications' own middleware does."""

    async def dispatch(self, request, call_next):
        return await call_next(request)


def mounted(app: Starlette) -> Starlette:
    return Starlette(routes=[Mount("/", app)])


def below(middleware: type, **options) -> Callable[[Starlette], Starlette]:
    return lambda app: Starlette(routes=[Mount("/", app)], middleware=[Middleware(middleware, **options)])


def of_fastapi(app: Starlette) -> Starlette:
    async def session():
        yield

    host = FastAPI(dependencies=[Depends(session)])
    host.mount("/", app)
    return host


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        pytest.param(mounted, DirectStream, id="mount"),
        pytest.param(of_fastapi, DirectStream, id="fastapi"),
        pytest.param(below(CORSMiddleware, allow_origins=["*"]), DirectStream, id="cors"),
        # It leaves event streams alone.
        pytest.param(below(GZipMiddleware), DirectStream, id="gzip"),
        # It holds the head back until there is a body, so the body goes its way.
        pytest.param(below(Passing), PumpedStream, id="function-middleware"),
    ],
)
async def test_what_is_between_sees_the_head_and_takes_the_body_if_it_must(host, kind):
    async with running_server(host=host) as rig:
        run = await rig.start("Hel")
        async with rig.stream(ROOM, Accept_Encoding="gzip") as room, rig.stream(f"/v1/runs/{run}/events") as events:
            await room.next()
            await events.until("token")
            assert {type(stream) for stream in written(rig)} == {kind}
            for number in range(3):
                await rig.publish("room", {"n": number})
                assert json.loads((await room.next()).data)["data"] == {"n": number}
            rig.provider.say("lo", FINISH)
            assert await events.rest() == "whole"
        assert data_of(events.events)[-1]["type"] == "done"
        await rig.nobody_watches()


async def test_middleware_that_changes_the_head_only_is_heard():
    async with (
        running_server(host=below(CORSMiddleware, allow_origins=["*"])) as rig,
        rig.stream(ROOM, Origin="http://else.where") as events,
    ):
        assert events.headers["access-control-allow-origin"] == "*"
        await events.next()
        assert {type(stream) for stream in written(rig)} == {DirectStream}


# What a connection holds


async def test_many_streams_on_one_response_are_written_directly_too():
    async with running_server() as rig, rig.stream("/v1/events?stream=room@now&stream=hall@now") as events:
        await events.next()
        await events.next()
        assert {type(stream) for stream in written(rig) + written(rig, "hall")} == {DirectStream}
        for number, name in enumerate(["room", "hall", "room"]):
            await rig.publish(name, {"n": number})
            event = json.loads((await events.next()).data)
            assert (event["stream"], event["data"]) == (name, {"n": number})


async def test_a_reader_that_pauses_holds_one_payload_and_then_gets_all_of_it():
    async with running_server(ring=64) as rig, rig.stream(ROOM, rcvbuf=4096) as slow:
        await slow.next()
        (stream,) = written(rig)
        slow.pause()
        for number in range(200):
            await rig.publish("room", {"n": number, "x": "y" * 20_000})
        assert not stream.writable
        # What the kernel took is bounded by the socket's own buffer, which it counts twice.
        assert stream._link.buffered() < MAX_PAYLOAD + 4 * BUFFER
        slow.resume()
        assert [json.loads((await slow.next()).data)["data"]["n"] for _ in range(200)] == list(range(200))
        assert stream.writable


async def test_a_client_that_goes_while_it_is_behind_is_let_go():
    async with running_server() as rig:
        footprint = await rig.footprint()
        async with rig.stream(ROOM, rcvbuf=4096) as slow:
            await slow.next()
            (stream,) = written(rig)
            slow.pause()
            for number in range(100):
                await rig.publish("room", {"n": number, "x": "y" * 20_000})
            assert not stream.writable
        await rig.nobody_watches()
        await footprint.back()
