import asyncio
from math import inf

import pytest

from tokentape.providers.deadline import Deadline


class Loop:
    """The running loop, with the timers counted."""

    def __init__(self, monkeypatch) -> None:
        self.loop = asyncio.get_running_loop()
        self.timers = 0
        call_at = self.loop.call_at

        def counting(*args, **kwargs):
            self.timers += 1
            return call_at(*args, **kwargs)

        monkeypatch.setattr(self.loop, "call_at", counting)

    def time(self) -> float:
        return self.loop.time()


@pytest.fixture
async def loop(monkeypatch) -> Loop:
    return Loop(monkeypatch)


async def test_it_expires_once_when_its_time_has_come(loop):
    fired = asyncio.Event()
    deadline = Deadline(fired.set)
    deadline.set(loop.time() + 0.01)
    await fired.wait()
    assert deadline.expired


async def test_moving_it_on_needs_no_timer(loop):
    fired = asyncio.Event()
    deadline = Deadline(fired.set)
    began = loop.time()
    for step in range(1000):
        deadline.set(began + 0.03 + step / 100_000)
    assert loop.timers == 1
    await fired.wait()
    assert loop.time() >= began + 0.03 + 999 / 100_000
    assert loop.timers <= 2  # one, where the machine stood still until the end of it all


async def test_it_can_be_brought_forward(loop):
    fired = asyncio.Event()
    deadline = Deadline(fired.set)
    deadline.set(loop.time() + 3600)
    deadline.set(loop.time() + 0.01)
    async with asyncio.timeout(10):
        await fired.wait()


async def test_put_off_for_ever_it_stays_silent_until_it_is_set_again(loop):
    fired = asyncio.Event()
    deadline = Deadline(fired.set)
    deadline.set(loop.time() + 0.01)
    deadline.set(inf)
    await asyncio.sleep(0.03)  # past the timer that was armed
    assert not fired.is_set()
    deadline.set(loop.time() + 0.01)
    await fired.wait()


async def test_cancelled_it_never_fires(loop):
    deadline = Deadline(lambda: pytest.fail("it fired"))
    deadline.set(loop.time() + 0.005)
    deadline.cancel()
    await asyncio.sleep(0.02)
    assert not deadline.expired
