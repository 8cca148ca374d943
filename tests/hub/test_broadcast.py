"""What nobody needs later, over two hubs on one store: as in two processes."""

import pytest
from outlets import ManualOutlet

from tokentape.core.errors import TooLarge
from tokentape.core.events import Event
from tokentape.dialects import native
from tokentape.hub import Hub, View
from tokentape.stores.base import MAX_BROADCAST, StreamConfig
from tokentape.stores.memory import MemoryStore


async def live(hub: Hub) -> ManualOutlet:
    outlet = ManualOutlet()
    watcher = await hub.attach("s", "now", View(native.items, "s"), outlet)
    watcher.start()
    return outlet


@pytest.fixture
async def hubs():
    store = MemoryStore()
    await store.create("s", StreamConfig())
    one, two = Hub(store), Hub(store)
    yield one, two
    await one.aclose()
    await two.aclose()


def typing(number: int) -> Event:
    return Event(type="chat:typing", data=number)


async def test_every_watcher_of_every_process_sees_it_once(hubs):
    one, two = hubs
    outlets = [await live(hub) for hub in (one, one, two, two)]
    for number in range(3):
        hubs[number % 2].broadcast("s", typing(number))
    for outlet in outlets:
        assert [item.event.data for item in outlet.items] == [0, 1, 2]


async def test_a_process_without_watchers_does_not_even_read_it(hubs, monkeypatch):
    one, two = hubs
    outlet = await live(one)
    monkeypatch.setattr("tokentape.hub.hub.decode_event", lambda _: pytest.fail("it was read"))
    two.broadcast("elsewhere", typing(1))
    assert outlet.items == []


async def test_what_is_heard_under_another_name_is_shown_to_nobody(hubs):
    one, two = hubs
    outlet = await live(one)
    heard = []
    one.hear("s", heard.append)
    two.tell("s", b"1")
    one.forget("s")
    two.broadcast("s", typing(2))
    assert heard == [b"1"]
    assert [item.event.data for item in outlet.items] == [2]


async def test_one_that_is_too_large_is_refused(hubs):
    with pytest.raises(TooLarge):
        hubs[0].broadcast("s", Event(type="chat:x", data="x" * MAX_BROADCAST))
