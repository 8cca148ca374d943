"""One timer for what many wait for equally long."""

import pytest

from tokentape.server.protocols.rounds import PAUSE, PER_TURN, Rounds

DELAY = 20.0


class Clock:
    """As much of an event loop as rounds need, in a time that passes when it is told to."""

    def __init__(self):
        self.now = 1000.0
        self.timers = []

    def time(self):
        return self.now

    def call_later(self, wait, callback):
        self.timers.append((self.now + wait, callback))
        return self.timers[-1]

    def wait(self, seconds):
        until = self.now + seconds
        while self.timers and min(self.timers)[0] <= until:
            timer = min(self.timers)
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = until


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def called():
    return []


@pytest.fixture
def rounds(clock, called):
    return Rounds(clock, DELAY, called.append)


def test_each_is_called_once_after_the_delay(clock, rounds, called):
    rounds.add("a")
    clock.wait(5)
    rounds.add("b")
    clock.wait(DELAY - 5 - 0.1)
    assert called == []
    clock.wait(0.1)
    assert called == ["a"]
    clock.wait(5 - 0.1)
    assert called == ["a"]
    clock.wait(0.1 + PAUSE)
    assert called == ["a", "b"]
    clock.wait(10 * DELAY)
    assert called == ["a", "b"]


def test_all_of_them_share_one_timer_and_there_is_none_for_nobody(clock, rounds):
    for member in range(1000):
        rounds.add(member)
        clock.wait(0.001)
        assert len(clock.timers) == 1
    clock.wait(2 * DELAY)
    assert clock.timers == []
    rounds.add("later")
    assert len(clock.timers) == 1


def test_who_is_added_again_waits_anew(clock, rounds, called):
    rounds.add("a")
    rounds.add("b")
    clock.wait(DELAY / 2)
    rounds.add("a")
    clock.wait(DELAY / 2)
    assert called == ["b"]
    clock.wait(DELAY / 2)
    assert called == ["b", "a"]


def test_who_is_added_in_its_own_turn_is_called_at_regular_intervals(clock, called):
    rounds = Rounds(clock, DELAY, lambda member: (called.append(clock.time()), rounds.add(member)))
    rounds.add("a")
    began = clock.time()
    clock.wait(3 * DELAY)
    assert [round(at - began, 6) for at in called] == [DELAY, 2 * DELAY, 3 * DELAY]
    assert len(clock.timers) == 1


def test_who_has_gone_is_neither_called_nor_held(clock, rounds, called):
    rounds.add("a")
    rounds.add("b")
    rounds.discard("a")
    rounds.discard("a")
    assert len(rounds) == 1
    clock.wait(DELAY)
    assert called == ["b"]
    assert len(rounds) == 0


def test_many_that_came_together_are_called_a_few_at_a_time(clock, rounds, called):
    members = list(range(10 * PER_TURN))
    for member in members:
        rounds.add(member)
    clock.wait(DELAY)
    assert called == members[:PER_TURN]
    clock.wait(9 * PAUSE + 0.001)
    assert called == members


def test_one_that_fails_holds_up_nobody(clock, called, caplog):
    def call(member):
        if member == "bad":
            raise RuntimeError("it is broken")
        called.append(member)

    rounds = Rounds(clock, DELAY, call)
    for member in ("a", "bad", "b"):
        rounds.add(member)
    clock.wait(DELAY + PAUSE)
    rounds.add("c")
    clock.wait(DELAY + PAUSE)
    assert called == ["a", "b", "c"]
    assert "it is broken" in caplog.text


def test_a_member_that_takes_another_one_with_it(clock, called):
    # As a connection that is closed in the turn of another.
    rounds = Rounds(clock, DELAY, lambda member: (called.append(member), rounds.discard("c")))
    for member in ("a", *range(PER_TURN), "c"):
        rounds.add(member)
    clock.wait(DELAY + 2 * PAUSE)
    assert called == ["a", *range(PER_TURN)]
