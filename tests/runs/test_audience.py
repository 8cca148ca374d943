"""Faults, row 26, over several instances on one store: a run is stopped when nobody watches it through any of them."""

import asyncio
import itertools
import time
from collections.abc import Callable

import msgspec
import pytest
from scripted import ScriptedModels, ScriptedProvider

from tokentape.core.errors import StoreUnavailable
from tokentape.hub import Hub
from tokentape.hub.channels import Channels
from tokentape.hub.presence import Roster
from tokentape.runs import RunInfo, RunRequest, Runs, StopAfter
from tokentape.runs.audience import Audience
from tokentape.stores.base import Retention
from tokentape.stores.memory import MemoryStore

HELLO = [{"role": "user", "content": "Hello"}]
LIFE = 1.2
LOOK = 0.2
GRACE = 0.4
PATIENCE = 10


class Instance:
    """One process."""

    names = itertools.count()

    def __init__(self, store: MemoryStore) -> None:
        self.hub = Hub(store)
        roster = Roster(self.hub, instance=f"i_{next(self.names)}", seconds=LIFE, look_seconds=LOOK)
        self.channels = Channels(self.hub, retention=Retention(), roster=roster)
        self.provider = ScriptedProvider()
        self.runs = Runs(self.hub, self.channels, ScriptedModels(self.provider))

    async def start(self, grace: float = GRACE, **fields) -> RunInfo:
        info, _ = await self.runs.start(RunRequest(messages=HELLO, on_no_watchers=StopAfter(grace), **fields))
        return info

    @property
    def audience(self) -> Audience:
        return self.runs._audience

    def learn(self, info: RunInfo) -> None:
        """What following `$runs` does."""
        self.runs._registry.index.apply(info)

    def watching(self, info: RunInfo):
        return self.hub.reading(info.stream, "start")

    def kill(self) -> None:
        """As kill -9 does it: nothing is said any more, neither of its watchers nor of anything else."""
        roster, audience = self.channels.roster, self.audience
        for task in (roster._keeper, roster._looker, audience._speaker):
            if task is not None:
                task.cancel()
        audience._closed = True
        roster._mine.clear()

    async def aclose(self) -> None:
        await self.runs.drain(0)
        await self.channels.aclose()
        await self.hub.aclose()


@pytest.fixture
async def store():
    async with MemoryStore() as store:
        yield store


@pytest.fixture
async def pair(store):
    instances = Instance(store), Instance(store)
    for instance in instances:
        await instance.runs.open()
    yield instances
    for instance in instances:
        await instance.aclose()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)


def ended(instance: Instance, info: RunInfo) -> bool:
    return instance.runs.get(info.id).state == "done"


async def told(instance: Instance, info: RunInfo) -> list[str]:
    return [member.id for member in await instance.channels.roster.members(f"$audience/{info.stream}")]


async def test_a_watcher_of_another_instance_keeps_it_alive(pair):
    one, two = pair
    info = await one.start()
    two.learn(info)
    async with two.watching(info):
        await asyncio.sleep(GRACE * 3)
        assert one.runs.live() == 1
    left = time.monotonic()
    await until(lambda: ended(one, info))
    assert time.monotonic() - left >= GRACE * 0.9
    assert one.runs.get(info.id).reason == "stopped"
    await until(lambda: not one.runs.live())
    assert not one.channels.roster._views


async def test_who_watches_before_the_run_is_known_there_counts_too(pair):
    one, two = pair
    await one.channels.ensure("room")
    async with two.hub.reading("room", "now"):
        info = await one.start(channel="room")
        two.learn(info)
        await asyncio.sleep(GRACE * 3)
        assert one.runs.live() == 1
    await until(lambda: ended(one, info))


async def test_the_watchers_of_a_killed_instance_count_until_they_have_run_out(pair):
    one, two = pair
    info = await one.start()
    two.learn(info)
    async with two.watching(info):
        await until(lambda: one.channels.roster.known(f"$audience/{info.stream}"))
        two.kill()
        killed = time.monotonic()
        await until(lambda: ended(one, info))
        assert time.monotonic() - killed >= GRACE
        assert one.runs.get(info.id).reason == "stopped"


async def test_moving_from_one_instance_to_the_other_stops_nothing(pair):
    one, two = pair
    info = await one.start(grace=1)
    two.learn(info)
    for instance in (one, two, one, two, one):
        async with instance.watching(info):
            await asyncio.sleep(0.3)
        await asyncio.sleep(0.1)
    assert one.runs.live() == 1


async def test_an_instance_that_drains_leaves_its_watchers_time_to_come_back(pair):
    """Sent elsewhere, they are away for some seconds: longer than a short grace."""
    one, two = pair
    info = await one.start()
    two.learn(info)
    async with two.watching(info):
        await until(lambda: one.channels.roster.known(f"$audience/{info.stream}"))
        await two.runs.drain(0)
        two.hub.drain()
    await two.channels.aclose()
    await asyncio.sleep(GRACE * 1.5)
    assert one.runs.live() == 1
    await until(lambda: ended(one, info))


async def test_the_grace_begins_when_the_last_one_leaves_also_if_he_came_unnoticed(pair, store, monkeypatch):
    one, two = pair
    info = await one.start(grace=0.8)
    two.learn(info)
    with monkeypatch.context() as deaf:
        deaf.setattr(store, "broadcast", lambda *_: None)
        watching = two.watching(info)
        await watching.__aenter__()
        await until(lambda: two.audience._said)
    # The wait that had begun for want of news comes to its end, and to nothing, before he leaves.
    await asyncio.sleep(1.4)
    left = time.monotonic()
    await watching.__aexit__(None, None, None)
    await until(lambda: ended(one, info))
    assert time.monotonic() - left >= 0.7


async def test_coming_and_going_quickly_ends_up_with_the_truth(pair):
    one, two = pair
    info = await one.start(grace=60)
    two.learn(info)
    for _ in range(30):
        async with two.watching(info):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    async with two.watching(info):
        await until(lambda: one.channels.roster.known(f"$audience/{info.stream}"))
        await asyncio.sleep(0.1)
        assert len(await told(one, info)) == 1
    await until(lambda: not one.channels.roster.known(f"$audience/{info.stream}"))


async def test_a_lost_word_is_not_the_end_of_a_run(pair, store, monkeypatch):
    """The store is asked before a run is stopped."""
    one, two = pair
    info = await one.start()
    two.learn(info)
    with monkeypatch.context() as deaf:
        deaf.setattr(store, "broadcast", lambda *_: None)
        async with two.watching(info):
            await asyncio.sleep(GRACE * 3)
            assert one.runs.live() == 1
    await until(lambda: ended(one, info))


async def test_a_store_that_is_away_stops_nothing(pair, store, monkeypatch):
    one, _ = pair
    info = await one.start(grace=0.1)

    async def away(*_args):
        raise StoreUnavailable("It is away.")

    with monkeypatch.context() as broken:
        broken.setattr(store, "members", away)
        await asyncio.sleep(0.5)
        assert one.runs.live() == 1
    await until(lambda: ended(one, info))


async def test_nothing_is_said_of_runs_without_the_policy(pair):
    one, two = pair
    info, _ = await one.runs.start(RunRequest(messages=HELLO))
    two.learn(info)
    async with two.watching(info), one.watching(info):
        await asyncio.sleep(0.1)
        assert await told(one, info) == []
    assert not two.channels.roster._mine


async def test_what_was_said_ends_with_the_run(pair):
    one, two = pair
    info = await one.start(grace=60)
    two.learn(info)
    async with two.watching(info), one.watching(info):
        await until(lambda: two.channels.roster._mine)
        assert len(await told(one, info)) == 2
        await one.runs.stop(info.id)
        two.learn(msgspec.structs.replace(info, state="done", reason="stopped"))
        await until(lambda: not two.channels.roster._mine and not one.channels.roster._mine)
        assert await told(one, info) == []
