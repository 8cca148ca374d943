from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.backoff import Backoff

POLICY = Backoff(base=0.5, cap=10.0, factor=2.0, hint_cap=60.0)
attempts = st.integers(0, 5000)
randoms = st.floats(0, 1)


def test_the_window_doubles_until_the_cap():
    assert [POLICY.window(attempt) for attempt in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]


def test_an_endless_outage_stays_at_the_cap():
    assert POLICY.window(1_000_000) == 10


@given(attempts, randoms)
def test_the_jitter_is_full(attempt, random):
    assert POLICY.delay(attempt, random) == random * POLICY.window(attempt)


@given(attempts, randoms, st.floats(0, 60))
def test_a_hint_is_a_floor_with_jitter_on_top(attempt, random, hint):
    assert POLICY.delay(attempt, random, hint) == hint + random * POLICY.window(attempt)


@given(attempts, randoms, st.none() | st.floats(allow_nan=True, allow_infinity=True))
def test_no_hint_makes_a_delay_negative_or_longer_than_both_caps(attempt, random, hint):
    delay = POLICY.delay(attempt, random, hint)
    assert 0 <= delay <= 70


@pytest.mark.parametrize("hint", [None, 0.0, -5.0, math.nan])
def test_a_hint_that_asks_for_nothing_changes_nothing(hint):
    assert POLICY.delay(3, 0.25, hint) == 1


def test_clients_with_the_same_hint_come_back_apart():
    assert len({POLICY.delay(0, random, 30) for random in (0.0, 0.3, 0.6, 0.9)}) == 4


@pytest.mark.parametrize(
    "arguments",
    [{"base": 0}, {"base": -1}, {"base": 31}, {"factor": 0.5}, {"base": math.nan}, {"factor": math.nan}],
)
def test_a_policy_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Backoff(**arguments)


@pytest.mark.parametrize(("attempt", "random"), [(-1, 0.5), (0, -0.1), (0, 1.1), (0, math.nan)])
def test_an_attempt_or_a_random_number_out_of_range_is_refused(attempt, random):
    with pytest.raises(ValueError, match="attempt must be"):
        POLICY.delay(attempt, random)
