"""What a run makes of a provider that pushes: P4 and P6, and faults 21, 22 and 25, as with one that is asked."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from scripted import FINISH, ScriptedModels, ScriptedProvider, overloaded

from tokentape.core.errors import StoreFull
from tokentape.hub import Hub
from tokentape.hub.channels import Channels
from tokentape.providers.base import Part, Pushing
from tokentape.runs import RunRequest, Runs, runner
from tokentape.stores.base import Retention
from tokentape.stores.memory import MemoryStore

REQUEST = RunRequest(messages=[{"role": "user", "content": "Hello"}])


class PushingProvider(ScriptedProvider):
    """The same script, pushed."""

    def __init__(self, name: str = "pushing") -> None:
        super().__init__(name)
        self.pushed = 0
        self.waiting = asyncio.Event()

    async def push(self, generation, timeouts, sink) -> None:
        batches = super().generate(generation, timeouts)
        try:
            async for parts in batches:
                self.pushed += 1
                if not sink.put(parts):
                    self.waiting.set()
                    await sink.room()
        finally:
            await batches.aclose()

    async def generate(self, generation, timeouts):
        raise AssertionError("a provider that pushes is not asked")
        yield


class SlowStore(MemoryStore):
    """Answers no append of a run's own text before it is told to; then as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.held = asyncio.Event()
        self.held.set()
        self.refusal: Exception | None = None

    async def append(self, batch):
        await self.held.wait()
        if self.refusal is not None and any(item.stream.startswith("runs/") and not item.close for item in batch):
            return [self.refusal] * len(batch)
        return await super().append(batch)

    def submit(self, batch):
        return asyncio.ensure_future(self.append(batch))


@asynccontextmanager
async def running(provider, given=None, retries=2):
    async with given or MemoryStore() as store:
        hub = Hub(store)
        channels = Channels(hub, retention=Retention())
        runs = Runs(hub, channels, ScriptedModels(provider, retries=retries))
        await runs.open()
        try:
            yield runs
        finally:
            await runs.drain(0)
            await channels.aclose()
            await hub.aclose()


async def recorded(runs: Runs, run_id: str) -> list:
    async with asyncio.timeout(5), runs._hub.reading(f"runs/{run_id}", "start", run=run_id, merge=False) as reader:
        return [item.event async for item in reader]


async def played(provider, **settings) -> list:
    async with running(provider, **settings) as runs:
        info, _ = await runs.start(REQUEST)
        return await recorded(runs, info.id)


class Place:
    """A step of a script that a test can wait for."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()


def kinds(found) -> list[str]:
    return [event.type for event in found]


@pytest.fixture
def provider() -> PushingProvider:
    return PushingProvider()


async def test_what_is_pushed_is_recorded(provider):
    assert isinstance(provider, Pushing)
    provider.say("Hel", "lo", Part("usage", {"input_tokens": 3, "output_tokens": 2}), FINISH)
    found = await played(provider)
    assert kinds(found) == ["start", "token", "token", "usage", "done"]
    assert [event.data for event in found[1:3]] == ["Hel", "lo"]
    assert found[-1].data == {"reason": "stop", "usage": {"input_tokens": 3, "output_tokens": 2}}
    assert all(event.at for event in found)


class Pieces(ScriptedProvider):
    """Pushes as it is read: each step of its script is all the parts of one read."""

    def __init__(self, *pieces) -> None:
        super().__init__("pieces")
        self._pieces = pieces

    async def push(self, generation, timeouts, sink) -> None:
        for piece in self._pieces:
            before = list(piece)
            if not sink.put(piece):
                await sink.room()
            assert piece == before, "these are the provider's"


def tokens(*texts: str) -> list[Part]:
    return [Part("token", text) for text in texts]


def told(found) -> list[tuple]:
    return [(event.type, event.data) for event in found[1:] if event.type not in ("usage", "done")]


async def test_text_that_was_read_in_one_piece_is_one_event():
    found = await played(Pieces(tokens("Hel", "lo"), tokens(" you"), tokens("!", "", "?"), [FINISH]))
    assert told(found) == [("token", "Hello"), ("token", " you"), ("token", "!?")]
    assert found[-1].data["usage"]["output_tokens"] == 3  # of 11 characters


async def test_text_of_two_kinds_is_not_mixed_and_keeps_its_order():
    thoughts = [Part("reasoning", "hm"), Part("reasoning", "m")]
    found = await played(Pieces([*thoughts, *tokens("a", "b"), Part("reasoning", "?"), *tokens("c"), FINISH]))
    assert told(found) == [("reasoning", "hmm"), ("token", "ab"), ("reasoning", "?"), ("token", "c")]


async def test_what_is_in_between_keeps_text_apart_and_calls_are_left_alone():
    delta = [Part("tool_call_delta", {"id": "c", "index": 0, "arguments": text}) for text in ("{", "}")]
    call = Part("tool_call", {"id": "c", "name": "f", "arguments": "{}"})
    found = await played(Pieces([*tokens("a", "b"), *delta, *tokens("c"), call, call, *tokens("d", "e"), FINISH]))
    assert [kind for kind, _ in told(found)] == [
        "token", "tool_call_delta", "tool_call_delta", "token", "tool_call", "tool_call", "token",
    ]  # fmt: skip
    assert [data for kind, data in told(found) if kind == "token"] == ["ab", "c", "de"]
    assert [data["arguments"] for kind, data in told(found) if kind == "tool_call_delta"] == ["{", "}"]


async def test_an_answer_that_is_one_piece_is_whole():
    usage = Part("usage", {"input_tokens": 3, "output_tokens": 2})
    found = await played(Pieces([*tokens("Hel", "lo"), usage, FINISH]))
    assert kinds(found) == ["start", "token", "usage", "done"]
    assert found[1].data == "Hello"
    assert found[-1].data == {"reason": "stop", "usage": usage.data}


async def test_characters_of_all_kinds_count_for_the_estimate(provider):
    call = {"id": "c", "name": "f", "arguments": "{}"}
    provider.say("x" * 37, Part("reasoning", "abcd"), Part("tool_call", call), FINISH)
    assert (await played(provider))[-1].data["usage"]["output_tokens"] == 11


async def test_it_is_retried_before_its_first_part_and_not_after(provider):
    provider.say(overloaded(retry_after=0.01), "half", overloaded())
    found = await played(provider)
    assert kinds(found) == ["start", "status", "token", "error", "usage", "done"]
    assert len(provider.generations) == 2


async def test_the_end_of_one_attempt_is_not_that_of_the_next(provider):
    provider.say(Part("usage", {"input_tokens": 1, "output_tokens": 0}), overloaded(retry_after=0.01), "half", None)
    found = await played(provider, retries=1)
    assert found[-3].data["code"] == "provider_cut"
    assert found[-1].data["reason"] == "error"


async def test_a_stop_ends_the_push_at_once_and_keeps_the_text(provider):
    async with running(provider) as runs:
        info, _ = await runs.start(REQUEST)
        place = Place()
        provider.say("partial", place)
        await place.reached.wait()
        stopped = await runs.stop(info.id)
        assert (stopped.reason, provider.closed) == ("stopped", 1)
        assert kinds(await recorded(runs, info.id)) == ["start", "token", "usage", "done"]


async def test_a_slow_store_makes_the_provider_wait(provider):
    store = SlowStore()
    async with running(provider, store) as runs:
        info, _ = await runs.start(REQUEST)
        place = Place()
        provider.say(place)
        await place.reached.wait()
        store.held.clear()
        provider.say("y" * 4_000_000, "z", FINISH)
        await provider.waiting.wait()
        pushed = provider.pushed
        await asyncio.sleep(0.05)
        assert provider.pushed == pushed
        store.held.set()
        found = await recorded(runs, info.id)
        assert sum(len(event.data) for event in found if event.type == "token") == 4_000_001


@pytest.mark.parametrize("full", [False, True])
async def test_a_refusal_of_the_store_ends_the_push(provider, full):
    store = SlowStore()
    async with running(provider, store) as runs:
        info, _ = await runs.start(REQUEST)
        place = Place()
        provider.say(place)
        await place.reached.wait()
        store.refusal = StoreFull("The disk is full.")
        provider.say("x" * (2_000_000 if full else 1))
        async with asyncio.timeout(5):
            while not provider.closed:
                provider.say("more")
                await asyncio.sleep(0.001)
        found = await recorded(runs, info.id)
        assert found[-1].data["reason"] == "error"
        assert found[-3].data["code"] == "store_full"


async def test_an_answer_over_the_limit_ends_with_its_length_and_closes_the_provider(provider, monkeypatch):
    monkeypatch.setattr(runner, "MAX_OUTPUT", 10)
    provider.say("x" * 8, "y" * 8, "never said")
    found = await played(provider)
    assert [event.data for event in found if event.type == "token"] == ["x" * 8, "y" * 8]
    assert found[-1].data["reason"] == "length"
    assert provider.closed == 1
