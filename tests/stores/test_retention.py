"""Lifetimes and the clock that measures them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.stores.base import Retention
from tokentape.stores.retention import Clock, Lifetime, excess, oldest
from tokentape.testing import ManualClock


def test_the_steady_clock_follows_time_and_not_the_wall() -> None:
    hands = ManualClock()
    clock = Clock(hands.now, hands.monotonic)
    start = clock.steady()
    assert start == hands.now()
    hands.jump(3600)
    assert clock.steady() == start
    hands.advance(5)
    assert clock.steady() == start + 5
    assert clock.wall_ms() == int(hands.now() * 1000)


def test_the_earlier_end_counts() -> None:
    life = Lifetime(Retention(idle=60, after_close=10), 1000)
    assert life.deadline == 1060
    life.close(1050)
    assert life.deadline == 1060
    life.renew(1055)
    assert (life.idle_until, life.closed_until, life.deadline) == (1115, 1060, 1060)


def test_only_what_can_run_out_is_mortal() -> None:
    assert not Lifetime(Retention(), 0).mortal
    assert Lifetime(Retention(idle=1), 0).mortal
    assert Lifetime(Retention(expires_at=1), 0).mortal
    life = Lifetime(Retention(after_close=1), 0)
    assert (life.mortal, life.deadline) == (False, math.inf)
    life.close(0)
    assert life.mortal


@pytest.mark.parametrize(("size", "bound", "amount"), [(100, 0, 0), (100, 100, 0), (101, 100, 13), (900, 800, 200)])
def test_a_full_log_loses_an_eighth_more_than_it_must(size: int, bound: int, amount: int) -> None:
    assert excess(size, bound) == amount


@given(st.lists(st.integers(0, 50)), st.integers(0, 200))
def test_no_more_of_the_oldest_go_than_it_takes(sizes: list[int], amount: int) -> None:
    count, dropped = oldest(sizes, amount)
    assert dropped == sum(sizes[:count])
    assert dropped >= amount or count == len(sizes)
    assert count == 0 or sum(sizes[: count - 1]) < amount
