"""P3, P4, P6 and P7 as far as one process keeps them; faults 21, 22, 25, 26 in the runner."""

import asyncio
import itertools
import time
from contextlib import asynccontextmanager

import msgspec
import pytest
from scripted import FINISH, ScriptedModels, ScriptedProvider, overloaded

from tokentape.core.errors import (
    BadRequest,
    Fenced,
    InvalidName,
    ModelNotFound,
    ProviderError,
    RunConflict,
    RunNotFound,
    ShuttingDown,
    StoreFull,
    TooMany,
)
from tokentape.core.merge import entries
from tokentape.core.transcript import Transcript
from tokentape.hub import Hub
from tokentape.hub.channels import Channels
from tokentape.providers.base import Part
from tokentape.providers.iterator import IteratorProvider
from tokentape.providers.simulated import SimulatedProvider
from tokentape.runs import RunRequest, Runs, RunSettings, StopAfter
from tokentape.stores.base import Append, Fence, Retention
from tokentape.stores.memory import MemoryStore
from tokentape.stores.sqlite import SqliteStore

HELLO = [{"role": "user", "content": "Hello"}]


@asynccontextmanager
async def running(store, *providers, settings=None, retries=2, now=time.time):
    hub = Hub(store)
    channels = Channels(hub, retention=Retention())
    runs = Runs(hub, channels, ScriptedModels(*providers, retries=retries), settings, now=now)
    await runs.open()
    try:
        yield runs
    finally:
        await runs.drain(0)
        await channels.aclose()
        await hub.aclose()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path):
    async with MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "tape.db") as store:
        yield store


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
async def runs(store, provider):
    async with running(store, provider) as runs:
        yield runs


def request(**fields) -> RunRequest:
    return RunRequest(**{"messages": HELLO, **fields})


async def events(runs: Runs, run_id: str) -> list:
    """A run's own events, once it has ended."""
    place = runs.locate(f"runs/{run_id}")
    async with runs._hub.reading(place.stream, place.begin or "start", run=run_id, merge=False) as reader:
        return [item.event async for item in reader]


async def shown(runs: Runs, run_id: str, text: str) -> None:
    """Waits until this much text has been recorded."""
    place = runs.locate(f"runs/{run_id}")
    transcript = Transcript()
    async with asyncio.timeout(5):
        async with runs._hub.reading(place.stream, place.begin or "start", run=run_id) as reader:
            async for item in reader:
                transcript.apply(item.event)
                if transcript.text(run_id) == text:
                    return


def kinds(found) -> list[str]:
    return [event.type for event in found]


async def test_a_run_from_start_to_done(runs, provider) -> None:
    info, new = await runs.start(request(temperature=0.5, metadata={"a": 1}))
    assert new
    assert (info.state, info.stream) == ("queued", f"runs/{info.id}")
    provider.say("Hel", "lo", Part("usage", {"input_tokens": 3, "output_tokens": 2}), FINISH)
    found = await events(runs, info.id)
    assert kinds(found) == ["start", "token", "token", "usage", "done"]
    assert found[0].data == {"message_id": f"m_{info.id[2:]}", "model": "scripted", "provider": "scripted"}
    assert found[-1].data == {"reason": "stop", "usage": {"input_tokens": 3, "output_tokens": 2}}
    assert provider.generations[0].parameters == {"temperature": 0.5}
    await runs.stop(info.id)
    info = runs.get(info.id)
    assert (info.state, info.reason, info.metadata) == ("done", "stop", {"a": 1})


async def test_estimated_usage_says_so(runs, provider) -> None:
    info, _ = await runs.start(request())
    provider.say("x" * 41, FINISH)
    done = (await events(runs, info.id))[-1]
    assert done.data["usage"] == {"input_tokens": 2, "output_tokens": 11, "estimated": True}


@pytest.mark.parametrize("data", [[1, 2], None, 7, {"arguments": None}, ""])
async def test_whatever_an_iterator_yields_is_recorded(runs, data) -> None:
    source = [{"type": "app:thing", "data": data}, "text"]
    info, _ = await runs.start(request(), provider=IteratorProvider(source))
    found = await events(runs, info.id)
    assert kinds(found) == ["start", "app:thing", "token", "usage", "done"]
    assert (found[1].data, found[-1].data["reason"]) == (data, "stop")


async def test_stop_cancels_the_provider_and_keeps_the_text(runs, provider) -> None:
    info, _ = await runs.start(request())
    provider.say("partial")
    await shown(runs, info.id, "partial")
    stopped, again = await asyncio.gather(runs.stop(info.id, detail="tired"), runs.stop(info.id))
    assert stopped == again
    assert (stopped.state, stopped.reason) == ("done", "stopped")
    assert provider.closed == 1
    found = await events(runs, info.id)
    assert kinds(found) == ["start", "token", "usage", "done"]
    assert found[-1].data["detail"] == "tired"
    assert await runs.stop(info.id) == stopped


@pytest.mark.parametrize("turns", range(12))
async def test_stop_racing_completion_gives_one_ending(runs, provider, turns: int) -> None:
    info, _ = await runs.start(request())
    provider.say("text", FINISH)
    for _ in range(turns):
        await asyncio.sleep(0)
    ended = await runs.stop(info.id)
    found = await events(runs, info.id)
    assert kinds(found).count("done") == 1
    assert found[-1].data["reason"] == ended.reason
    assert ended.reason in ("stop", "stopped")


async def test_stop_of_nothing_is_an_error(runs) -> None:
    with pytest.raises(RunNotFound):
        await runs.stop("r_none")


async def test_retry_before_the_first_token_has_one_start(runs, provider) -> None:
    info, _ = await runs.start(request())
    provider.say(overloaded(retry_after=0.05), overloaded(), "fine", FINISH)
    found = await events(runs, info.id)
    assert kinds(found) == ["start", "status", "status", "token", "usage", "done"]
    assert found[1].data["state"] == "retrying"
    assert found[1].data["seconds"] >= 0.05
    assert len(provider.generations) == 3


async def test_no_retry_after_the_first_token(runs, provider) -> None:
    info, _ = await runs.start(request())
    provider.say("half", overloaded())
    found = await events(runs, info.id)
    assert kinds(found) == ["start", "token", "error", "usage", "done"]
    assert found[2].data["code"] == "provider_overloaded"
    assert found[-1].data["reason"] == "error"
    assert len(provider.generations) == 1


async def test_refusal_is_not_retried(runs, provider) -> None:
    info, _ = await runs.start(request())
    provider.say(ProviderError("no such model", subcode="provider_refused"))
    assert kinds(await events(runs, info.id)) == ["start", "error", "usage", "done"]


async def test_provider_that_ends_without_finishing_has_failed(store) -> None:
    provider = ScriptedProvider()
    async with running(store, provider, retries=0) as runs:
        info, _ = await runs.start(request())
        provider.say("half", None)
        found = await events(runs, info.id)
        assert found[2].data["code"] == "provider_cut"


async def test_failover_to_the_next_model(store) -> None:
    first, second = ScriptedProvider("one"), ScriptedProvider("two")
    async with running(store, first, second, retries=0) as runs:
        info, _ = await runs.start(request())
        first.say(overloaded())
        second.say("ok", FINISH)
        found = await events(runs, info.id)
        assert kinds(found) == ["start", "metadata", "token", "usage", "done"]
        assert found[1].data == {"failover": {"model": "two-1", "provider": "two", "code": "provider_overloaded"}}


async def test_a_bug_in_a_provider_still_ends_the_run(runs, provider) -> None:
    info, _ = await runs.start(request())
    provider.say(ZeroDivisionError("secret detail"))
    found = await events(runs, info.id)
    assert kinds(found) == ["start", "error", "usage", "done"]
    assert "secret" not in str(found)


async def test_idempotency_key_gives_the_same_run(runs, provider) -> None:
    (first, new), (second, repeated) = await asyncio.gather(
        runs.start(request(), key="k1"), runs.start(request(), key="k1")
    )
    assert first.id == second.id
    assert sorted([new, repeated]) == [False, True]
    with pytest.raises(RunConflict):
        await runs.start(request(temperature=1.0), key="k1")
    assert runs.live() == 1


async def test_run_on_a_channel_is_seen_through_its_own_view(runs, provider) -> None:
    await runs._channels.ensure("room")
    await runs._hub.append(Append(stream="room"), [])
    info, _ = await runs.start(request(channel="room"))
    other, _ = await runs.start(request(channel="room"))
    provider.say("a", FINISH, "b", FINISH)
    texts = [[e.data for e in await events(runs, run.id) if e.type == "token"] for run in (info, other)]
    assert sorted(texts) == [["a"], ["b"]]
    stream = await runs._hub.store.info("room")
    assert not stream.closed


async def test_replace_stops_the_old_and_keeps_its_text(runs, provider) -> None:
    old, _ = await runs.start(request(channel="room"))
    provider.say("half an ans")
    await shown(runs, old.id, "half an ans")
    question = [*HELLO, {"role": "user", "content": "No, shorter"}]
    new, _ = await runs.start(request(channel="room", messages=question, replaces=old.id))
    provider.say("ok", FINISH)
    found = await events(runs, new.id)
    assert found[0].data["replaces"] == old.id
    assert runs.get(old.id).reason == "stopped"
    assert provider.generations[1].messages == [
        HELLO[0],
        {"role": "assistant", "content": "half an ans"},
        question[1],
    ]
    page = await runs._hub.store.read("room", 0)
    order = [(e.event.run, e.event.type) for e in entries(page.records)]
    assert order.index((old.id, "done")) < order.index((new.id, "start"))


async def test_of_two_replacements_one_wins(runs, provider) -> None:
    old, _ = await runs.start(request())
    answers = await asyncio.gather(
        *(runs.start(request(replaces=old.id), key=f"k{n}") for n in range(2)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["RunConflict", "tuple"]
    winner = next(answer[0] for answer in answers if isinstance(answer, tuple))
    repeated, new = await runs.start(request(replaces=old.id), key=winner.key)
    assert (repeated.id, new) == (winner.id, False)


async def test_a_replacement_can_be_stopped_before_it_begins(runs, provider) -> None:
    old, _ = await runs.start(request())
    new, _ = await runs.start(request(replaces=old.id))
    stopped = await runs.stop(new.id)
    assert (stopped.state, stopped.reason) == ("done", "stopped")
    assert runs.get(old.id).reason == "stopped"


async def test_last_watcher_leaves_and_the_run_stops(runs, provider) -> None:
    info, _ = await runs.start(request(on_no_watchers=StopAfter(0.05)))
    async with runs._hub.reading(info.stream, "start"):
        provider.say("a")
        await asyncio.sleep(0.15)  # longer than the grace period: being watched keeps it alive
        assert runs.live() == 1
    found = await events_later(runs, info.id)
    assert found[-1].data == {"reason": "stopped", "usage": found[-2].data, "detail": "no_watchers"}


async def events_later(runs: Runs, run_id: str) -> list:
    async with asyncio.timeout(5):
        await runs._executor._ended[run_id].wait()
    return await events(runs, run_id)


async def test_nobody_ever_watching_stops_it_too(runs, provider) -> None:
    info, _ = await runs.start(request(on_no_watchers=StopAfter(0.01)))
    found = await events_later(runs, info.id)
    assert found[-1].data["detail"] == "no_watchers"


async def test_a_process_that_stands_still_for_longer_than_a_lease_loses_no_run(store, provider) -> None:
    async with running(store, provider, settings=RunSettings(lease=0.2)) as runs:
        info, _ = await runs.start(request())
        provider.say("before ")
        await shown(runs, info.id, "before ")
        for _ in range(3):
            time.sleep(0.5)  # noqa: ASYNC251 - it stands still
            await asyncio.sleep(0.2)
        provider.say("and after", FINISH)
        found = await events(runs, info.id)
        assert kinds(found) == ["start", "token", "token", "usage", "done"]
        assert found[-1].data["reason"] == "stop"


async def test_a_killed_process_leaves_runs_that_the_next_one_interrupts(store, provider) -> None:
    async with running(store, provider) as before:
        info, _ = await before.start(request())
        provider.say("half")
        await shown(before, info.id, "half")
        on_channel, _ = await before.start(request(channel="room"))
        await kill(before, store)
        async with running(store, ScriptedProvider()) as after:
            for run_id in (info.id, on_channel.id):
                found = await events(after, run_id)
                assert kinds(found) in (["start", "token", "done"], ["start", "done"], ["done"])
                assert found[-1].data == {"reason": "interrupted", "detail": "process_died"}
                assert after.get(run_id).reason == "interrupted"
            assert await store.leases("run:") == []
        async with running(store, ScriptedProvider()) as third:
            assert kinds(await events(third, info.id)).count("done") == 1


async def kill(runs: Runs, store) -> None:
    """As SIGKILL leaves it: tasks gone, leases still there, nothing recorded. Real kills are in tests/faults."""
    for part in (runs._custody, runs._taker, runs._positions):
        part._task.cancel()
    for task in runs._executor._tasks:
        task.cancel()
    await asyncio.gather(*runs._executor._tasks, return_exceptions=True)
    for lease in await store.leases("run:"):
        assert await store.renew(lease.name, lease.token, seconds=0.000001)
    await asyncio.sleep(0.001)


async def test_an_end_that_was_recorded_is_not_interrupted(store, provider) -> None:
    async with running(store, provider) as before:
        info, _ = await before.start(request())
        changed = before._executor.live[info.id]

        async def die(info) -> None:
            if info.state == "done":
                raise asyncio.CancelledError

        provider.say("all", FINISH)
        for task in before._executor._tasks:
            task.cancel()
        await asyncio.gather(*before._executor._tasks, return_exceptions=True)
        lease = (await store.leases("run:"))[0]
        changed._task = asyncio.current_task()
        with pytest.raises(asyncio.CancelledError):
            await changed.execute(die)
        await store.renew(lease.name, lease.token, seconds=0.000001)
        async with running(store, ScriptedProvider()) as after:
            assert after.get(info.id).reason == "stop"
            assert kinds(await events(after, info.id)).count("done") == 1


async def test_a_writer_that_lost_its_lease_is_fenced(runs, provider, store) -> None:
    info, _ = await runs.start(request())
    provider.say("in time")
    await shown(runs, info.id, "in time")
    lease = (await store.leases("run:"))[0]
    await store.release(lease.name, lease.token)
    provider.say("too late", FINISH)
    async with asyncio.timeout(5):
        await runs._executor._ended[info.id].wait()
    page = await store.read(info.stream, 0)
    assert "too late" not in str(page.records)
    await runs._taker.scan(full=True)
    assert kinds(await events(runs, info.id)) == ["start", "token", "done"]
    with pytest.raises(Fenced):
        await runs._hub.append(Append(stream=info.stream, fence=Fence(lease.name, lease.token)), [])


async def test_a_store_that_is_full_for_a_while_gets_the_end_later(runs, provider, store, monkeypatch) -> None:
    info, _ = await runs.start(request())
    provider.say("kept")
    await shown(runs, info.id, "kept")
    refusals = 0
    append = store.append

    async def refuse(batch):
        nonlocal refusals
        refusals += 1
        return [StoreFull("the disk is full")] * len(batch) if refusals < 3 else await append(batch)

    monkeypatch.setattr(runs._hub._recorder, "_submit", lambda batch: asyncio.ensure_future(refuse(batch)))
    provider.say("lost", "lost", FINISH)
    found = await events_later(runs, info.id)
    assert kinds(found) == ["start", "token", "error", "usage", "done"]
    assert found[2].data["code"] == "store_full"


async def test_clock_jumps_change_neither_order_nor_leases(store, provider) -> None:
    jumps = itertools.cycle([0, 3600, -3600])
    settings = RunSettings(lease=0.2)
    async with running(store, provider, settings=settings, now=lambda: time.time() + next(jumps)) as runs:
        info, _ = await runs.start(request(on_no_watchers=StopAfter(60)))
        for n in range(6):
            provider.say(f"{n}")
            await shown(runs, info.id, "".join(map(str, range(n + 1))))
            await asyncio.sleep(0.1)  # three times as long as the lease, in all
        provider.say(FINISH)
        found = await events(runs, info.id)
        assert [event.data for event in found if event.type == "token"] == list("012345")
        assert found[-1].data["reason"] == "stop"


async def test_drain_interrupts_what_does_not_finish(store, provider) -> None:
    async with running(store, provider) as runs:
        info, _ = await runs.start(request())
        provider.say("half")
        await shown(runs, info.id, "half")
        await runs.drain(0.01)
        assert (await events(runs, info.id))[-1].data["reason"] == "interrupted"
        with pytest.raises(ShuttingDown):
            await runs.start(request())


async def test_drain_lets_runs_finish(store, provider) -> None:
    async with running(store, provider) as runs:
        info, _ = await runs.start(request())
        provider.say("whole", FINISH)
        await runs.drain(5)
        assert runs.get(info.id).reason == "stop"


async def test_drain_lets_a_run_finish_that_was_just_let_in(store, provider, monkeypatch) -> None:
    acquire, asked, answer = store.acquire, asyncio.Event(), asyncio.Event()

    async def slowly(*args, **more):
        asked.set()
        await answer.wait()
        return await acquire(*args, **more)

    monkeypatch.setattr(store, "acquire", slowly)
    async with running(store, provider) as runs:
        starting = asyncio.create_task(runs.start(request()))
        await asked.wait()
        draining = asyncio.create_task(runs.drain(5))
        while not runs._executor.draining:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0)
        with pytest.raises(ShuttingDown):
            await runs.start(request())
        answer.set()
        info, _ = await starting
        provider.say("whole", FINISH)
        await draining
        assert runs.get(info.id).reason == "stop"


async def test_list_pages_from_the_newest(runs, provider) -> None:
    made = [(await runs.start(request()))[0].id for _ in range(5)]
    assert [info.id for info in runs.list(limit=2)] == made[:-3:-1]
    assert [info.id for info in runs.list(limit=9, before=made[3])] == made[2::-1]
    assert runs.list(state="done") == []
    with pytest.raises(BadRequest):
        runs.list(limit=0)
    with pytest.raises(RunNotFound):
        runs.list(before="r_none")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"messages": []}, BadRequest),
        ({"messages": [{"content": "x"}]}, BadRequest),
        ({"messages": [{"role": "user", "content": 1}]}, BadRequest),
        ({"channel": "runs/x"}, BadRequest),
        ({"channel": "$runs"}, InvalidName),
        ({"channel": "a b"}, InvalidName),
        ({"model": "unknown"}, ModelNotFound),
        ({"replaces": "r_none"}, RunNotFound),
        ({"on_no_watchers": StopAfter(-1)}, BadRequest),
        ({"metadata": {"a": "x" * 20_000}}, BadRequest),
    ],
)
async def test_bad_requests_leave_nothing(runs, store, fields, error) -> None:
    with pytest.raises(error):
        await runs.start(request(**fields))
    assert runs.list() == []
    assert await store.leases("") == []


async def test_what_a_provider_would_never_do_is_refused_at_once(runs, store) -> None:
    with pytest.raises(BadRequest, match="stall"):
        await runs.start(request(simulated={"fault": "stall@soon"}), provider=SimulatedProvider())
    assert runs.list() == []


async def test_live_runs_are_bounded(store, provider) -> None:
    async with running(store, provider, settings=RunSettings(max_live=1)) as runs:
        await runs.start(request())
        with pytest.raises(TooMany):
            await runs.start(request())


async def test_unknown_fields_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"messages": HELLO, "modle": "x"}, RunRequest)
