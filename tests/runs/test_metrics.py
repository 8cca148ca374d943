"""What a run's meter says, with a clock in the test's hands."""

import pytest

from tokentape.runs.metrics import Meter, RunMetrics


def test_the_first_token_is_told_apart_from_the_gaps_after_it():
    metrics = RunMetrics()
    meter = Meter(metrics)
    meter.begin(100.0)
    meter.add(1, 100.5)
    meter.add(3, 100.6)
    assert (metrics.started, metrics.tokens, meter.tokens) == (1, 4, 4)
    assert meter.first_at == 100_500
    assert metrics.ttft.total == pytest.approx(0.5)
    assert (metrics.inter_token.count, metrics.inter_token.total) == (1, pytest.approx(0.1))


def test_the_rate_is_that_of_the_last_seconds():
    meter = Meter(RunMetrics())
    meter.begin(0.1)
    assert meter.progress(0.1, messages=1).rate == 0
    for n in range(100):
        meter.add(1, 0.1 + n / 10)  # ten a second
    assert meter.progress(10.1, messages=1).rate == pytest.approx(10, rel=0.1)
    for n in range(1000):
        meter.add(1, 10.1 + n / 100)  # a hundred
    assert meter.progress(20.1, messages=2).rate == pytest.approx(100, rel=0.1)
    assert meter.progress(60, messages=2).rate == 0
