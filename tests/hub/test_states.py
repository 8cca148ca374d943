"""Dialects that go on from a state: it belongs to the position, whichever way a watcher came there (ADR 0011)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from outlets import ManualOutlet

from tokentape.core.cursor import Cursor
from tokentape.core.errors import CursorGone
from tokentape.core.events import Event
from tokentape.core.merge import Entry
from tokentape.core.resume import Ready
from tokentape.dialects.base import Told
from tokentape.hub import Hub, HubLimits, View
from tokentape.stores.base import Append, Retention, StreamConfig


class Numbering:
    """Says with each piece how many events there were up to here: wrong as soon as a state is."""

    name = "numbering"
    stateful = True
    starts_over = False

    def __init__(self) -> None:
        self.refuses: str | None = None

    def ready(self, label: str, ready: Ready) -> tuple[str, ...]:
        return ()

    def encode(
        self, label: str, epoch: str, entries: Sequence[Entry], state: int | None, *, last: int | None = None
    ) -> Told:
        count, pieces, over = state or 0, [], False
        for entry in entries:
            if entry.event.data == self.refuses:
                raise ValueError("this cannot be said")
            count += entry.count
            over = over or entry.event.type == "reset"
            pieces.append((count, entry.offset, entry.event.data))
        return Told(tuple(pieces), count, over)

    def ephemeral(self, label: str, event: Event) -> tuple[str, ...]:
        return ()

    def size(self, content: object) -> int:
        assert isinstance(content, tuple)
        return len(content)


@pytest.fixture(autouse=True)
async def stream(hub: Hub) -> None:
    await hub.store.create("s", StreamConfig())


async def record(hub: Hub, *texts: str, kind: str = "token", stream: str = "s") -> None:
    await hub.append(Append(stream=stream), [Event(type=kind, run="r_1", data=text) for text in texts])


async def watch(
    hub: Hub, dialect: Numbering, start="start", *, capacity: int = 1_000_000, direct: bool = False, stream: str = "s"
) -> ManualOutlet:
    outlet = ManualOutlet(capacity=capacity, direct=direct)
    (await hub.attach(stream, start, View(dialect, stream, run="r_1"), outlet)).start()
    return outlet


def said(outlet: ManualOutlet) -> list[tuple[int, int, str]]:
    return [piece for payload in outlet.payloads for piece in payload.content]


def place(outlet: ManualOutlet) -> int:
    """The offset up to which this watcher was told everything."""
    return max([outlet.begun[0].cursor.offset, *(offset for _, offset, _ in said(outlet))])


async def test_everybody_is_told_from_the_state_of_his_place(hub: Hub) -> None:
    await _come_and_go(hub)


async def test_so_are_those_who_join_between_an_acceptance_and_its_flush(hub: Hub) -> None:
    rare = Hub(hub.store, HubLimits(ring_records=64, flush_share=0.01))
    await _come_and_go(rare)
    await rare.aclose()


async def _come_and_go(hub: Hub) -> None:
    dialects, draw = [Numbering(), Numbering()], random.Random(7)
    outlets: list[ManualOutlet] = []
    for turn in range(60):
        info = await hub.store.info("s")
        joining = []
        for _ in range(draw.randrange(4)):
            start = draw.choice(["start", "now", Cursor(info.epoch, draw.randint(0, info.last))])
            capacity, direct = draw.choice([1_000_000, 1]), draw.random() < 0.5
            joining.append(watch(hub, draw.choice(dialects), start, capacity=capacity, direct=direct))
        # At once, so that some join between an acceptance and its flush.
        work = [record(hub, *(f"{turn}.{n}," for n in range(draw.randint(1, 4)))) for _ in range(draw.randint(1, 3))]
        both = [*joining, *work]
        draw.shuffle(both)
        outlets += [outlet for outlet in await asyncio.gather(*both) if outlet is not None]
        for outlet in outlets:
            if draw.random() < 0.2:
                # A connection that was full has room again.
                outlet.capacity = len(said(outlet)) + draw.choice([1, 1_000_000])
                assert outlet.watcher is not None
                outlet.watcher.resume()
    last = (await hub.store.info("s")).last
    for outlet in outlets:
        outlet.capacity = 1_000_000
        assert outlet.watcher is not None
        outlet.watcher.resume()
    for outlet in outlets:
        await outlet.until(lambda outlet=outlet: place(outlet) == last)
        assert [count for count, _, _ in said(outlet)] == [offset for _, offset, _ in said(outlet)]


async def test_many_who_come_back_to_one_place_cost_one_reading(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    await record(hub, *(f"{n}," for n in range(50)))
    info = await hub.store.info("s")
    reads: list[int] = []
    read = hub.store.read

    async def counted(name: str, after: int, **bounds: int):
        reads.append(after)
        return await read(name, after, **bounds)

    monkeypatch.setattr(hub.store, "read", counted)
    dialect = Numbering()
    outlets = await asyncio.gather(*(watch(hub, dialect, Cursor(info.epoch, 50)) for _ in range(20)))
    assert reads == [0]
    await record(hub, "end")
    for outlet in outlets:
        await outlet.until(lambda outlet=outlet: said(outlet) == [(51, 51, "end")])


async def test_a_view_that_is_over_ends_though_the_stream_goes_on(hub: Hub) -> None:
    outlet, other = await watch(hub, Numbering()), await watch(hub, Numbering(), "now")
    await record(hub, "a")
    await record(hub, "again", kind="reset")
    await outlet.until(lambda: outlet.finished)
    await other.until(lambda: other.finished)
    assert not outlet.aborted


async def test_what_cannot_start_over_is_refused_where_it_would_have_to(hub: Hub) -> None:
    await record(hub, "a")
    with pytest.raises(CursorGone) as refused:
        await watch(hub, Numbering(), Cursor("other", 1))
    assert refused.value.details["reason"] == "epoch"
    assert hub.audience("s") == 0


async def test_what_cannot_start_over_is_cut_when_its_place_is_trimmed(hub: Hub) -> None:
    await hub.store.create("small", StreamConfig(retention=Retention(max_bytes=2000)))
    await record(hub, "first", stream="small")
    outlet = await watch(hub, Numbering(), capacity=1, stream="small")
    for n in range(60):
        await record(hub, f"{n}" * 40, stream="small")
    outlet.capacity = 1_000_000
    assert outlet.watcher is not None
    outlet.watcher.resume()
    await outlet.until(lambda: outlet.aborted)
    assert isinstance(outlet.error, CursorGone)


async def test_after_what_could_not_be_said_nobody_goes_on_from_a_wrong_state(hub: Hub) -> None:
    dialect = Numbering()
    early = await watch(hub, dialect)
    await record(hub, "a")
    await early.until(lambda: len(said(early)) == 1)
    dialect.refuses = "b"
    await record(hub, "b")
    dialect.refuses = None
    late = await watch(hub, dialect)
    await record(hub, "c")
    for outlet in (early, late):
        await outlet.until(lambda outlet=outlet: said(outlet)[-1:] and said(outlet)[-1][1] == 3)
        assert [count for count, _, _ in said(outlet)] == [offset for _, offset, _ in said(outlet)]
