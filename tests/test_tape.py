"""The front object of the library."""

import asyncio

import pytest
from redis_server import RedisServer

from tokentape import Part, Tape
from tokentape.core.errors import BadRequest, ModelNotFound, RunNotFound, ShuttingDown

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def tape(request, tmp_path):
    if request.param == "redis":
        store = f"{request.getfixturevalue('redis').url}?prefix={tmp_path.name}:"
    else:
        store = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/tape.db"}[request.param]
    async with Tape(store) as tape:
        yield tape


async def events(items) -> list:
    async with asyncio.timeout(5):
        return [item async for item in items]


async def test_a_generation_of_a_configured_model(tape) -> None:
    run = await tape.start(model="simulated", messages=HELLO, simulated={"rate": 0, "tokens": 7})
    text = await run.text()
    assert text
    found = await events(run.events())
    assert [found[0].event.type, found[-1].event.type] == ["start", "done"]
    assert "".join(item.event.data for item in found if item.event.type == "token") == text
    assert run.info.reason == "stop"
    assert tape.run(run.id).info == run.info


async def test_an_iterator_is_recorded(tape) -> None:
    async def answer():
        yield "Hel"
        yield Part("status", {"tool": "search"})
        yield {"type": "app:score", "data": 0.5}
        yield "lo"

    run = await tape.record(answer(), metadata={"of": "mine"})
    assert await run.text() == "Hello"
    found = await events(run.events())
    assert [i.event.type for i in found] == ["start", "token", "status", "app:score", "token", "usage", "done"]
    assert run.info.metadata == {"of": "mine"}


async def test_stop_closes_the_iterator(tape) -> None:
    closed = asyncio.Event()

    async def endless():
        try:
            while True:
                yield "a"
                await asyncio.sleep(0)
        finally:
            closed.set()

    run = await tape.record(endless())
    async for item in run.events():
        if item.event.type == "token":
            break
    assert (await run.stop(detail="enough")).reason == "stopped"
    await asyncio.wait_for(closed.wait(), 5)


async def test_emit_and_read_a_channel(tape) -> None:
    first = await tape.emit("ai:token", {"token": "a"}, "ai-chat/xyz", event_id="1")
    assert await tape.emit("ai:token", {"token": "a"}, "ai-chat/xyz", event_id="1") == first
    await tape.emit("ai:done", {}, "ai-chat/xyz")
    items = tape.read("ai-chat/xyz", after=first)
    assert (await anext(items)).event.type == "ai:done"
    await items.aclose()


async def test_reading_a_channel_makes_it(tape) -> None:
    items = tape.read("new")
    waiting = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    await tape.emit("a:b", 1, "new")
    assert (await asyncio.wait_for(waiting, 5)).event.data == 1
    await items.aclose()


@pytest.mark.parametrize("channel", [None, "room"])
async def test_reading_on_from_the_end_of_a_run_is_over_at_once(tape, channel) -> None:
    run = await tape.record(["text"], channel=channel)
    end = (await events(run.events()))[-1].cursor
    await tape.emit("a:b", 1, "room")
    assert await events(run.events(after=end)) == []


async def test_what_cannot_be_started(tape) -> None:
    with pytest.raises(BadRequest, match="modle"):
        await tape.start(modle="simulated", messages=HELLO)
    with pytest.raises(ModelNotFound):
        await tape.start(model="nobody's", messages=HELLO)
    with pytest.raises(RunNotFound):
        tape.run("r_none")


async def test_runs_that_are_live_at_the_end_are_interrupted(tmp_path) -> None:
    store = f"sqlite:///{tmp_path}/tape.db"
    async with Tape(store) as tape:
        run = await tape.start(messages=HELLO, simulated={"rate": 1, "tokens": 1000})
        await anext(run.events())
        await tape.drain(0)
        with pytest.raises(ShuttingDown):
            await tape.start(messages=HELLO)
    async with Tape(store) as tape:
        found = await events(tape.run(run.id).events())
        assert found[-1].event.data["reason"] == "interrupted"
