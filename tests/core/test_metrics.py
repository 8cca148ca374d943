"""Histograms are coarse and never far off; a window forgets."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.metrics import BOUNDS, Histogram, Percentiles, Window, percentiles

NONE = Percentiles(0, None, None, None)


@pytest.mark.parametrize("scale", [0.0002, 0.01, 3.0])
def test_percentiles_are_within_a_bucket_of_the_true_ones(scale):
    chance = random.Random(7)
    seen = [chance.expovariate(1 / scale) for _ in range(20_000)]
    histogram = Histogram()
    for seconds in seen:
        histogram.add(seconds)
    cuts = statistics.quantiles(seen, n=100)
    found = percentiles(histogram.counts)
    assert found.observations == histogram.count == 20_000
    assert histogram.total == pytest.approx(sum(seen))
    for share, value in ((50, found.p50), (90, found.p90), (99, found.p99)):
        assert value == pytest.approx(cuts[share - 1], rel=0.08)


@given(st.lists(st.floats(min_value=-10, max_value=1e7), min_size=1))
def test_whatever_is_added_percentiles_are_in_order_and_in_bounds(seen):
    histogram = Histogram()
    for seconds in seen:
        histogram.add(seconds)
    found = percentiles(histogram.counts)
    assert found.observations == len(seen) == sum(histogram.counts)
    assert 0 <= found.p50 <= found.p90 <= found.p99 <= BOUNDS[-1]
    assert histogram.total >= 0


@given(st.lists(st.one_of(st.floats(min_value=-1, max_value=2000), st.sampled_from(BOUNDS)), min_size=1))
def test_a_bucket_has_what_is_over_the_bound_before_and_not_over_its_own(seen):
    histogram = Histogram()
    for seconds in seen:
        histogram.add(seconds)
    counts = [0] * (len(BOUNDS) + 1)
    for seconds in seen:
        counts[sum(bound < seconds for bound in BOUNDS)] += 1
    assert histogram.counts == counts


def test_a_window_forgets_what_is_older_than_its_looks():
    histogram = Histogram()
    histogram.add(5)
    window = Window(histogram, looks=2)
    assert window.look() == NONE
    histogram.add(0.1)
    assert window.look().observations == 1
    assert window.look().p50 == pytest.approx(0.1, rel=0.08)
    assert window.look() == NONE
