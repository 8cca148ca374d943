"""What waits to be carried out."""

import asyncio

from tokentape.core.messages import Ping
from tokentape.server.websocket.inbox import MAX_BYTES, MAX_REQUESTS, Inbox


async def test_requests_come_out_in_their_order():
    inbox = Inbox()
    for number in range(3):
        inbox.put(Ping(id=number), 10)
    assert [(await inbox.next()).id for _ in range(3)] == [0, 1, 2]


async def test_it_is_full_by_number_and_by_bytes():
    inbox = Inbox()
    for number in range(MAX_REQUESTS):
        assert not inbox.full
        inbox.put(Ping(id=number), 10)
    assert inbox.full
    await inbox.next()
    assert not inbox.full
    inbox = Inbox()
    inbox.put(Ping(id=1), MAX_BYTES)
    assert inbox.full
    await inbox.next()
    assert not inbox.full


async def test_room_is_waited_for():
    inbox = Inbox()
    inbox.put(Ping(id=1), MAX_BYTES)
    waiting = asyncio.ensure_future(inbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await inbox.next()
    await asyncio.wait_for(waiting, 1)


async def test_a_request_is_waited_for():
    inbox = Inbox()
    waiting = asyncio.ensure_future(inbox.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(Ping(id=7), 10)
    assert (await asyncio.wait_for(waiting, 1)).id == 7


async def test_closed_it_still_gives_what_it_has():
    inbox = Inbox()
    inbox.put(Ping(id=1), 10)
    inbox.close()
    assert (await inbox.next()).id == 1
    assert await inbox.next() is None


async def test_who_waits_when_it_is_closed_is_let_go():
    inbox = Inbox()
    waiting = asyncio.ensure_future(inbox.next())
    await asyncio.sleep(0)
    inbox.close()
    assert await asyncio.wait_for(waiting, 1) is None
