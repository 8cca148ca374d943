"""Who is present through connections, also when they come and go at the same time."""

import asyncio

import pytest

from tokentape.core.errors import StoreUnavailable
from tokentape.hub import Hub
from tokentape.hub.channels import Channels
from tokentape.server.websocket.attendance import Attendance, Members
from tokentape.stores.base import Retention
from tokentape.stores.memory import MemoryStore


class SlowPresence(MemoryStore):
    """Lets others go first while it tracks; fails when told to."""

    failing = False

    async def track(self, stream, member, *, seconds):
        await asyncio.sleep(0)
        if self.failing:
            raise StoreUnavailable("The store is away.")
        return await super().track(stream, member, seconds=seconds)

    async def untrack(self, stream, member_id):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self.failing:
            raise StoreUnavailable("The store is away.")
        return await super().untrack(stream, member_id)


@pytest.fixture
async def store():
    async with SlowPresence() as store:
        yield store


@pytest.fixture
async def channels(store):
    channels = Channels(Hub(store), retention=Retention())
    yield channels
    store.failing = False
    await channels.aclose()


@pytest.fixture
def attendance(channels):
    return Attendance(channels)


async def present(channels) -> list[str]:
    return [member.id for member in await channels.members("room")]


async def test_a_join_does_not_overtake_the_leave_of_the_connection_before(attendance, channels):
    old, new = Members(attendance), Members(attendance)
    await old.track("room", "ada", None)
    # A page that is reloaded: the old connection ends while the new one begins.
    await asyncio.gather(old.leave(), new.track("room", "ada", None))
    assert await present(channels) == ["ada"]
    await asyncio.gather(new.leave(), old.track("room", "ada", None))
    assert await present(channels) == ["ada"]
    await old.leave()
    assert await present(channels) == []


async def test_nothing_is_kept_of_who_has_gone(attendance):
    members = Members(attendance)
    for number in range(10):
        await members.track("room", f"m{number}", None)
    await members.leave()
    assert attendance._seats == {}


async def test_a_connection_that_breaks_while_it_joins_takes_the_member_with_it(attendance, channels):
    members = Members(attendance)
    joining = asyncio.ensure_future(members.track("room", "ada", None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    await members.leave()
    assert await present(channels) == []


async def test_what_the_store_refuses_is_not_held(attendance, store):
    members = Members(attendance)
    store.failing = True
    with pytest.raises(StoreUnavailable):
        await members.track("room", "ada", None)
    assert attendance._seats == {}
    store.failing = False
    await members.track("room", "ada", None)
    store.failing = True
    with pytest.raises(StoreUnavailable):
        await members.track("room", "ada", "changed")
    assert attendance._seats.keys() == {("room", "ada")}, "it is still present"


async def test_a_store_that_fails_does_not_stop_the_others_from_leaving(attendance, store, caplog):
    members = Members(attendance)
    await members.track("room", "ada", None)
    await members.track("room", "bob", None)
    store.failing = True
    await members.leave()
    assert attendance._seats == {}
    assert len(caplog.records) == 2
