import asyncio
from contextlib import aclosing
from types import SimpleNamespace

import pytest
from upstreams import asking, played, said

from tokentape.core.errors import BadRequest
from tokentape.providers import simulated
from tokentape.providers.base import Generation, Part, Timeouts
from tokentape.providers.script import Play
from tokentape.providers.simulated import MAX_BATCH, MIN_SLEEP, Attempts, SimulatedProvider, perform
from tokentape.providers.simulation import Fault


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sleeps = 0

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        self.now += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(simulated, "asyncio", SimpleNamespace(sleep=clock.sleep, get_running_loop=lambda: clock))
    return clock


def tokens(count: int, *faults: Fault) -> Play:
    steps: list[Part | Fault] = [Part("token", str(n)) for n in range(count)]
    for fault in faults:
        steps.insert(fault.at, fault)
    return Play(iter(steps), "stop", {})


# Pace


async def test_each_token_is_due_at_its_own_time(clock):
    times = []
    async for batch in perform(tokens(6), 50):
        assert len(batch) == 1
        times.append(round(clock.now - 100, 6))
    assert times == [0, 0.02, 0.04, 0.06, 0.08, 0.1]


async def test_what_the_listener_takes_is_not_added(clock):
    async for _ in perform(tokens(11), 50):
        clock.now += 0.015
    assert clock.now == pytest.approx(100 + 0.2 + 0.015)


async def test_a_listener_who_was_away_gets_what_was_due_at_once(clock):
    sizes = []
    async for batch in perform(tokens(20), 50):
        sizes.append(len(batch))
        if len(sizes) == 1:
            clock.now += 0.2
    assert sizes[:3] == [1, 10, 1]


async def test_a_high_rate_goes_out_in_batches_and_is_kept(clock):
    sizes = [len(batch) async for batch in perform(tokens(5001), 5000)]
    assert sum(sizes) == 5001
    assert max(sizes) <= MAX_BATCH
    assert len(sizes) <= 1 / MIN_SLEEP + 2
    assert clock.now == pytest.approx(101, abs=2 * MIN_SLEEP)


async def test_unthrottled_takes_no_time_and_gives_others_a_turn(clock):
    sizes = [len(batch) async for batch in perform(tokens(1000), 0)]
    assert clock.now == 100
    assert max(sizes) == MAX_BATCH
    assert clock.sleeps >= len(sizes) - 1


async def test_a_wait_moves_everything_after_it(clock):
    seen = []
    async for batch in perform(tokens(4, Fault("stall", 2, 5)), 10):
        if isinstance(batch, Fault):
            await clock.sleep(batch.seconds)
        else:
            seen += [(part.data, round(clock.now - 100, 6)) for part in batch]
    assert seen == [("0", 0), ("1", 0.1), ("2", 5.2), ("3", 5.3)]


async def test_a_real_clock_will_do_too():
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with aclosing(perform(tokens(500), 5000)) as batches:
        counted = sum([len(batch) async for batch in batches])
    assert counted == 500
    assert loop.time() - began >= 499 / 5000 - 0.001


# The provider


async def test_an_answer_with_usage_and_its_end():
    parts, error = await played(SimulatedProvider(), asking("Hello", tokens=30, rate=0, seed=3))
    assert error is None
    assert [part.type for part in parts] == ["token"] * 30 + ["usage", "finish"]
    assert parts[-2].data == {"input_tokens": 1, "output_tokens": 30}
    assert "Hello" in said(parts)


async def test_options_that_there_are_not_are_the_callers_fault():
    with pytest.raises(BadRequest, match="options are"):
        await played(SimulatedProvider(), asking(speed=9))
    # And they are told so before a run begins.
    with pytest.raises(BadRequest, match="stall@N"):
        SimulatedProvider().check(asking(fault="explode"))
    SimulatedProvider().check(asking(fault="stall@1:1s"))


@pytest.mark.parametrize(
    ("fault", "code", "count"),
    [
        ("error@5", "provider_overloaded", 5),
        ("cut@5", "provider_cut", 5),
        ("long-line@5", "provider_protocol", 5),
        ("gzip-bomb", "provider_protocol", 0),
        ("status:500", "provider_overloaded", 0),
        ("status:401", "provider_refused", 0),
    ],
)
async def test_faults_that_end_it(fault, code, count):
    parts, error = await played(SimulatedProvider(), asking(tokens=10, rate=0, fault=fault))
    assert (error.subcode, len(parts)) == (code, count)


@pytest.mark.parametrize("fault", ["split-utf8", "crlf", "no-done", "empty-choices", "null-content"])
async def test_faults_that_only_the_wire_would_show(fault):
    plain, _ = await played(SimulatedProvider(), asking(tokens=40, rate=0))
    assert await played(SimulatedProvider(), asking(tokens=40, rate=0, fault=fault)) == (plain, None)


async def test_retry_after_is_said():
    _, error = await played(SimulatedProvider(), asking(fault="status:429:2s"))
    assert (error.subcode, error.retry_after, error.can_retry) == ("provider_rate_limited", 2, True)


async def test_a_refusal_may_end_after_so_many_attempts():
    provider = SimulatedProvider()
    request = asking(tokens=3, rate=0, fault="status:500x2")
    for _ in range(2):  # and a second run begins anew
        errors = [(await played(provider, request))[1] for _ in range(3)]
        assert [error is None for error in errors] == [False, False, True]


async def test_waits_last_as_long_as_they_should(clock):
    parts, error = await played(SimulatedProvider(), asking(tokens=4, rate=0, fault="slow-start:3s+stall@2:4s"))
    assert (len(parts), error) == (6, None)
    assert clock.now == pytest.approx(107)


@pytest.mark.parametrize(
    ("fault", "timeouts", "after", "says"),
    [
        ("slow-start:9s", Timeouts(first_token=2), 2, "no token within 2 s"),
        ("stall@3:9s", Timeouts(between_tokens=2), 2, "no further token within 2 s"),
        ("stall@3:9s", Timeouts(total=2), 2, "did not finish its answer within 2 s"),
        ("stall@3:9s", Timeouts(total=5, between_tokens=3), 3, "no further token within 3 s"),
    ],
)
async def test_time_outs_hold_here_as_well(clock, fault, timeouts, after, says):
    _, error = await played(SimulatedProvider(), asking(tokens=5, rate=0, fault=fault), timeouts)
    assert error.subcode == "provider_timeout"
    assert says in error.message
    assert clock.now == pytest.approx(100 + after)


async def test_the_total_counts_also_while_tokens_come(clock):
    parts, error = await played(SimulatedProvider(), asking(tokens=100, rate=10), Timeouts(total=2))
    assert error.subcode == "provider_timeout"
    assert len(parts) == 20


async def test_counted_requests_are_bounded(monkeypatch):
    monkeypatch.setattr(simulated, "_ATTEMPTS", 2)
    attempts = Attempts()
    fault = Fault("status", status=500, times=1)
    requests = [Generation(model="m", messages=[{"role": "user", "content": str(n)}]) for n in range(3)]
    for request in requests:
        assert attempts.refusal([fault], request) is fault
    assert attempts.refusal([fault], requests[2]) is None
    assert attempts.refusal([fault], requests[0]) is fault  # forgotten, so refused again
