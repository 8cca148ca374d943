"""What was taken back stays so: merged or not, for whoever reads all of it, or a page of it, or the same live."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentape.core.cursor import Cursor
from tokentape.core.events import Event, encode_event
from tokentape.core.merge import Entry, merge
from tokentape.core.transcript import Transcript
from tokentape.hub import Hub
from tokentape.hub.channels import Channels
from tokentape.stores.base import Append, Retention
from tokentape.stores.memory import MemoryStore

steps = st.lists(
    st.tuples(
        st.sampled_from(["message", "start", "token", "token", "token", "done", "rewind"]),
        st.integers(0, 2),
        st.integers(0, 30),
    ),
    max_size=40,
)


def tape(steps: Sequence[tuple[str, int, int]]) -> list[Event]:
    """A channel on which runs begin with their start, and a rewind names where a message began, or 0."""
    events: list[Event] = []
    begins = [0]
    running: dict[int, str] = {}
    for kind, run, which in steps:
        name = running.get(run)
        match kind:
            case "message":
                begins.append(len(events) + 1)
                events.append(Event(type=kind, data={"role": "user", "content": which}))
            case "rewind":
                events.append(Event(type="chat:rewind", data={"from": begins[which % len(begins)]}))
            case "start" if name is None:
                begins.append(len(events) + 1)
                running[run] = f"r_{len(events)}"
                events.append(Event(type=kind, run=running[run], data={"message_id": f"m_{len(events)}"}))
            case "token" if name is not None:
                events.append(Event(type=kind, run=name, data=f"{which} "))
            case "done" if name is not None:
                del running[run]
                events.append(Event(type=kind, run=name, data={"reason": "stop"}))
    return events


def said(items: Sequence[Entry]) -> bytes:
    transcript = Transcript()
    transcript.apply_all((entry.offset, entry.event) for entry in items)
    return msgspec.json.encode(transcript.messages())


@given(steps, st.lists(st.integers(0, 40), max_size=4))
def test_merging_changes_nothing_about_what_was_taken_back(steps, cuts):
    entries = [Entry(offset, encode_event(event), event) for offset, event in enumerate(tape(steps), 1)]
    whole = said(entries)
    assert said(merge(entries)) == whole
    bounds = [0, *sorted(cuts), len(entries)]
    parts = [merge(entries[low:high]) for low, high in pairwise(bounds)]
    assert said([entry for part in parts for entry in part]) == whole


@settings(max_examples=50, deadline=None)
@given(steps, st.integers(1, 5), st.sampled_from(["newest", "oldest"]))
def test_the_pages_of_the_history_hold_what_the_whole_tape_says(steps, limit, order):
    events = tape(steps)
    entries = [Entry(offset, encode_event(event), event) for offset, event in enumerate(events, 1)]
    asyncio.run(_read(events, limit, order, said(entries)))


async def _read(events, limit, order, expected):
    async with MemoryStore() as store:
        hub = Hub(store)
        channels = Channels(hub, retention=Retention())
        await channels.ensure("room")
        if events:
            await hub.append(Append(stream="room"), events)
        seen = []
        position = None
        while True:
            bound = {"before" if order == "newest" else "after": position} if position else {}
            page = await channels.history("room", limit=limit, order=order, view="messages", **bound)
            seen += page.items
            if page.next is None:
                break
            position = Cursor.parse(page.next)
        assert msgspec.json.encode(seen[::-1] if order == "newest" else seen) == expected
        await channels.aclose()
        await hub.aclose()
