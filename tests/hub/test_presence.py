"""Who is present, over several hubs on one store as in several processes, also when news are lost and processes die."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from tokentape.core.errors import StoreUnavailable
from tokentape.hub import Hub
from tokentape.hub.members import Change
from tokentape.hub.presence import Roster
from tokentape.stores.base import Member
from tokentape.stores.memory import MemoryStore

LIFE = 1.2
LOOK = 0.2
PATIENCE = 10


class Lossy(MemoryStore):
    """Loses as many broadcasts as a test wants."""

    loss = 0.0

    def __init__(self) -> None:
        super().__init__()
        self._dice = random.Random(5)

    def broadcast(self, stream: str, record: bytes) -> None:
        if self._dice.random() >= self.loss:
            super().broadcast(stream, record)


class Instance:
    """One process: its own hub and roster on the store that all share."""

    def __init__(self, store: MemoryStore, name: str) -> None:
        self.hub = Hub(store)
        self.roster = Roster(self.hub, instance=name, seconds=LIFE, look_seconds=LOOK)
        self.told: list[Change] = []
        self._changed = asyncio.Event()

    def follow(self) -> None:
        self.roster.follow("room", self._tell)

    def _tell(self, change: Change) -> None:
        self.told.append(change)
        self._changed.set()

    def actions(self) -> list[str]:
        return [f"{change.action} {change.member.id}" for change in self.told]

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def looked(self) -> None:
        """Waits until it knows who was there before."""
        async with asyncio.timeout(PATIENCE):
            while not self.roster._views["room"].looked:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)

    def kill(self) -> None:
        """As kill -9 does it: nothing is said any more."""
        for task in (self.roster._keeper, self.roster._looker):
            if task is not None:
                task.cancel()
        self.roster._closed = True
        if self.roster._next is not None:
            self.roster._next.cancel()
        self.roster._mine.clear()

    async def aclose(self) -> None:
        await self.roster.aclose()
        await self.hub.aclose()


@pytest.fixture
def store() -> Lossy:
    return Lossy()


@pytest.fixture
async def three(store):
    instances = [Instance(store, f"i_{number}") for number in range(3)]
    for instance in instances:
        instance.follow()
        await instance.looked()
    yield instances
    for instance in instances:
        await instance.aclose()


async def test_each_change_is_told_once_everywhere(three):
    one, two, three_ = three
    await one.roster.track("room", Member("ada", 1))
    await two.roster.track("room", Member("bob", None))
    await one.roster.track("room", Member("ada", 2))
    await one.roster.untrack("room", "ada")
    await one.roster.untrack("room", "ada")
    await asyncio.sleep(LIFE * 1.5)  # renewals and looks repeat nothing
    for instance in three:
        assert instance.actions() == ["join ada", "join bob", "update ada", "leave ada"]
        assert [change.member.data for change in instance.told] == [1, None, 2, 2]
    assert await three_.roster.members("room") == [Member("bob", None)]
    assert three_.roster.known("room") == [Member("bob", None)]


async def test_who_came_through_a_process_that_was_killed_leaves_everywhere(three):
    one, two, three_ = three
    await one.roster.track("room", Member("ada", 1))
    await two.roster.track("room", Member("bob", 1))
    one.kill()
    for instance in (two, three_):
        await instance.until(lambda: "leave ada" in instance.actions())  # noqa: B023 - awaited here
        assert instance.actions() == ["join ada", "join bob", "leave ada"]


async def test_who_is_here_twice_stays_until_the_last_one_goes(three):
    one, two, three_ = three
    await one.roster.track("room", Member("ada", "laptop"))
    await two.roster.track("room", Member("ada", "phone"))
    await one.roster.untrack("room", "ada")
    assert await three_.roster.members("room") == [Member("ada", "phone")]
    two.kill()
    await three_.until(lambda: "leave ada" in three_.actions())
    assert three_.actions() == ["join ada", "update ada", "leave ada"]


async def test_who_was_there_before_is_not_told_and_leaves_all_the_same(store, three):
    one, *_ = three
    await one.roster.track("room", Member("ada", 1))
    late = Instance(store, "i_late")
    late.follow()
    await late.looked()
    assert late.told == []
    assert late.roster.known("room") == [Member("ada", 1)]
    await one.roster.untrack("room", "ada")
    assert late.actions() == ["leave ada"]
    await late.aclose()


async def test_what_happens_before_the_first_look_is_told(store, three):
    one, *_ = three
    await one.roster.track("room", Member("ada", 1))
    late = Instance(store, "i_late")
    late.follow()
    # Its look at the store has not begun: a loop turn has to pass first.
    await one.roster.track("room", Member("bob", 1))
    await one.roster.track("room", Member("ada", 2))
    await one.roster.untrack("room", "ada")
    await late.looked()
    await asyncio.sleep(LIFE)
    assert late.actions() == ["join bob", "update ada", "leave ada"]
    await late.aclose()


async def test_lost_news_are_made_up_for(store, three):
    one, two, _ = three
    store.loss = 1.0
    await one.roster.track("room", Member("ada", 1))
    assert two.told == []
    store.loss = 0.0
    await two.until(lambda: two.actions() == ["join ada"])
    store.loss = 1.0
    await one.roster.track("room", Member("ada", 2))
    await two.until(lambda: two.actions() == ["join ada", "update ada"])
    await one.roster.untrack("room", "ada")
    await two.until(lambda: two.actions() == ["join ada", "update ada", "leave ada"])


async def test_whatever_is_lost_everybody_ends_up_with_the_truth(store, three):
    dice = random.Random(11)
    store.loss = 0.3
    for _ in range(300):
        instance, name = dice.choice(three), f"m{dice.randrange(6)}"
        if dice.random() < 0.6:
            await instance.roster.track("room", Member(name, dice.randrange(1000)))
        else:
            await instance.roster.untrack("room", name)
        if dice.random() < 0.1:
            await asyncio.sleep(0.01)
    store.loss = 0.0
    await asyncio.sleep(LIFE)
    truth = {member.id: member.data for member in await three[0].roster.members("room")}
    for instance in three:
        believed: dict[str, object] = {}
        for action, member in instance.told:
            # Told as it is: nobody joins who is here, nobody else is updated or leaves.
            assert (member.id in believed) == (action != "join"), (action, member)
            if action == "leave":
                del believed[member.id]
            else:
                believed[member.id] = member.data
        assert believed == truth


async def test_a_store_that_is_away_for_a_while_changes_nothing(store, three, monkeypatch, caplog):
    one, two, _ = three
    await one.roster.track("room", Member("ada", 1))
    asked = asyncio.Event()

    async def away(*_args, **_options):
        asked.set()
        raise StoreUnavailable("It is away.")

    with monkeypatch.context() as broken:
        broken.setattr(store, "members", away)
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
        await asyncio.sleep(LOOK * 2)
    await asyncio.sleep(LIFE)
    assert two.actions() == ["join ada"]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3, "each process says it once"


async def test_who_could_not_be_kept_is_back_when_the_store_is(store, three, monkeypatch):
    one, two, _ = three
    await one.roster.track("room", Member("ada", 1))

    async def away(*_args, **_options):
        raise StoreUnavailable("It is away.")

    with monkeypatch.context() as broken:
        broken.setattr(store, "track", away)
        await two.until(lambda: two.actions() == ["join ada", "leave ada"])
    await two.until(lambda: two.actions() == ["join ada", "leave ada", "join ada"])


async def test_nothing_is_at_work_when_nobody_is_here_and_nothing_is_followed(three):
    one, *_ = three
    await one.roster.track("room", Member("ada", 1))
    await one.roster.untrack("room", "ada")
    one.roster.unfollow("room")
    one.roster.unfollow("room")
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(one.roster._keeper, one.roster._looker)
        while one.roster._next is not None:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.05)
    assert not one.hub._hearers
