"""When a connection takes nothing any more."""

import asyncio

import pytest

from tokentape.server.stall import CHECKS, Progress, StallWatch

DEADLINE = 8.0
LOOK = DEADLINE / CHECKS


class Peer:
    """The other end, as far as a watch sees it, in a time that passes when it is told to."""

    def __init__(self, loop):
        self.now = 1000.0
        loop.time = lambda: self.now
        self.sent = 0
        self.waiting = 100
        self.looks = 0
        self.cuts = 0
        self.watch = StallWatch(DEADLINE, self.measure, self.cut)

    def measure(self):
        self.looks += 1
        return Progress(self.sent, self.waiting)

    def cut(self):
        self.cuts += 1

    async def wait(self, seconds):
        for _ in range(round(seconds / LOOK)):
            self.now += LOOK
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@pytest.fixture
async def peer():
    peer = Peer(asyncio.get_running_loop())
    peer.watch.begin()
    yield peer
    peer.watch.cancel()


async def test_who_takes_nothing_is_cut_at_the_deadline_once(peer):
    await peer.wait(DEADLINE - LOOK)
    assert peer.cuts == 0
    await peer.wait(LOOK)
    assert peer.cuts == 1
    await peer.wait(3 * DEADLINE)
    assert peer.cuts == 1


@pytest.mark.parametrize("progress", ["sent", "waiting"])
async def test_who_takes_a_little_now_and_then_is_not_cut(peer, progress):
    for _ in range(8):
        await peer.wait(DEADLINE - LOOK)
        if progress == "sent":
            peer.sent += 1
            peer.waiting += 10
        else:
            peer.waiting -= 1
        await peer.wait(LOOK)
    assert peer.cuts == 0
    await peer.wait(DEADLINE)
    assert peer.cuts == 1


async def test_a_time_in_which_this_process_stood_still_counts_once(peer):
    for _ in range(CHECKS - 1):
        peer.now += 10 * DEADLINE
        await peer.wait(LOOK)
    assert peer.cuts == 0
    peer.waiting -= 1
    await peer.wait(DEADLINE - LOOK)
    assert peer.cuts == 0


async def test_more_that_waits_is_no_progress(peer):
    for _ in range(CHECKS):
        peer.waiting += 1
        await peer.wait(LOOK)
    assert peer.cuts == 1


async def test_it_looks_at_nothing_while_nothing_waits(peer):
    peer.waiting = 0
    await peer.wait(3 * DEADLINE)
    assert peer.looks == 2, "once as it began, and once to see that it is over"
    peer.waiting = 1
    peer.watch.begin()
    peer.watch.begin()
    await peer.wait(DEADLINE)
    assert peer.cuts == 1


async def test_a_cancelled_watch_cuts_nobody(peer):
    peer.watch.cancel()
    await peer.wait(3 * DEADLINE)
    assert peer.cuts == 0
