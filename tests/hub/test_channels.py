"""Publishing, history and presence."""

import pytest
from outlets import ManualOutlet

from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest, CursorGone, InvalidEvent, InvalidName, StreamNotFound, TooLarge
from tokentape.core.events import Event
from tokentape.dialects import native
from tokentape.hub import Hub, View
from tokentape.hub.channels import Channels, Publish
from tokentape.stores.base import Append, Member, Retention


@pytest.fixture
async def channels(hub: Hub):
    channels = Channels(hub, retention=Retention())
    yield channels
    await channels.aclose()


async def fill(channels: Channels, count: int) -> None:
    await channels.publish(
        "room", [Publish("message", {"id": f"m{n}", "role": "user", "content": str(n)}) for n in range(count)]
    )


async def test_publish_is_one_step_and_answers_the_last_position(channels, hub) -> None:
    cursor = await channels.publish("room", [Publish("a:b", 1), Publish("a:b", 2)])
    info = await hub.store.info("room")
    assert cursor == Cursor(info.epoch, 2)


async def test_the_same_id_is_published_once(channels, hub) -> None:
    first = await channels.publish("room", [Publish("a:b", 1, id="x")])
    await channels.publish("room", [Publish("a:b", 2)])
    again = await channels.publish("room", [Publish("a:b", 1, id="x")])
    assert again == first
    assert (await hub.store.info("room")).last == 2


async def test_a_bad_event_in_a_list_publishes_nothing(channels, hub) -> None:
    with pytest.raises(InvalidEvent):
        await channels.publish("room", [Publish("a:b", 1), Publish("no good", 2)])
    with pytest.raises(StreamNotFound):
        await hub.store.info("room")


@pytest.mark.parametrize(
    ("name", "events", "error"),
    [
        ("room", [Publish("a:b\n", 1)], InvalidEvent),
        ("room", [Publish("a:b", 1, id="")], InvalidEvent),
        ("room", [Publish("a:b", "x" * 300_000)], TooLarge),
        ("room", [Publish("a:b", 1)] * 1001, TooLarge),
        ("runs/r_1", [Publish("a:b", 1)], BadRequest),
        ("$runs", [Publish("a:b", 1)], InvalidName),
        ("a//b", [Publish("a:b", 1)], InvalidName),
    ],
)
async def test_bad_publishes_are_refused(channels, name, events, error) -> None:
    with pytest.raises(error):
        await channels.publish(name, events)


async def test_ephemeral_events_are_shown_and_not_kept(channels, hub) -> None:
    await channels.ensure("room")
    outlet = ManualOutlet()
    (await hub.attach("room", "now", View(native.items, "room"), outlet)).start()
    assert await channels.publish("room", [Publish("chat:typing", True, persist=False)]) is None
    assert [item.event.type for item in outlet.items] == ["chat:typing"]
    assert (await hub.store.info("room")).last == 0


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("view", ["events", "messages"])
async def test_pages_join_without_gap_or_overlap(channels, order, view) -> None:
    await fill(channels, 25)
    seen, position = [], None
    while True:
        bound = {"before" if order == "newest" else "after": position} if position else {}
        page = await channels.history("room", limit=10, order=order, view=view, **bound)
        seen += [item.first if view == "messages" else int(item.cursor.split("-")[1]) for item in page.items]
        if page.next is None:
            break
        position = Cursor.parse(page.next)
    assert seen == (list(range(25, 0, -1)) if order == "newest" else list(range(1, 26)))


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_large_events_make_small_pages(channels, order, monkeypatch) -> None:
    monkeypatch.setattr("tokentape.hub.channels.MAX_HISTORY_BYTES", 500_000)
    for n in range(6):
        await channels.publish("room", [Publish("a:b", f"{n}" * 200_000)])
    seen, pages, position = [], 0, None
    while True:
        bound = {"before" if order == "newest" else "after": position} if position else {}
        page = await channels.history("room", order=order, **bound)
        seen += [int(item.cursor.split("-")[1]) for item in page.items]
        pages += 1
        if page.next is None:
            break
        position = Cursor.parse(page.next)
    assert seen == (list(range(6, 0, -1)) if order == "newest" else list(range(1, 7)))
    assert pages >= 2


async def test_history_goes_on_live_without_a_gap(channels, hub) -> None:
    await fill(channels, 3)
    page = await channels.history("room")
    await channels.publish("room", [Publish("a:b", "later")])
    async with hub.reading("room", Cursor.parse(page.cursor)) as reader:
        assert (await anext(reader)).event.data == "later"


async def test_messages_are_whole_though_runs_are_interleaved(channels, hub) -> None:
    await channels.ensure("room")

    async def say(run: str, *events: tuple) -> None:
        await hub.append(Append(stream="room"), [Event(type=kind, run=run, data=data) for kind, data in events])

    await say("r_1", ("start", {"message_id": "m_1"}), ("token", "one "))
    await say("r_2", ("start", {"message_id": "m_2"}), ("token", "two "))
    await say("r_1", ("token", "uno"), ("done", {"reason": "stop"}))
    await say("r_2", ("token", "dos"))
    for order in ("newest", "oldest"):
        seen, position = {}, None
        while True:
            bound = {"before" if order == "newest" else "after": position} if position else {}
            page = await channels.history("room", limit=1, order=order, view="messages", **bound)
            for message in page.items:
                assert message.run not in seen
                seen[message.run] = (message.content, message.state)
            if page.next is None:
                break
            position = Cursor.parse(page.next)
        assert seen == {"r_1": ("one uno", "stop"), "r_2": ("two dos", "running")}


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_what_was_taken_back_is_on_no_page_of_messages(channels, hub, order, monkeypatch) -> None:
    monkeypatch.setattr("tokentape.hub.channels.MESSAGE_WINDOW", 4)

    async def read() -> list[int]:
        seen, position = [], None
        while True:
            bound = {"before" if order == "newest" else "after": position} if position else {}
            page = await channels.history("room", limit=2, order=order, view="messages", **bound)
            seen += [message.first for message in page.items]
            if page.next is None:
                return sorted(seen)
            position = Cursor.parse(page.next)

    await fill(channels, 20)
    assert await read() == list(range(1, 21))
    await hub.append(Append(stream="room"), [Event(type="token", run="r_1", data="a")])
    # Far behind what it takes back; and in the middle of an answer.
    await channels.publish("room", [Publish("chat:rewind", {"from": 7}), Publish("chat:rewind", {"from": "1"})])
    await hub.append(Append(stream="room"), [Event(type="done", run="r_1", data={"reason": "stopped"})])
    await fill(channels, 2)
    assert await read() == [1, 2, 3, 4, 5, 6, 25, 26]
    await channels.publish("room", [Publish("chat:rewind", {"from": 26}), Publish("chat:rewind", {"from": 3})])
    await fill(channels, 6)
    assert await read() == [1, 2, *range(29, 35)]
    events = await channels.history("room", order=order)
    assert len(events.items) == 34
    # A channel of the same name, in another life.
    await hub.store.delete("room")
    await fill(channels, 20)
    assert await read() == list(range(1, 21))


async def test_what_was_taken_back_of_a_trimmed_past(hub) -> None:
    channels = Channels(hub, retention=Retention(max_bytes=3000))
    await fill(channels, 3)
    await channels.publish("room", [Publish("chat:rewind", {"from": 2})])
    assert [m.first for m in (await channels.history("room", view="messages", order="oldest", limit=1)).items] == [1]
    for _ in range(30):
        await fill(channels, 3)
    first = (await hub.store.info("room")).first
    assert first > 40
    await channels.publish("room", [Publish("chat:rewind", {"from": 5}), Publish("message", {"content": "new"})])
    page = await channels.history("room", view="messages", order="oldest")
    assert [message.content for message in page.items] == ["new"]
    await channels.aclose()


async def test_history_of_another_epoch_is_gone(channels) -> None:
    await fill(channels, 1)
    with pytest.raises(CursorGone):
        await channels.history("room", before=Cursor("other", 1))
    with pytest.raises(BadRequest):
        await channels.history("room", limit=0)
    with pytest.raises(StreamNotFound):
        await channels.history("nowhere")


async def test_presence_tells_the_channel(channels, hub) -> None:
    await channels.ensure("room")
    outlet = ManualOutlet()
    (await hub.attach("room", "now", View(native.items, "room"), outlet)).start()
    await channels.track("room", Member("ada", {"name": "Ada"}))
    await channels.track("room", Member("ada", {"name": "Ada L."}))
    assert await channels.members("room") == [Member("ada", {"name": "Ada L."})]
    await channels.untrack("room", "ada")
    await channels.untrack("room", "ada")
    assert [item.event.data["action"] for item in outlet.items] == ["join", "update", "leave"]
    assert await channels.members("room") == []
    with pytest.raises(BadRequest):
        await channels.track("room", Member("", None))
