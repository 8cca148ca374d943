"""When a connection takes nothing any more."""

import asyncio

import pytest

from tokentape.server.websocket.stall import CHECKS, Progress, StallWatch

DEADLINE = 0.2


class Peer:
    """The other end, as far as a watch sees it."""

    def __init__(self):
        self.sent = 0
        self.waiting = 100
        self.looks = 0
        self.cut = asyncio.Event()
        self.watch = StallWatch(DEADLINE, self.measure, self.cut.set)

    def measure(self):
        self.looks += 1
        return Progress(self.sent, self.waiting)


@pytest.fixture
async def peer():
    peer = Peer()
    peer.watch.begin()
    yield peer
    peer.watch.cancel()


async def test_who_takes_nothing_is_cut_at_the_deadline(peer):
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(peer.cut.wait(), 5)
    took = asyncio.get_running_loop().time() - began
    assert DEADLINE <= took < 2 * DEADLINE


@pytest.mark.parametrize("progress", ["sent", "waiting"])
async def test_who_takes_a_little_now_and_then_is_not_cut(peer, progress):
    for _ in range(8):
        await asyncio.sleep(DEADLINE / 2)
        if progress == "sent":
            peer.sent += 1
            peer.waiting += 10
        else:
            peer.waiting -= 1
    assert not peer.cut.is_set()
    await asyncio.wait_for(peer.cut.wait(), 5)


async def test_more_that_waits_is_no_progress(peer):
    for _ in range(CHECKS + 2):
        await asyncio.sleep(DEADLINE / CHECKS)
        peer.waiting += 1
    await asyncio.wait_for(peer.cut.wait(), DEADLINE)


async def test_there_is_no_timer_while_nothing_waits(peer):
    peer.waiting = 0
    await asyncio.sleep(2 * DEADLINE)
    assert peer.looks == 2, "once as it began, and once to see that it is over"
    peer.waiting = 1
    peer.watch.begin()
    peer.watch.begin()
    await asyncio.wait_for(peer.cut.wait(), 5)


async def test_a_cancelled_watch_cuts_nobody(peer):
    peer.watch.cancel()
    await asyncio.sleep(2 * DEADLINE)
    assert not peer.cut.is_set()
