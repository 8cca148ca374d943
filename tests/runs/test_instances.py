"""P4, P6 and P7 over several processes that share a store: what one does, the others know and may do as well."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from scripted import FINISH, ScriptedModels, ScriptedProvider

from tokentape.core.errors import BadRequest, RunConflict, RunNotFound, SetupError, TooMany
from tokentape.core.events import Event
from tokentape.hub import Hub
from tokentape.hub.channels import Channels
from tokentape.providers.iterator import IteratorProvider
from tokentape.runs import RunRequest, Runs, RunSettings
from tokentape.runs.executor import MAX_RESTARTS
from tokentape.runs.index import RUNS_STREAM, RunIndex
from tokentape.runs.jobs import QUEUE
from tokentape.runs.orders import PREFIX
from tokentape.stores.base import Append, Retention
from tokentape.stores.memory import MemoryStore
from tokentape.stores.sqlite import SqliteStore

HELLO = [{"role": "user", "content": "Hello"}]
LEASE = 0.5
WORKERS = RunSettings(execute="workers", lease=LEASE)
INLINE = RunSettings(lease=LEASE)


class SharedStore(MemoryStore):
    """Instances of this process stand for processes of their own; tests/faults has real ones."""

    between_processes = True


class Instance:
    def __init__(self, store, settings=INLINE, **options) -> None:
        self.provider = ScriptedProvider()
        self.hub = Hub(store)
        self.channels = Channels(self.hub, retention=Retention())
        self.runs = Runs(self.hub, self.channels, ScriptedModels(self.provider, **options), settings)

    async def kill(self) -> None:
        """As SIGKILL leaves it: tasks gone, leases still there, nothing recorded."""
        runs = self.runs
        for part in (runs._custody, runs._taker, runs._positions):
            part._task.cancel()
        if runs._worker is not None:
            for task in (runs._worker._working, runs._worker._appearing):
                task.cancel()
        runs._registry._following.cancel()
        tasks = [*runs._executor._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        await self.runs.drain(0)
        await self.channels.aclose()
        await self.hub.aclose()


@asynccontextmanager
async def instances(store, *settings, **options):
    made = [Instance(store, each, **options) for each in settings]
    for instance in made:
        await instance.runs.open()
    try:
        yield made
    finally:
        for instance in made:
            await instance.close()


@pytest.fixture
def store() -> MemoryStore:
    return SharedStore()


def request(**fields) -> RunRequest:
    return RunRequest(**{"messages": HELLO, **fields})


async def events(instance: Instance, run_id: str) -> list:
    """A run's own events, up to its end."""
    runs = instance.runs
    async with asyncio.timeout(20):
        await runs.find(run_id)
        place = runs.locate(f"runs/{run_id}")
        async with runs._hub.reading(place.stream, place.begin or "start", run=run_id, merge=False) as reader:
            return [item.event async for item in reader if item.cursor is not None]


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - whatever it may be
            await asyncio.sleep(0.005)


def kinds(found) -> list[str]:
    return [event.type for event in found]


async def begun(instance: Instance, run_id: str, text: str) -> None:
    """Waits until a run is known to run, and has said this."""
    await until(lambda: (info := instance.runs._find(run_id)) is not None and info.state == "running")
    place = instance.runs.locate(f"runs/{run_id}")
    said = ""
    async with (
        asyncio.timeout(20),
        instance.hub.reading(place.stream, place.begin or "start", run=run_id, merge=False) as reader,
    ):
        async for item in reader:
            if item.event.type == "reset":
                said = ""
            said += item.event.data if item.event.type == "token" else ""
            if said == text:
                return


# One process knows what another does


async def test_runs_are_known_everywhere(store) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        info, _ = await one.runs.start(request(channel="room", metadata={"a": 1}))
        found = await two.runs.find(info.id)
        assert (found.id, found.stream, found.metadata, found.cursor) == (info.id, "room", {"a": 1}, info.cursor)
        one.provider.say("text", FINISH)
        assert kinds(await events(two, info.id)) == ["start", "token", "usage", "done"]
        await two.runs.settled(info.id)
        assert two.runs.get(info.id) == one.runs.get(info.id)
        assert [run.id for run in two.runs.list(state="done")] == [info.id]
        with pytest.raises(RunNotFound):
            await two.runs.find("r_none")


async def test_who_asks_for_unknown_runs_does_not_burden_the_store(store, monkeypatch) -> None:
    async with instances(store, INLINE) as (one,):
        reads = 0
        read = store.read

        async def counted(*args, **options):
            nonlocal reads
            reads += 1
            await asyncio.sleep(0.02)
            return await read(*args, **options)

        monkeypatch.setattr(store, "read", counted)
        answers = await asyncio.gather(*(one.runs.find(f"r_{n}") for n in range(500)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {RunNotFound}
        assert reads <= 2


async def test_a_key_gives_the_same_run_everywhere(store) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        (first, _), (second, _) = await asyncio.gather(
            one.runs.start(request(), key="k"), two.runs.start(request(), key="k")
        )
        assert first.id == second.id
        assert second.cursor
        with pytest.raises(RunConflict):
            await two.runs.start(request(temperature=1.0), key="k")
        # The one that lost left nothing.
        assert [info.name for info in await store.list("runs/")] == [first.stream]
        assert len(await store.leases()) == 1


async def test_a_stop_reaches_the_process_that_executes(store) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        info, _ = await one.runs.start(request())
        one.provider.say("half")
        await begun(two, info.id, "half")
        async with asyncio.timeout(10):
            stopped, again = await asyncio.gather(two.runs.stop(info.id, detail="tired"), two.runs.stop(info.id))
        assert (stopped.state, stopped.reason) == ("done", "stopped")
        assert again == stopped
        assert one.provider.closed == 1
        found = await events(two, info.id)
        assert found[-1].data["detail"] in ("tired", "request")
        assert await two.runs.stop(info.id) == stopped


async def test_a_run_is_replaced_from_another_process(store) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        old, _ = await one.runs.start(request())
        one.provider.say("half an ans")
        await begun(two, old.id, "half an ans")
        question = [*HELLO, {"role": "user", "content": "No, shorter"}]
        new, _ = await two.runs.start(request(messages=question, replaces=old.id))
        two.provider.say("ok", FINISH)
        assert (await events(one, new.id))[0].data["replaces"] == old.id
        assert one.runs.get(old.id).reason == "stopped"
        assert two.provider.generations[0].messages[1] == {"role": "assistant", "content": "half an ans"}
        with pytest.raises(RunConflict):
            await one.runs.start(request(replaces=old.id))


async def test_what_a_newer_version_records_does_not_blind_an_older_one(store) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        news = Event(type="tokentape:run", data={"id": "r_new", "state": "dreaming"})
        await one.hub.append(Append(stream=RUNS_STREAM), [news, Event(type="tokentape:news", data=None)])
        info, _ = await one.runs.start(request())
        await until(lambda: two.runs._find(info.id) is not None)
        assert [run.id for run in two.runs.list()] == [info.id]
        async with instances(store, INLINE) as (three,):
            assert [run.id for run in three.runs.list()] == [info.id]


async def test_a_record_that_is_lost_begins_anew(store) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        await one.runs.start(request())
        await store.delete(RUNS_STREAM)
        info, _ = await one.runs.start(request())
        assert (await two.runs.find(info.id)).id == info.id


# When a process dies


async def test_p4_another_process_ends_the_runs_of_a_dead_one(store) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        ids = [(await one.runs.start(request(channel=channel)))[0].id for channel in (None, "room")]
        for run_id in ids:
            await begun(two, run_id, "")
        await one.kill()
        for run_id in ids:
            found = await events(two, run_id)
            assert kinds(found) == ["start", "done"]
            assert found[-1].data == {"reason": "interrupted", "detail": "process_died"}
        await until(lambda: two.runs.list(state="running") == [])


@pytest.mark.parametrize("channel", [None, "room"])
async def test_p7_a_run_that_may_be_restarted_goes_on_elsewhere(store, channel) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        info, _ = await one.runs.start(request(on_crash="restart", channel=channel))
        one.provider.say("lost")
        await begun(two, info.id, "lost")
        await one.kill()
        two.provider.say("kept", FINISH)
        found = await events(two, info.id)
        assert kinds(found) == ["start", "token", "reset", "token", "usage", "done"]
        assert found[2].data == {"reason": "restarted"}
        await two.runs.settled(info.id)
        assert (two.runs.get(info.id).attempt, two.runs.get(info.id).reason) == (2, "stop")
        await until(lambda: not two.runs.live())
        assert await store.list(PREFIX) == []


@pytest.mark.parametrize("channel", [None, "room"])
@pytest.mark.parametrize("settings", [INLINE, WORKERS])
async def test_a_run_that_nobody_was_told_of_leaves_no_trace(store, settings, channel) -> None:
    """Killed between the lease and the record: whoever asked asks again, and must not pay twice."""
    async with instances(store, settings, settings) as (one, two):
        if settings is WORKERS:
            two.runs.work(1)

        async def die(_info) -> None:
            raise asyncio.CancelledError

        one.runs._registry.claim = die
        with pytest.raises(asyncio.CancelledError):
            await one.runs.start(request(on_crash="restart", channel=channel), key="k")
        await one.kill()
        [lost] = await store.leases("run:")
        async with asyncio.timeout(20):
            while await store.leases("run:"):  # noqa: ASYNC110 - a store does not tell of leases
                await asyncio.sleep(0.01)
        again, new = await two.runs.start(request(on_crash="restart", channel=channel), key="k")
        assert new
        two.provider.say("once", FINISH)
        assert kinds(await events(two, again.id)) == ["start", "token", "usage", "done"]
        assert len(two.provider.generations) == 1
        await two.runs.settled(again.id)
        assert [run.id for run in two.runs.list()] == [again.id]
        async with two.hub.reading(again.stream, "start", merge=False) as reader:
            async for item in reader:
                assert item.event.run == again.id
                if item.event.type == "done":
                    break
        await until(lambda: not two.runs.live())
        names = [stream.name for stream in await store.list("")]
        assert not any(lost.name.removeprefix("run:") in name for name in names)


async def test_a_run_whose_record_is_no_longer_kept_is_ended(store) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        info, _ = await one.runs.start(request(channel="room"))
        await begun(one, info.id, "")
        await one.kill()
        two.runs._registry.index = RunIndex()  # as one that was made since
        await store.delete(RUNS_STREAM)
        async with two.hub.reading("room", "start", merge=False) as reader:
            async for item in reader:
                if item.event.type == "done":
                    break
        assert (item.event.run, item.event.data["detail"]) == (info.id, "process_died")


async def test_a_run_is_not_restarted_for_ever(store) -> None:
    async with instances(store, INLINE) as (one,):
        info, _ = await one.runs.start(request(on_crash="restart"))
        await begun(one, info.id, "")
        victim = one
        for attempt in range(2, MAX_RESTARTS + 3):
            await victim.kill()
            victim = Instance(store, INLINE)
            await asyncio.sleep(LEASE * 1.2)
            await victim.runs.open()
            if attempt <= MAX_RESTARTS + 1:
                await until(lambda a=attempt, v=victim: v.runs.get(info.id).attempt == a)
                await until(lambda v=victim: v.runs.get(info.id).state == "running")
        found = await events(victim, info.id)
        assert kinds(found).count("reset") == MAX_RESTARTS
        assert found[-1].data["reason"] == "interrupted"
        await victim.close()


@pytest.mark.parametrize("settings", [INLINE, WORKERS])
async def test_an_end_that_the_dead_process_recorded_is_the_end(store, settings) -> None:
    """It died between the `done` on the run's stream and the record of it."""
    async with instances(store, settings, settings) as (one, two):
        changed = one.runs._registry.changed

        async def die(info) -> None:
            if info.state == "done":
                raise asyncio.CancelledError
            await changed(info)

        one.runs._registry.changed = die
        if settings is WORKERS:
            one.runs.work(2)
        ids = [(await one.runs.start(request(on_crash="restart", channel=channel)))[0].id for channel in (None, "room")]
        for run_id in ids:
            await begun(two, run_id, "")
        one.provider.say("all", FINISH, "all", FINISH)
        await until(lambda: not one.runs.live())
        await one.kill()
        assert [run.state for run in two.runs.list()] == ["running", "running"]
        if settings is WORKERS:
            two.runs.work(2)
        await until(lambda: [run.reason for run in two.runs.list()] == ["stop", "stop"])
        for run_id in ids:
            assert kinds(await events(two, run_id)) == ["start", "token", "usage", "done"]
        assert two.provider.generations == []


async def test_who_takes_a_run_reads_the_record_to_its_end(store) -> None:
    """A process that has not heard of an end, or of a stop, must not begin what others have seen ended."""
    async with instances(store, WORKERS, WORKERS) as (server, worker):
        ended, stopped, waits = [(await server.runs.start(request()))[0] for _ in range(3)]
        await worker.runs.find(waits.id)
        worker.runs._registry._following.cancel()
        await asyncio.gather(worker.runs._registry._following, return_exceptions=True)
        await server.runs.stop(ended.id)
        # Of this one the server died before it could end it.
        await server.runs._registry.stop(stopped.id, "tired")
        assert {worker.runs.get(info.id).state for info in (ended, stopped, waits)} == {"queued"}
        worker.runs.work(1)
        worker.provider.say("text", FINISH)
        assert kinds(await events(server, waits.id)) == ["start", "token", "usage", "done"]
        await until(lambda: not worker.runs.live())
        assert len(worker.provider.generations) == 1
        assert kinds(await events(server, ended.id)) == ["done"]
        assert (await events(server, stopped.id))[0].data == {"reason": "stopped", "detail": "tired"}


async def test_a_stopped_run_is_not_restarted(store) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        info, _ = await one.runs.start(request(on_crash="restart"))
        await begun(two, info.id, "")
        await one.kill()
        stopped = await two.runs.stop(info.id)
        assert stopped.reason == "stopped"
        assert kinds(await events(two, info.id)) == ["start", "done"]


async def test_iterators_cannot_be_restarted(store) -> None:
    async with instances(store, INLINE) as (one,):
        with pytest.raises(BadRequest, match="iterator"):
            await one.runs.start(request(on_crash="restart"), provider=IteratorProvider(["a"]))


async def test_a_process_that_ends_hands_over_what_may_be_restarted(store) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        mine, _ = await one.runs.start(request(on_crash="restart"))
        other, _ = await one.runs.start(request())
        for info in (mine, other):
            await begun(two, info.id, "")
        two.provider.say("again", FINISH)
        await one.runs.drain(0.01)
        assert kinds(await events(two, mine.id)) == ["start", "reset", "token", "usage", "done"]
        assert (await events(two, other.id))[-1].data["reason"] == "interrupted"


# Workers


async def test_a_worker_that_ends_finishes_what_it_is_taking(store, monkeypatch) -> None:
    async with instances(store, WORKERS, WORKERS) as (server, worker):
        taking = asyncio.Event()
        catch_up = worker.runs._registry.catch_up

        async def slowly() -> None:
            taking.set()
            await asyncio.sleep(0.05)
            await catch_up()

        monkeypatch.setattr(worker.runs._registry, "catch_up", slowly)
        worker.runs.work(1)
        info, _ = await server.runs.start(request())
        await taking.wait()
        worker.provider.say("text", FINISH)
        await worker.runs.drain(20)
        assert kinds(await events(server, info.id)) == ["start", "token", "usage", "done"]
        assert server.runs.get(info.id).attempt == 1


async def test_workers_need_a_store_that_processes_share(tmp_path) -> None:
    async with SqliteStore(tmp_path / "tape.db") as sqlite:
        for store in (MemoryStore(), sqlite):
            with pytest.raises(SetupError, match=r"redis://.*inline"):
                await Instance(store, WORKERS).runs.open()
            with pytest.raises(SetupError, match="redis://"):
                Instance(store, INLINE).runs.work(1)


async def test_a_worker_takes_what_a_server_leaves_to_it(store) -> None:
    async with instances(store, WORKERS, WORKERS) as (server, worker):
        worker.runs.work(2)
        ids = [(await server.runs.start(request(on_crash="interrupt")))[0].id for _ in range(5)]
        await until(lambda: len(worker.provider.generations) == 2)
        assert [server.runs.get(run_id).state for run_id in ids] == ["running"] * 2 + ["queued"] * 3
        assert [server.runs.position(server.runs.get(run_id)) for run_id in ids] == [None, None, 0, 1, 2]
        assert server.runs.live() == 0
        for number in range(5):
            worker.provider.say(str(number), FINISH)
        for run_id in ids:
            assert kinds(await events(server, run_id)) == ["start", "token", "usage", "done"]
        await until(lambda: not worker.runs.live())
        assert await store.count_jobs(QUEUE) == 0
        assert await store.list(PREFIX) == []
        assert await store.leases() == []


async def test_what_an_iterator_says_is_recorded_where_it_is(store) -> None:
    async with instances(store, WORKERS) as (server,):
        info, _ = await server.runs.start(request(), provider=IteratorProvider(["text"]))
        assert kinds(await events(server, info.id)) == ["start", "token", "usage", "done"]


async def test_a_run_that_waits_is_stopped_without_a_worker(store) -> None:
    async with instances(store, WORKERS, WORKERS) as (server, worker):
        info, _ = await server.runs.start(request())
        assert (await server.runs.stop(info.id)).reason == "stopped"
        assert [event.data for event in await events(server, info.id)] == [{"reason": "stopped", "detail": "request"}]
        worker.runs.work(1)
        later, _ = await server.runs.start(request())
        worker.provider.say(FINISH)
        await events(server, later.id)
        assert len(worker.provider.generations) == 1


@pytest.mark.parametrize("died", ["before the queue", "after the queue", "with the lease"])
async def test_no_run_is_lost_on_its_way_to_a_worker(store, died, monkeypatch) -> None:
    """Killed before the entry, between the entry and the lease, or with the lease and nothing done."""
    async with instances(store, WORKERS, WORKERS) as (server, worker):
        if died == "before the queue":

            async def nothing(_info) -> None:
                """As if it had died here."""

            monkeypatch.setattr(server.runs._jobs, "offer", nothing)
        info, _ = await server.runs.start(request())
        if died == "after the queue":
            assert (await store.take_job(QUEUE, seconds=1, again=1)).name == info.id
        if died == "with the lease":
            dead = Instance(store, WORKERS)
            job = await dead.runs._jobs.take()
            await dead.runs._custody.take(info)
            await dead.runs._jobs.finish(job)
        worker.runs.work(1)
        worker.provider.say("text", FINISH)
        found = await events(server, info.id)
        assert kinds(found) == ["start", "token", "usage", "done"]


async def test_a_long_run_is_never_taken_from_a_living_worker(store) -> None:
    async with instances(store, WORKERS, WORKERS, WORKERS) as (server, one, two):
        one.runs.work(1)
        info, _ = await server.runs.start(request(on_crash="restart"))
        await begun(server, info.id, "")
        two.runs.work(1)
        await store.put_job(QUEUE, info.id)  # and again, as a queue may
        await asyncio.sleep(LEASE * 3)
        one.provider.say("whole", FINISH)
        assert kinds(await events(server, info.id)) == ["start", "token", "usage", "done"]
        assert two.provider.generations == []


async def test_a_worker_does_not_take_its_own_run_from_itself(store) -> None:
    async with instances(store, WORKERS, WORKERS) as (server, worker):
        worker.runs.work(3)
        info, _ = await server.runs.start(request(on_crash="restart"))
        worker.provider.say("half ")
        await begun(server, info.id, "half ")
        await store.put_job(QUEUE, info.id)
        await asyncio.sleep(LEASE * 1.5)
        assert await store.count_jobs(QUEUE) == 0
        worker.provider.say("done", FINISH)
        assert kinds(await events(server, info.id)) == ["start", "token", "token", "usage", "done"]
        assert len(worker.provider.generations) == 1


async def test_p7_an_entry_that_comes_again_takes_no_run_from_who_only_stood_still(store, monkeypatch) -> None:
    """It has begun the run, and stood still before it could finish the entry; all renewals are late with it."""
    async with instances(store, WORKERS, WORKERS, WORKERS) as (server, one, two):

        async def nothing(_job) -> None:
            """As if it stood still here."""

        monkeypatch.setattr(one.runs._jobs, "finish", nothing)
        info, _ = await server.runs.start(request(on_crash="restart"))
        # The other has heard of the run, and not yet that it runs.
        await two.runs.find(info.id)
        two.runs._registry._following.cancel()
        await asyncio.gather(two.runs._registry._following, return_exceptions=True)
        one.runs.work(1)
        await begun(server, info.id, "")
        for still in (one.runs._custody, server.runs._taker, two.runs._taker, one.runs._taker):
            await still.aclose()
        await asyncio.sleep(LEASE * 1.5)
        assert two.runs.get(info.id).state == "queued"
        two.runs.work(1)
        await until_empty(store)
        one.provider.say("whole", FINISH)
        assert kinds(await events(server, info.id)) == ["start", "token", "usage", "done"]
        assert two.provider.generations == []


async def until_empty(store) -> None:
    """Waits until the queue has no entry."""
    async with asyncio.timeout(20):
        while await store.count_jobs(QUEUE):  # noqa: ASYNC110 - a store does not tell
            await asyncio.sleep(0.01)


async def test_p4_a_dead_worker_gives_way_to_another(store) -> None:
    async with instances(store, WORKERS, WORKERS, WORKERS) as (server, one, two):
        one.runs.work(2)
        again, _ = await server.runs.start(request(on_crash="restart"))
        once, _ = await server.runs.start(request())
        for info in (again, once):
            await begun(server, info.id, "")
        await one.kill()
        two.runs.work(2)
        two.provider.say("text", FINISH)
        assert kinds(await events(server, again.id)) == ["start", "reset", "token", "usage", "done"]
        assert (await events(server, once.id))[-1].data == {"reason": "interrupted", "detail": "process_died"}
        assert server.runs.get(again.id).attempt == 2
        assert len(two.provider.generations) == 1


async def test_p7_who_stands_still_with_all_others_loses_no_run(store) -> None:
    async with instances(store, INLINE, INLINE) as (one, two):
        started = [(await each.runs.start(request(on_crash=policy)))[0]
                   for each, policy in ((one, "interrupt"), (two, "restart"))]  # fmt: skip
        for info in started:
            await begun(two, info.id, "")
        for _ in range(3):
            time.sleep(LEASE * 1.5)  # noqa: ASYNC251 - all of them stand still
            await asyncio.sleep(LEASE)
        for each, info in zip((one, two), started, strict=True):
            each.provider.say("text", FINISH)
            assert kinds(await events(one, info.id)) == ["start", "token", "usage", "done"]


async def test_runs_that_wait_are_bounded(store) -> None:
    settings = RunSettings(execute="workers", lease=LEASE, max_live=2)
    async with instances(store, settings) as (server,):
        for _ in range(2):
            await server.runs.start(request())
        with pytest.raises(TooMany):
            await server.runs.start(request())


async def test_it_is_said_when_no_worker_is_there(store, caplog, monkeypatch) -> None:
    monkeypatch.setattr("tokentape.runs.positions.SECONDS", 0.01)
    monkeypatch.setattr("tokentape.runs.positions.PATIENCE", 0.05)
    with caplog.at_level("INFO"):
        async with instances(store, WORKERS, WORKERS) as (server, worker):
            for _ in range(2):
                await server.runs.start(request())
            await until(lambda: caplog.text.count("no worker is there") >= 2)
            worker.runs.work(1)
            await until(lambda: "there are workers again: 1" in caplog.text)
            assert caplog.text.count("no worker is there") == 2, "once for each process"


# Waiting for a provider


async def test_runs_wait_for_room_at_their_provider(store, monkeypatch) -> None:
    monkeypatch.setattr("tokentape.runs.positions.SECONDS", 0.02)
    async with instances(store, INLINE, INLINE, max_live=1) as (one, two):
        ids = [(await one.runs.start(request(channel="room")))[0].id for _ in range(3)]
        await until(lambda: len(one.provider.generations) == 1)
        for run_id in ids:
            await two.runs.find(run_id)
        await until(lambda: [two.runs.get(run_id).state for run_id in ids] == ["running", "queued", "queued"])
        told: asyncio.Queue = asyncio.Queue()

        async def watch(run_id: str) -> None:
            async with two.hub.reading("room", "start", run=run_id, merge=False) as reader:
                async for item in reader:
                    told.put_nowait((item.event.type, item.event.data, item.cursor))

        watching = asyncio.create_task(watch(ids[2]))
        async with asyncio.timeout(20):
            assert await told.get() == ("status", {"state": "queued", "position": 1}, None)
            # One that waits is stopped like any other.
            assert (await two.runs.stop(ids[1])).reason == "stopped"
            assert await told.get() == ("status", {"state": "queued", "position": 0}, None)
            one.provider.say("a", FINISH, "b", FINISH)
            assert (await told.get())[0] == "start"
            await watching
        assert [len(await events(two, run_id)) > 0 for run_id in ids] == [True] * 3
        assert len(one.provider.generations) == 2
