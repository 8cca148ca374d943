"""P1, P2, P3 and P5 as far as the hub keeps them."""

import asyncio

import pytest
from outlets import ManualOutlet

from tokentape.core.cursor import Cursor
from tokentape.core.errors import CursorGone, ShuttingDown, StoreFull, StreamClosed, StreamNotFound
from tokentape.core.events import Event
from tokentape.dialects import native
from tokentape.hub import Hub, View
from tokentape.hub.recorder import Recorder
from tokentape.stores.base import Append, Retention, StreamConfig
from tokentape.stores.memory import MemoryStore


def token(text: str, run: str = "r_1") -> Event:
    return Event(type="token", run=run, data=text)


async def record(hub: Hub, *texts: str, stream: str = "s", close: bool = False) -> None:
    await hub.append(Append(stream=stream, close=close), [token(text) for text in texts])


async def watch(hub: Hub, start="start", *, outlet: ManualOutlet | None = None, merge: bool = True, run=None):
    outlet = outlet or ManualOutlet()
    watcher = await hub.attach("s", start, View(native.items, "s", merge=merge, run=run), outlet)
    watcher.start()
    return outlet


def text(outlet: ManualOutlet) -> str:
    return "".join(item.event.data for item in outlet.items)


@pytest.fixture(autouse=True)
async def stream(hub: Hub) -> None:
    await hub.store.create("s", StreamConfig())


async def test_live_watcher_gets_each_event_as_recorded(hub: Hub) -> None:
    outlet = await watch(hub)
    await record(hub, "a")
    await record(hub, "b")
    await outlet.until(lambda: outlet.offsets == [1, 2])
    assert [item.event.data for item in outlet.items] == ["a", "b"]


async def test_events_of_one_turn_leave_in_one_write(hub: Hub) -> None:
    outlet = await watch(hub)
    await asyncio.gather(*(record(hub, str(n)) for n in range(5)))
    await outlet.until(lambda: len(outlet.offsets) == 5)
    assert len(outlet.payloads) == 1


async def test_late_joiner_gets_one_merged_event_then_the_tail(hub: Hub) -> None:
    await record(hub, *"abc")
    outlet = await watch(hub)
    assert outlet.begun[0].outcome == "replayed"
    await record(hub, "d")
    await outlet.until(lambda: outlet.offsets == [3, 4])
    assert [item.event.data for item in outlet.items] == ["abc", "d"]


async def test_merge_can_be_declined(hub: Hub) -> None:
    await record(hub, *"abc")
    outlet = await watch(hub, merge=False)
    await outlet.until(lambda: outlet.offsets == [1, 2, 3])


@pytest.mark.parametrize("seen", range(31))
async def test_resume_from_every_offset_beyond_the_ring_too(hub: Hub, seen: int) -> None:
    for n in range(30):
        await record(hub, f"{n},")
    info = await hub.store.info("s")
    outlet = await watch(hub, Cursor(info.epoch, seen))
    assert outlet.begun[0].outcome == ("live" if seen == 30 else "replayed")
    await record(hub, "end")
    await outlet.until(lambda: outlet.offsets[-1:] == [31])
    assert text(outlet) == "".join(f"{n}," for n in range(seen, 30)) + "end"
    assert outlet.offsets == sorted(set(outlet.offsets))


async def test_full_connection_stays_behind_and_catches_up_merged(hub: Hub) -> None:
    slow = await watch(hub, outlet=ManualOutlet(capacity=1))
    quick = await watch(hub)
    for n in range(40):
        await record(hub, f"{n},")
    await quick.until(lambda: quick.offsets[-1:] == [40])
    assert len(slow.payloads) == 1
    slow.capacity = 1_000_000
    assert slow.watcher is not None
    slow.watcher.resume()
    await slow.until(lambda: slow.offsets[-1:] == [40])
    assert text(slow) == text(quick)
    assert len(slow.payloads) < 5


async def test_accepted_while_a_page_is_read_is_not_lost(hub: Hub) -> None:
    for n in range(20):
        await record(hub, f"{n},")
    outlet, *_ = await asyncio.gather(watch(hub), *(record(hub, f"{n},") for n in range(20, 40)))
    await outlet.until(lambda: outlet.offsets[-1:] == [40])
    assert text(outlet) == "".join(f"{n}," for n in range(40))


async def test_view_of_a_run_ends_with_its_done(hub: Hub) -> None:
    mine = await watch(hub, run="r_1")
    await hub.append(
        Append(stream="s"),
        [
            token("x"),
            token("y", run="r_2"),
            Event(type="done", run="r_2", data={}),
            Event(type="done", run="r_1", data={}),
        ],
    )
    await mine.until(lambda: mine.finished)
    assert [item.event.type for item in mine.items] == ["token", "done"]
    again = await watch(hub, run="r_1")
    await again.until(lambda: again.finished)
    assert hub.audience("s") == 0


async def test_closed_stream_ends_every_watcher(hub: Hub) -> None:
    early = await watch(hub)
    await record(hub, "last", close=True)
    late = await watch(hub)
    for outlet in (early, late):
        await outlet.until(lambda outlet=outlet: outlet.finished)
        assert text(outlet) == "last"
    with pytest.raises(StreamClosed):
        await record(hub, "more")


async def test_close_without_records_ends_live_watchers(hub: Hub) -> None:
    await record(hub, "a")
    outlet = await watch(hub)
    await outlet.until(lambda: outlet.offsets == [1])
    await hub.append(Append(stream="s", close=True), [])
    await outlet.until(lambda: outlet.finished)


@pytest.mark.parametrize(("cursor", "reason"), [(Cursor("other", 1), "epoch"), (None, "future")])
async def test_unservable_cursor_is_told_gone_with_everything(hub: Hub, cursor: Cursor | None, reason: str) -> None:
    await record(hub, *"abc")
    info = await hub.store.info("s")
    outlet = await watch(hub, cursor or Cursor(info.epoch, 99))
    assert outlet.begun[0] == ("gone", Cursor(info.epoch, 0), reason)
    await outlet.until(lambda: text(outlet) == "abc")


async def test_falling_behind_retention_is_told_in_mid_watch(hub: Hub) -> None:
    await hub.store.create("t", StreamConfig(retention=Retention(max_bytes=600)))
    outlet = ManualOutlet(capacity=1)
    watcher = await hub.attach("t", "start", View(native.items, "t"), outlet)
    watcher.start()
    for n in range(200):
        await record(hub, f"{n},", stream="t")
    outlet.payloads.clear()
    outlet.capacity = 1_000_000
    watcher.resume()
    await outlet.until(lambda: outlet.offsets[-1:] == [200])
    assert [ready.outcome for ready in outlet.begun] == ["live", "gone"]
    assert outlet.begun[1].reason == "trimmed"
    first = outlet.begun[1].cursor.offset
    assert text(outlet) == "".join(f"{n}," for n in range(first, 200))


async def test_stream_made_anew_is_told_to_those_who_reconnect(hub: Hub) -> None:
    await record(hub, "old")
    before = await hub.store.info("s")
    outlet = await watch(hub)
    await outlet.until(lambda: text(outlet) == "old")
    await hub.delete("s")
    assert isinstance(outlet.error, CursorGone)
    await hub.store.create("s", StreamConfig())
    await record(hub, "new")
    again = await watch(hub, Cursor(before.epoch, 1))
    assert again.begun[0].reason == "epoch"
    await again.until(lambda: text(again) == "new")


async def test_ephemeral_is_shown_once_and_not_kept(hub: Hub) -> None:
    outlet = await watch(hub)
    await record(hub, "a")
    await outlet.until(lambda: outlet.offsets == [1])
    hub.broadcast("s", Event(type="chat:typing", data=True))
    late = await watch(hub)
    await late.until(lambda: late.offsets == [1])
    assert [item.event.type for item in outlet.items] == ["token", "chat:typing"]
    assert outlet.items[1].cursor is None


async def test_missing_stream_leaves_nothing_behind(hub: Hub) -> None:
    for n in range(10):
        with pytest.raises(StreamNotFound):
            await hub.attach(f"no/{n}", "start", View(native.items, "no"), ManualOutlet())
    assert len(hub._tails) <= 2


async def test_drain_aborts_and_refuses(hub: Hub) -> None:
    outlet = await watch(hub)
    hub.drain()
    assert isinstance(outlet.error, ShuttingDown)
    assert not outlet.finished
    with pytest.raises(ShuttingDown):
        await watch(hub)


async def test_lost_watcher_leaves_no_trace(hub: Hub) -> None:
    counts = []
    hub.on_audience.append(lambda stream, count: counts.append((stream, count)))
    outlet = await watch(hub)
    assert outlet.watcher is not None
    outlet.watcher.lost()
    outlet.watcher.lost()
    assert counts == [("s", 1), ("s", 0)]
    assert hub.watchers() == 0


class _Refusing:
    """A store on which nothing can be written."""

    def __init__(self, store) -> None:
        self._store = store

    async def append(self, batch):
        return [StoreFull("the disk is full")] * len(batch)


async def test_refused_events_are_shown_to_nobody(hub: Hub) -> None:
    outlet = await watch(hub)
    hub._recorder = Recorder(_Refusing(hub.store), hub._accepted, hub._flusher.hurry)
    with pytest.raises(StoreFull):
        await record(hub, "never")
    writer = hub.writer("s")
    writer.put([token("never")])
    with pytest.raises(StoreFull):
        await writer.flush()
    assert writer.error is not None
    assert outlet.items == []


async def test_flush_of_many_watchers_lets_others_run(hub: Hub) -> None:
    hub._flusher._slice = 0.0
    outlets = [await watch(hub) for _ in range(600)]
    await record(hub, "w")
    await outlets[-1].until(lambda: outlets[-1].offsets == [1])
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        if outlets[-1].offsets == [1]:
            asyncio.get_running_loop().call_soon(count)

    await record(hub, "x")
    count()
    await outlets[-1].until(lambda: outlets[-1].offsets == [1, 2])
    assert turns > 2
    assert all(outlet.offsets == [1, 2] for outlet in outlets)


async def test_writer_is_bounded_and_ordered(hub: Hub) -> None:
    writer = hub._recorder.writer("s", max_bytes=100)
    writer.put([token("x" * 200)])
    assert writer.full
    await writer.room()
    writer.put([token("y")])
    await writer.flush()
    page = await hub.store.read("s", 0)
    assert [offset for offset, _ in page.records] == [1, 2]


async def test_what_another_process_records_is_shown_here_too() -> None:
    """Two hubs on one store stand for two processes; what the one records, the other reads from the log."""
    async with MemoryStore() as store:
        await store.create("s", StreamConfig())
        here, there = Hub(store), Hub(store)
        outlet = await watch(here)
        await record(there, "a")
        await record(there, "b")
        await record(here, "c")
        await outlet.until(lambda: outlet.offsets[-1:] == [3])
        assert text(outlet) == "abc"
        await there.append(Append(stream="s", close=True), [])
        await outlet.until(lambda: outlet.finished)
        await here.aclose()
        await there.aclose()
