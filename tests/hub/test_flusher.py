"""When what was accepted leaves: in the turn of its batch, unless flushes have had their share of the time."""

import asyncio
from time import monotonic

import pytest
from outlets import ManualOutlet

from tokentape.core.events import Event
from tokentape.dialects import native
from tokentape.hub import Hub, View
from tokentape.hub.flusher import MAX_SLICE, MIN_SHARE, next_slice
from tokentape.hub.recorder import FULL_BATCH
from tokentape.stores.base import StreamConfig
from tokentape.stores.memory import MemoryStore


@pytest.fixture
async def hub():
    async with MemoryStore() as store:
        await store.create("s", StreamConfig())
        await store.create("t", StreamConfig())
        hub = Hub(store)
        yield hub
        await hub.aclose()


async def watch(hub: Hub, stream: str) -> ManualOutlet:
    outlet = ManualOutlet()
    watcher = await hub.attach(stream, "start", View(native.items, stream), outlet)
    watcher.start()
    return outlet


def token(text: str) -> Event:
    return Event(type="token", run="r_1", data=text)


async def rested(hub: Hub) -> None:
    """Waits until a flush may begin at once."""
    await asyncio.sleep(max(0.0, hub._flusher._not_before - monotonic() + 0.001))


async def test_what_is_accepted_in_a_batch_leaves_in_the_same_turn(hub: Hub) -> None:
    outlets = [await watch(hub, "s"), await watch(hub, "s"), await watch(hub, "t")]
    writers = [hub.writer("s"), hub.writer("s"), hub.writer("t")]
    for turn in range(1, 11):
        await rested(hub)
        hub._recorder._rest_until = 0.0
        for writer in writers:
            writer.put([token(f"{turn}")])
        assert [len(outlet.payloads) for outlet in outlets] == [turn - 1] * 3
        await asyncio.sleep(0)
        assert [len(outlet.payloads) for outlet in outlets] == [turn] * 3, "one write for each watcher"
    assert [item.event.data for item in outlets[2].items] == [f"{turn}" for turn in range(1, 11)]


async def test_it_is_not_hurried_while_it_rests(hub: Hub) -> None:
    outlet = await watch(hub, "s")
    writer = hub.writer("s")
    hub._flusher._not_before = until = monotonic() + 0.3
    for text in "abc":
        writer.put([token(text)])
        await asyncio.sleep(0.005)
    await writer.flush()
    assert monotonic() < until, "this machine is too slow for this test"
    assert outlet.payloads == []
    await outlet.until(lambda: len(outlet.items) == 3)
    assert monotonic() >= until - 0.001
    assert len(outlet.payloads) == 1


@pytest.mark.parametrize(
    ("others", "slice_"),
    [
        (0.0, 0.003),  # nobody else: as usual
        (0.003, 0.003),  # half of the time
        (0.006, 0.0015),  # they are busy: a fifth
        (0.100, 0.100 * MIN_SHARE / (1 - MIN_SHARE)),  # its least share
        (9.0, MAX_SLICE),
    ],
)
def test_a_flush_gives_way_to_others_down_to_its_least_share(others: float, slice_: float) -> None:
    assert next_slice(0.003, others=others) == pytest.approx(slice_)


def test_a_flush_never_has_less_than_its_least_share_of_the_time() -> None:
    for others in range(1, 150):
        slice_ = next_slice(0.003, others=others / 1000)
        assert slice_ / (slice_ + others / 1000) >= MIN_SHARE - 1e-9


async def test_there_may_be_nothing_to_hurry(hub: Hub) -> None:
    hub._flusher.hurry()
    await hub.writer("s").flush()
    writer = hub.writer("s")
    writer.put([token("a")])
    await writer.flush()  # nobody watches
    outlet = await watch(hub, "s")
    hub._flusher.hurry()
    writer.put([token("b")])
    await outlet.until(lambda: [item.event.data for item in outlet.items] == ["a", "b"])


async def test_what_an_outlet_does_in_a_flush_may_record_something(hub: Hub) -> None:
    """A batch that is full at that moment is committed there and then; it is shown in the next flush."""
    outlet = await watch(hub, "s")
    shown = await watch(hub, "t")
    writers = [hub.writer("t") for _ in range(FULL_BATCH + 1)]
    write = outlet.write

    def record(watcher, payload):
        write(watcher, payload)
        for writer in writers:
            writer.put([token("more")])

    outlet.write = record  # type: ignore[method-assign]
    hub.writer("s").put([token("first")])
    await shown.until(lambda: len(shown.items) == len(writers))
    assert [item.event.data for item in outlet.items] == ["first"]


async def test_an_outlet_that_fails_is_nothing_to_the_others(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    broken, other = await watch(hub, "s"), await watch(hub, "t")

    def fail(*_: object) -> None:
        raise RuntimeError("not an error of the connection")

    broken.write = fail  # type: ignore[method-assign]
    for text in ("one", "two"):
        hub.writer("s").put([token(text)])
        hub.writer("t").put([token(text)])
        await rested(hub)
        await asyncio.sleep(0.01)
    await other.until(lambda: len(other.items) == 2)
    assert "a watcher of s failed" in caplog.text
    assert hub.watchers() == 1, "it was let go"


async def test_flushes_go_on_when_a_watcher_cannot_even_be_let_go(hub: Hub) -> None:
    """It is the loop's exception handler that hears of it."""
    heard: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    broken, other = await watch(hub, "s"), await watch(hub, "t")

    def fail(*_: object) -> None:
        raise RuntimeError("not an error of the connection")

    broken.write = broken.abort = fail  # type: ignore[method-assign,assignment]
    for text in ("one", "two"):
        hub.writer("s").put([token(text)])
        hub.writer("t").put([token(text)])
        await rested(hub)
        await asyncio.sleep(0.01)
    await other.until(lambda: len(other.items) == 2)
    assert heard
