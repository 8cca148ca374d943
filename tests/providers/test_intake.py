"""The laws of `tokentape.providers.intake`, on pairs of sockets."""

import asyncio
import os
import select
import socket
import struct
from contextlib import suppress

import psutil
import pytest

from tokentape.providers import intake as module
from tokentape.providers.intake import Intake

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll here")


class Far:
    """The other end of a socket that is read, and what its reader was told."""

    def __init__(self, near: socket.socket, far: socket.socket, heard: list) -> None:
        near.setblocking(False)
        self.near, self.far = near, far
        self.said = b""
        self.ends: list[Exception | None] = []
        self.then = None
        self._heard = heard

    @property
    def fd(self) -> int:
        return self.near.fileno()

    def data_received(self, data: bytes) -> None:
        self.said += data
        self._heard.append(self)
        if self.then is not None:
            self.then()

    def end_of_data(self, error: Exception | None) -> None:
        self.ends.append(error)
        self._heard.append(self)


class Bench:
    """An intake, and sockets for it."""

    def __init__(self) -> None:
        self.intake = Intake.create()
        assert self.intake is not None
        self.heard: list[Far | None] = []
        """In order; None is a turn that others had."""
        self._ends: list[Far] = []

    def pair(self, *, add: bool = True) -> Far:
        far = Far(*socket.socketpair(), self.heard)
        return self._take(far, add=add)

    def tcp(self) -> Far:
        with socket.create_server(("127.0.0.1", 0)) as server:
            near = socket.create_connection(server.getsockname())
            return self._take(Far(near, server.accept()[0], self.heard), add=True)

    def _take(self, far: Far, *, add: bool) -> Far:
        self._ends.append(far)
        if add:
            self.intake.add(far.fd, far)
        return far

    async def turns(self, count: int = 3) -> None:
        """Turns of the loop, in each of which others have theirs."""
        for _ in range(count):
            self.heard.append(None)
            await asyncio.sleep(0)

    async def until(self, condition) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await self.turns(1)

    def by_turns(self) -> list[list[Far]]:
        found: list[list[Far]] = [[]]
        for far in self.heard:
            if far is None:
                found.append([])
            else:
                found[-1].append(far)
        return [turn for turn in found if turn]

    def close(self) -> None:
        with suppress(ValueError):  # a test has closed it
            self.intake.close()
        for far in self._ends:
            far.near.close()
            far.far.close()


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    bench.close()


async def test_what_comes_is_read_and_the_end_after_it(bench):
    far = bench.pair()
    far.far.send(b"one")
    await bench.until(lambda: far.said == b"one")
    far.far.send(b"two")
    far.far.close()
    await bench.until(lambda: far.ends)
    await bench.turns()
    assert (far.said, far.ends) == (b"onetwo", [None])


async def test_a_turn_is_bounded_and_others_have_theirs_in_between(bench, monkeypatch):
    monkeypatch.setattr(module, "PER_TURN", 4)
    fars = [bench.pair() for _ in range(10)]
    for far in fars:
        far.far.send(b"x")
    await bench.until(lambda: all(far.said for far in fars))
    sizes = [len(turn) for turn in bench.by_turns()]
    assert max(sizes) == 4
    assert sum(sizes) == 10


async def test_each_is_read_once_in_a_turn_and_the_longest_waiting_first(bench, monkeypatch):
    monkeypatch.setattr(module, "PER_TURN", 4)
    monkeypatch.setattr(module, "READ_BYTES", 10)
    fars = [bench.pair() for _ in range(10)]
    for far in fars:
        far.far.send(b"x" * 10 * 20)
    rounds = 0
    while any(len(far.said) < 200 for far in fars):
        await bench.turns(1)
        rounds += 1
        assert rounds < 5000
        read = [len(far.said) for far in fars]
        assert max(read) - min(read) <= 10, "one waits while another is read twice"
    for turn in bench.by_turns():
        assert len(turn) == len(set(turn)) <= 4


async def test_who_has_something_first_is_read_first_whoever_was_read_first_before(bench, monkeypatch):
    monkeypatch.setattr(module, "PER_TURN", 1)
    fars = [bench.pair() for _ in range(5)]
    for order in (fars, fars[::-1], fars[2:] + fars[:2]):
        bench.heard.clear()
        for far in order:
            far.far.send(b"x")
        for far in fars:
            far.far.send(b"y")  # changes nobody's place
        await bench.until(lambda: len(bench.by_turns()) == len(fars))
        assert [far for (far,) in bench.by_turns()] == order
    assert {far.said for far in fars} == {b"xy" * 3}


async def test_an_end_that_came_with_the_data_is_told(bench):
    for far in (bench.pair(), bench.tcp()):
        far.far.send(b"all")
        far.far.shutdown(socket.SHUT_WR)
        await bench.until(lambda far=far: far.ends)
        assert (far.said, far.ends) == (b"all", [None])


async def test_data_of_just_one_read_is_followed_by_what_comes_next(bench, monkeypatch):
    monkeypatch.setattr(module, "READ_BYTES", 4)
    far = bench.pair()
    far.far.send(b"four")
    await bench.until(lambda: far.said)
    await bench.turns(5)
    far.far.send(b"and more")
    await bench.until(lambda: far.said == b"fourand more")


async def test_an_error_of_the_socket_is_told_with_what_came_before_it(bench):
    far = bench.tcp()
    far.far.send(b"hello")
    await bench.until(lambda: far.said)
    far.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # so that closing sends RST
    far.far.close()
    await bench.until(lambda: far.ends)
    await bench.turns()
    assert far.said == b"hello"
    assert [type(end) for end in far.ends] == [ConnectionResetError]


async def test_what_is_removed_is_not_read_and_can_be_added_again(bench):
    far = bench.pair()
    bench.intake.remove(far.fd, far)
    far.far.send(b"x")
    await bench.turns(5)
    assert far.said == b""
    bench.intake.add(far.fd, far)
    await bench.until(lambda: far.said == b"x")


async def test_what_is_removed_by_another_in_the_same_turn_is_not_read(bench):
    first, second = bench.pair(), bench.pair()
    first.then = lambda: bench.intake.remove(second.fd, second)
    second.then = lambda: bench.intake.remove(first.fd, first)
    for far in (first, second):
        far.far.send(b"x")
    await bench.until(lambda: first.said or second.said)
    await bench.turns(5)
    assert first.said + second.said == b"x"


async def test_a_number_that_another_socket_has_got_is_the_others(bench):
    old, new = bench.pair(), bench.pair(add=False)
    number = old.fd
    new_fd = os.dup(new.fd)
    old.near.close()
    os.dup2(new_fd, number)
    os.close(new_fd)
    try:
        bench.intake.add(number, new)
        bench.intake.remove(number, old)  # as its owner does, when it hears of the end
        new.far.send(b"x")
        await bench.until(lambda: new.said == b"x")
        bench.intake.remove(number, new)
    finally:
        os.close(number)
    assert old.said == b""


async def test_a_number_that_changes_hands_in_the_same_turn_gives_nobody_an_end(bench):
    ready, late, quiet = bench.pair(), bench.pair(), bench.pair(add=False)

    def swap(mine: Far, other: Far) -> None:
        mine.then = None
        bench.intake.remove(other.fd, other)
        os.dup2(quiet.fd, other.fd)  # closes it, and leaves its number to a socket with nothing to read
        bench.intake.add(other.fd, quiet)

    ready.then = lambda: swap(ready, late)
    late.then = lambda: swap(late, ready)
    for far in (ready, late):
        far.far.send(b"x")
    await bench.until(lambda: ready.said or late.said)
    await bench.turns(5)
    assert (quiet.said, quiet.ends) == (b"", [])
    quiet.far.send(b"y")
    await bench.until(lambda: quiet.said == b"y")
    assert ready.said + late.said == b"x"


async def test_one_that_fails_is_told_and_the_others_are_read(bench):
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))
    failing, others = bench.pair(), [bench.pair() for _ in range(3)]
    failing.then = lambda: 1 / 0
    for far in (failing, *others):
        far.far.send(b"x")
    await bench.until(lambda: failing.ends and all(far.said for far in others))
    failing.far.send(b"more")
    await bench.turns(5)
    assert failing.said == b"x"
    assert [type(error) for error in complaints] == [ZeroDivisionError]
    assert failing.ends == complaints
    assert [far.ends for far in others] == [[], [], []]


async def test_one_that_fails_at_its_end_leaves_the_others_theirs(bench, monkeypatch):
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))
    failing, other = bench.pair(), bench.pair()
    monkeypatch.setattr(failing, "end_of_data", lambda _: 1 / 0)
    for far in (failing, other):
        far.far.close()
    await bench.until(lambda: other.ends)
    assert [type(error) for error in complaints] == [ZeroDivisionError]


async def test_after_the_end_nothing_is_read_and_nothing_is_left(bench):
    before = psutil.Process().num_fds()
    intake = Intake.create()
    far = bench.pair(add=False)
    intake.add(far.fd, far)
    far.far.send(b"x")
    intake.close()
    intake.remove(far.fd, far)
    await bench.turns(5)
    assert far.said == b""
    assert psutil.Process().num_fds() == before + 2  # the two of the pair


async def test_it_may_be_closed_from_inside(bench):
    fars = [bench.pair() for _ in range(3)]
    for far in fars:
        far.then = bench.intake.close
        far.far.send(b"x")
    await bench.until(lambda: any(far.said for far in fars))
    await bench.turns(5)
    assert sum(len(far.said) for far in fars) == 1


async def test_without_epoll_there_is_none(monkeypatch):
    monkeypatch.delattr(select, "epoll")
    assert Intake.create() is None
