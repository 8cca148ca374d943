"""What waits on a connection, and who may go on when."""

import asyncio

import pytest

from tokentape.server.websocket.outbox import MAX_ANSWERS, MAX_EVENTS, RESUME_AT, Outbox

KIB = b"x" * 1024


@pytest.fixture
def outbox():
    return Outbox()


def send(outbox, count: int) -> list[bytes]:
    """Takes and sends `count` parcels."""
    sent = []
    for _ in range(count):
        parcel = outbox.next()
        for message in parcel.messages:
            outbox.sent(parcel, message)
            sent.append(message)
    return sent


def test_events_and_answers_leave_in_one_order(outbox):
    outbox.events((b"1", b"2"), 2)
    outbox.answer(b"3")
    outbox.events((b"4",), 1)
    assert outbox
    assert send(outbox, 3) == [b"1", b"2", b"3", b"4"]
    assert outbox.waiting == 0
    assert outbox.messages_sent == 4
    assert not outbox
    assert outbox.next() is None


def test_watchers_hold_back_at_the_limit_and_go_on_well_below_it(outbox):
    for _ in range(MAX_EVENTS // 1024):
        assert outbox.writable
        outbox.events((KIB,), 1024)
    assert not outbox.writable
    send(outbox, (MAX_EVENTS - RESUME_AT) // 1024 - 1)
    assert not outbox.writable
    send(outbox, 1)
    assert outbox.writable


def test_one_payload_over_the_limit_is_taken(outbox):
    outbox.events((b"x" * (2 * MAX_EVENTS),), 2 * MAX_EVENTS)
    assert not outbox.writable
    send(outbox, 1)
    assert outbox.writable


def test_answers_do_not_hold_back_watchers_and_events_do_not_hold_back_answers(outbox):
    while not outbox.answers_full:
        outbox.answer(KIB)
    assert outbox.writable
    assert outbox.waiting <= MAX_ANSWERS + 2048
    other = Outbox()
    other.events((b"x" * MAX_EVENTS,), MAX_EVENTS)
    assert not other.answers_full


async def test_room_for_answers_is_waited_for(outbox):
    await asyncio.wait_for(outbox.room(), 1)
    while not outbox.answers_full:
        outbox.answer(KIB)
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    send(outbox, 1)
    await asyncio.wait_for(waiting, 10)


def test_many_small_answers_count_for_what_they_cost(outbox):
    for _ in range(MAX_ANSWERS // 128):
        outbox.answer(b"{}")
    assert outbox.answers_full


async def test_closed_it_gives_what_it_has_and_takes_nothing(outbox):
    while outbox.writable:
        outbox.events((KIB,), 1024)
    outbox.close()
    outbox.events((b"late",), 4)
    outbox.answer(b"late")
    assert b"late" not in send(outbox, MAX_EVENTS // 1024)
    assert outbox.next() is None
    assert not outbox.writable, "nobody goes on writing"


async def test_who_waits_for_room_when_it_is_closed_is_let_go(outbox):
    while not outbox.answers_full:
        outbox.answer(KIB)
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    outbox.close()
    await asyncio.wait_for(waiting, 10)


def test_many_parcels_are_taken_as_one_piece(outbox):
    outbox.events((b"1", b"2"), 2)
    outbox.answer(b"3")
    outbox.events((KIB,), 1024)
    outbox.events((b"4",), 1)
    assert outbox.take(1000) == b"123" + KIB, "in order, and whole parcels up to the one that goes over the size"
    assert outbox.take(1000) == b"4"
    assert outbox.waiting == 0
    assert not outbox


async def test_taking_makes_room(outbox):
    while not outbox.answers_full:
        outbox.answer(KIB)
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    outbox.take(10_000)
    await asyncio.wait_for(waiting, 10)
