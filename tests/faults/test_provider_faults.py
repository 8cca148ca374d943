"""faults.md, rows 20–24 and 40, as far as the provider is concerned: our providers against the simulator's wire.

Each is run with both formats. What a run makes of it is checked with the runs.
"""

import asyncio
import gc
import logging
import time
import tracemalloc
from contextlib import aclosing
from typing import Self

import msgspec
import psutil
import pytest
from upstreams import KEY, NO_LIMIT, Simulator, over_http, played, said, simulator_process

from tokentape.core.errors import ProviderError
from tokentape.providers.anthropic import AnthropicProvider
from tokentape.providers.base import Timeouts
from tokentape.providers.openai import OpenAIProvider
from tokentape.providers.secret import Secret
from tokentape.providers.simulated import SimulatedProvider

MEBIBYTE = 1_048_576


@pytest.fixture(scope="module")
def simulator():
    with Simulator() as simulator:
        yield simulator


def make(kind: str, url: str) -> OpenAIProvider | AnthropicProvider:
    if kind == "openai":
        return OpenAIProvider(base_url=f"{url}/v1", api_key=Secret(KEY))
    return AnthropicProvider(base_url=url, api_key=Secret(KEY))


@pytest.fixture(params=["openai", "anthropic"])
async def provider(request, simulator):
    provider = make(request.param, simulator.url)
    yield provider
    await provider.aclose()


async def expected(text: str, **simulated: object) -> str:
    """What the model itself says, without a wire in between."""
    generation = msgspec.structs.replace(over_http(text), simulated={"rate": 0, **simulated})
    parts, _ = await played(SimulatedProvider(), generation)
    return said(parts)


# Row 20: it stalls


async def test_a_stall_before_the_first_token(provider):
    parts, error = await played(provider, over_http(fault="slow-start:60s"), Timeouts(first_token=0.2))
    assert parts == []
    assert (error.subcode, error.can_retry) == ("provider_timeout", True)


async def test_a_stall_between_tokens_keeps_what_was_said(provider, simulator):
    parts, error = await played(provider, over_http(fault="stall@20:60s"), Timeouts(between_tokens=0.2))
    assert len(parts) == 20
    assert said(parts) == (await expected("Tell me"))[: len(said(parts))]
    assert error.subcode == "provider_timeout"
    await simulator.until(lambda stats: stats.active == 0)


async def test_an_answer_without_end_meets_the_total(provider, simulator):
    generation = over_http(tokens=100_000, rate=200)
    parts, error = await played(provider, generation, Timeouts(total=0.3))
    assert parts
    assert error.subcode == "provider_timeout"
    await simulator.until(lambda stats: stats.active == 0)


# Row 21: it refuses before the first token


@pytest.mark.parametrize(
    ("status", "code"),
    [("429", "provider_rate_limited"), ("500", "provider_overloaded"), ("529", "provider_overloaded")],
)
async def test_a_refusal_says_that_and_when_to_try_again(provider, status, code):
    parts, error = await played(provider, over_http(fault=f"status:{status}:2.5s"))
    assert parts == []
    assert (error.subcode, error.can_retry, error.retry_after) == (code, True, 2.5)


async def test_the_attempt_after_the_last_refusal_succeeds(provider):
    generation = over_http(f"for {provider.name}", tokens=5, fault="status:503x2")
    outcomes = [await played(provider, generation) for _ in range(3)]
    assert [error is None for _, error in outcomes] == [False, False, True]
    assert said(outcomes[2][0]) == await expected(f"for {provider.name}", tokens=5)


@pytest.mark.parametrize("status", ["400", "401", "403", "404", "422"])
async def test_a_refusal_of_the_request_itself_is_final(provider, status):
    _, error = await played(provider, over_http(fault=f"status:{status}:1s"))
    assert (error.subcode, error.can_retry) == ("provider_refused", False)


# Row 22: it breaks off


@pytest.mark.parametrize(
    ("fault", "code"), [("cut@20", "provider_cut"), ("error@20", "provider_overloaded"), ("cut@0", "provider_cut")]
)
async def test_what_was_said_before_a_cut_is_kept(provider, fault, code):
    parts, error = await played(provider, over_http(tokens=50, fault=fault))
    assert len(parts) == int(fault.split("@")[1])
    assert (await expected("Tell me", tokens=50)).startswith(said(parts))
    assert (error.subcode, error.can_retry) == (code, True)


# Row 23: it writes strangely


@pytest.mark.parametrize(
    "fault",
    [
        *("split-utf8", "line-ends", "crlf", "no-done", "empty-choices", "null-content"),
        "split-utf8+line-ends+crlf+no-done+empty-choices+null-content",
    ],
)
async def test_the_text_is_exact_however_it_is_written(provider, fault):
    generation = over_http("Erzähl mir von 京都 👩‍🚀", tokens=80, seed=6, fault=fault)
    parts, error = await played(provider, generation)
    assert error is None
    assert said(parts) == await expected("Erzähl mir von 京都 👩‍🚀", tokens=80, seed=6, fault=fault)
    assert parts[-1].data == {"reason": "stop"}
    assert parts[-2].data["output_tokens"] == 80


# Row 24: it sends too much


class Memory:
    """What this process, without the simulator, takes at most."""

    def __enter__(self) -> Self:
        gc.collect()
        self._resident = psutil.Process().memory_info().rss
        tracemalloc.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.traced = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        self.resident = psutil.Process().memory_info().rss - self._resident


@pytest.fixture(scope="module")
def other_process():
    with simulator_process() as url:
        yield url


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("fault", ["long-line@5", "gzip-bomb"])
async def test_a_hundred_megabytes_are_refused_within_eight(other_process, kind, fault):
    warm = make(kind, other_process)
    await played(warm, over_http(tokens=5, rate=0))  # what is loaded once is not counted
    await warm.aclose()
    generation = over_http(tokens=5, rate=0, fault=fault)
    # On a connection of its own: one that was idle may be closed at the other end.
    provider = make(kind, other_process)
    with Memory() as memory:
        parts, error = await played(provider, generation)
    await provider.aclose()
    assert len(parts) == (5 if fault == "long-line@5" else 0)
    assert error.subcode == "provider_protocol"
    assert memory.traced <= 8 * MEBIBYTE
    assert memory.resident <= 8 * MEBIBYTE


# Row 25, the provider's part: a stop reaches the provider within a second


async def test_a_stop_is_seen_by_the_upstream_within_a_second(provider, simulator):
    # It serves other tests too, and may still be letting go of the last one's connection.
    await simulator.until(lambda stats: stats.active == 0)
    took = []
    while not took or (took[-1] >= 1 and len(took) < 3):  # a machine may stand still, but not each time
        before = simulator.stats.aborted
        async with aclosing(provider.generate(over_http(tokens=10_000, rate=50), NO_LIMIT)) as batches:
            await anext(batches)
            assert simulator.stats.active == 1
            began = time.monotonic()
        await simulator.until(lambda stats: stats.active == 0)
        took.append(time.monotonic() - began)
        assert simulator.stats.aborted == before + 1
    assert took[-1] < 1


async def test_a_stop_before_the_first_token_is_seen_as_well(provider, simulator):
    await simulator.until(lambda stats: stats.active == 0)
    task = asyncio.create_task(played(provider, over_http(fault="slow-start:60s")))
    await simulator.until(lambda stats: stats.active == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await simulator.until(lambda stats: stats.active == 0)


# Row 40: a planted key


@pytest.mark.parametrize("fault", ["status:401", "status:403", "status:500", "error@3", "cut@3", "gzip-bomb"])
async def test_the_key_is_in_no_error_log_or_repr(provider, fault, caplog):
    caplog.set_level(logging.DEBUG)
    _, error = await played(provider, over_http(tokens=5, fault=fault))
    assert isinstance(error, ProviderError)
    logging.getLogger("test").error("it failed: %r", error, exc_info=error)
    shown = f"{error!r} {error} {error.as_dict()} {error.__dict__} {provider!r} {vars(provider)!r} {caplog.text}"
    for place in range(len(KEY) - 7):
        assert KEY[place : place + 8] not in shown
