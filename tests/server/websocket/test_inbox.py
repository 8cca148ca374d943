"""What waits to be carried out."""

from tokentape.core.messages import Ping
from tokentape.server.websocket.inbox import MAX_BYTES, MAX_REQUESTS, Inbox


def test_requests_come_out_in_their_order():
    inbox = Inbox()
    for number in range(3):
        inbox.put(Ping(id=number), 10)
    assert [inbox.next().id for _ in range(3)] == [0, 1, 2]
    assert inbox.next() is None


def test_it_is_full_by_number():
    inbox = Inbox()
    for number in range(MAX_REQUESTS):
        assert not inbox.full
        inbox.put(Ping(id=number), 10)
    assert inbox.full
    inbox.next()
    assert not inbox.full


def test_it_is_full_by_bytes():
    inbox = Inbox()
    inbox.put(Ping(id=1), MAX_BYTES)
    assert inbox.full
    inbox.next()
    assert not inbox.full


def test_once_full_it_is_read_on_for_with_a_gap():
    inbox = Inbox()
    while not inbox.full:
        inbox.put(Ping(id=1), 10)
    taken = 0
    while not inbox.roomy:
        inbox.next()
        taken += 1
    assert taken == MAX_REQUESTS // 2
    inbox.put(Ping(id=1), MAX_BYTES - 10_000)
    assert not inbox.full
    assert not inbox.roomy
