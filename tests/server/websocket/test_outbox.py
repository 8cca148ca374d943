"""What waits on a connection, and who is told when."""

import asyncio

import pytest

from tokentape.server.websocket.outbox import MAX_ANSWERS, MAX_EVENTS, RESUME_AT, Outbox

KIB = b"x" * 1024


class Counted:
    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1


@pytest.fixture
def told():
    return Counted()


@pytest.fixture
def outbox(told):
    return Outbox(told)


async def send(outbox, count: int) -> list[bytes]:
    """Takes and sends `count` parcels."""
    sent = []
    for _ in range(count):
        parcel = await outbox.next()
        for message in parcel.messages:
            outbox.sent(parcel, message)
            sent.append(message)
        outbox.emptied(parcel)
    return sent


async def test_events_and_answers_leave_in_one_order(outbox):
    outbox.events((b"1", b"2"), 2)
    outbox.answer(b"3")
    outbox.events((b"4",), 1)
    assert await send(outbox, 3) == [b"1", b"2", b"3", b"4"]
    assert outbox.waiting == 0
    assert outbox.messages_sent == 4


async def test_watchers_hold_back_at_the_limit_and_go_on_well_below_it(outbox, told):
    for _ in range(MAX_EVENTS // 1024):
        assert outbox.writable
        outbox.events((KIB,), 1024)
    assert not outbox.writable
    await send(outbox, (MAX_EVENTS - RESUME_AT) // 1024 - 1)
    assert not outbox.writable
    assert told.times == 0
    await send(outbox, 1)
    assert outbox.writable
    assert told.times == 1
    await send(outbox, RESUME_AT // 1024)
    assert told.times == 1


async def test_one_payload_over_the_limit_is_taken(outbox):
    outbox.events((b"x" * (2 * MAX_EVENTS),), 2 * MAX_EVENTS)
    assert not outbox.writable
    await send(outbox, 1)
    assert outbox.writable


async def test_answers_do_not_hold_back_watchers_and_events_do_not_hold_back_answers(outbox):
    while not outbox.answers_full:
        outbox.answer(KIB)
    assert outbox.writable
    assert outbox.waiting <= MAX_ANSWERS + 2048
    other = Outbox(Counted())
    other.events((b"x" * MAX_EVENTS,), MAX_EVENTS)
    assert not other.answers_full


async def test_room_for_answers_is_waited_for(outbox):
    while not outbox.answers_full:
        outbox.answer(KIB)
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await send(outbox, 1)
    await asyncio.wait_for(waiting, 1)


async def test_many_small_answers_count_for_what_they_cost(outbox):
    for _ in range(MAX_ANSWERS // 128):
        outbox.answer(b"{}")
    assert outbox.answers_full


async def test_the_writer_waits_for_something_to_send(outbox):
    waiting = asyncio.ensure_future(outbox.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.answer(b"1")
    assert (await asyncio.wait_for(waiting, 1)).messages == (b"1",)


async def test_closed_it_gives_what_it_has_and_takes_nothing(outbox, told):
    while outbox.writable:
        outbox.events((KIB,), 1024)
    outbox.close()
    assert not outbox.writable
    outbox.events((b"late",), 4)
    outbox.answer(b"late")
    sent = await send(outbox, MAX_EVENTS // 1024)
    assert b"late" not in sent
    assert await outbox.next() is None
    assert told.times == 0, "nobody goes on writing"
    await asyncio.wait_for(outbox.room(), 1)


async def test_who_waits_when_it_is_closed_is_let_go(outbox):
    waiting = asyncio.ensure_future(outbox.next())
    await asyncio.sleep(0)
    outbox.close()
    assert await asyncio.wait_for(waiting, 1) is None


async def test_the_end_is_told_when_everything_before_it_has_left(outbox, told):
    outbox.events((b"1",), 1)
    left = Counted()
    outbox.events((), 0, left=left)
    await send(outbox, 1)
    assert left.times == 0
    await send(outbox, 1)
    assert left.times == 1
