"""Redis restarted, silent, full, or hanging up: rows 12–15, with a real server for each test."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as ConnectionLost
from redis_server import RedisServer

from tokentape.core.errors import CursorGone, Fenced, SequenceConflict, StoreFull, StoreUnavailable, StreamNotFound
from tokentape.stores.base import Append, Appended, Fence, LeaseInfo, Producer, Retention, Standing, StreamConfig
from tokentape.stores.redis import RedisStore
from tokentape.stores.redis.scripts import Command
from tokentape.stores.redis.store import Tuning
from tokentape.testing.contract_log import everything, put


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that keeps all that it accepts."""
    with RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always", "--save", "") as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


async def write(store: RedisStore, stream: str, accepted: list[bytes], stop: asyncio.Event) -> None:
    """Appends one record after the other, as a run does, and repeats what was refused for a moment."""
    while not stop.is_set():
        record = b"%06d" % len(accepted)
        try:
            await put(store, stream, record, producer=Producer("p", 0, len(accepted)))
        except StoreUnavailable:
            await asyncio.sleep(0.05)
            continue
        accepted.append(record)


async def test_row_12_a_restart_with_its_data_loses_nothing(durable: RedisServer) -> None:
    async with RedisStore(durable.url) as writer, RedisStore(durable.url) as watcher:
        told: asyncio.Queue[Standing] = asyncio.Queue()
        watcher.notify(told.put_nowait)
        made, _ = await writer.create("a", StreamConfig())
        accepted: list[bytes] = []
        stop = asyncio.Event()
        writing = asyncio.create_task(write(writer, "a", accepted, stop))
        await reaches(told, 100)
        for how in (signal.SIGTERM, signal.SIGKILL):
            await asyncio.to_thread(durable.stop, how)
            await asyncio.sleep(0.3)
            before = len(accepted)
            await asyncio.to_thread(durable.start)
            started = time.monotonic()
            await reaches(told, before + 100)
            assert time.monotonic() - started < 5, "reconnected too late"
        stop.set()
        await writing
        assert (await writer.info("a")).epoch == made.epoch
        # The answer to the very last append before each end may have been lost, not the record.
        assert await everything(watcher, "a") == accepted


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - the state of a server, which nobody announces
            await asyncio.sleep(0.05)


async def take_over(store: RedisStore, name: str) -> LeaseInfo:
    """The lease, as soon as it has run out."""
    async with asyncio.timeout(5):
        while True:
            lease = await store.acquire(name, "you", seconds=60)
            if lease is not None:
                return lease
            await asyncio.sleep(0.01)


async def reaches(told: asyncio.Queue[Standing], last: int) -> None:
    async with asyncio.timeout(20):
        while (await told.get()).last < last:
            pass


async def test_row_12_an_append_whose_answer_was_lost_is_not_done_twice(durable: RedisServer) -> None:
    """Records without keys or producers, over a connection that is cut after each few appends."""
    async with RedisStore(durable.url) as store:
        await store.create("a", StreamConfig())
        stop = asyncio.Event()

        async def cut() -> None:
            while not stop.is_set():
                await asyncio.to_thread(durable.command, "CLIENT", "KILL", "TYPE", "normal")
                await asyncio.sleep(0.003)

        cutting = asyncio.create_task(cut())
        for turn in range(300):
            result = await put(store, "a", b"%d" % turn)
            assert (result.first, result.last) == (turn + 1, turn + 1)
        stop.set()
        await cutting
        assert await everything(store, "a") == [b"%d" % turn for turn in range(300)]


async def test_row_13_an_empty_restart_is_told_and_never_mistaken_for_the_old_stream(server: RedisServer) -> None:
    async with RedisStore(server.url) as writer, RedisStore(server.url) as watcher:
        told: asyncio.Queue[Standing] = asyncio.Queue()
        made, _ = await writer.create("a", StreamConfig())
        await put(writer, "a", b"1", b"2", b"3")
        await watcher.read("a", 0)
        watcher.notify(told.put_nowait)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(10):
            while (await told.get()).epoch == made.epoch:
                pass
        with pytest.raises(StreamNotFound):
            await watcher.read("a", 3)
        again, new = await writer.create("a", StreamConfig())
        assert new
        assert again.epoch != made.epoch
        [refused] = await writer.append([Append(stream="a", records=[b"4"], epoch=made.epoch)])
        assert isinstance(refused, CursorGone)
        assert refused.details["reason"] == "epoch"


async def test_row_13_a_lease_of_before_an_empty_restart_fences_nothing_off_by_accident(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        before = await store.acquire("run", "me", seconds=60)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        after = await store.acquire("run", "you", seconds=60)
        assert before is not None
        assert after is not None
        assert after.token > before.token


async def test_row_13_a_restart_with_an_older_copy_gives_the_stream_a_new_epoch(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--save", "3600 1000000", "--appendonly", "no")
    with server:
        async with RedisStore(server.url) as store:
            told: asyncio.Queue[Standing] = asyncio.Queue()
            made, _ = await store.create("a", StreamConfig())
            await put(store, "a", b"1", b"2")
            server.command("SAVE")
            await put(store, "a", b"lost", b"lost too")
            store.notify(told.put_nowait)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(10):
                while (standing := await told.get()).epoch == made.epoch:
                    pass
            assert standing.last == 2
            [refused] = await store.append([Append(stream="a", records=[b"x"], epoch=made.epoch)])
            assert isinstance(refused, CursorGone)
            assert (await store.read("a", 0)).epoch == standing.epoch != made.epoch
            assert await everything(store, "a") == [b"1", b"2"]


async def test_row_14_the_command_after_an_idle_time_succeeds(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--save", "", "--timeout", "1") as server:
        async with RedisStore(server.url) as store:
            await store.create("a", StreamConfig())
            for turn in range(2):
                await put(store, "a", b"%d" % turn)
                await store.info("a")
                await until(lambda: b"name=tokentape" not in server.command("CLIENT", "LIST", "TYPE", "normal"))
            # Each by a connection that Redis has closed.
            assert (await put(store, "a", b"2")).last == 3
            assert await everything(store, "a") == [b"0", b"1", b"2"]


@pytest.mark.parametrize("how", ["sigstop", "debug sleep"])
async def test_row_15_a_stall_is_bounded_said_and_drops_nothing_silently(server: RedisServer, how: str) -> None:
    tuning = Tuning(max_queued=50, max_queued_bytes=10_000)
    async with RedisStore(f"{server.url}?timeout=1", tuning=tuning) as store:
        await store.create("a", StreamConfig())
        await put(store, "a", b"before")
        if how == "sigstop":
            server.signal(signal.SIGSTOP)
        else:
            sleeping = asyncio.create_task(asyncio.to_thread(server.command, "DEBUG", "SLEEP", "3"))
            await asyncio.sleep(0.2)
        started = time.monotonic()
        answers = []
        refused = 0
        for turn in range(100):
            try:
                answers.append((turn, store.submit([Append(stream="a", records=[b"%d" % turn], keys=[f"k{turn}"])])))
            except StoreUnavailable:
                refused += 1
        assert len(answers) <= 51
        assert refused >= 49
        with pytest.raises(StoreUnavailable, match="are waiting for Redis"):
            store.submit([Append(stream="a", records=[b"x" * 20_000])])
        outcomes = await asyncio.gather(*(answer for _, answer in answers), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        assert time.monotonic() - started < 3, "a stall took longer to be told than it lasts"
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await store.read("a", 0)
        if how == "sigstop":
            server.signal(signal.SIGCONT)
        else:
            await sleeping
        # The caller repeats what it does not know, with the same keys: each record is there once.
        for turn, _ in answers:
            [result] = await store.append([Append(stream="a", records=[b"%d" % turn], keys=[f"k{turn}"])])
            assert isinstance(result, Appended)
        records = await everything(store, "a")
        assert records[0] == b"before"
        assert sorted(records[1:]) == sorted(b"%d" % turn for turn, _ in answers)


async def test_row_15_a_full_server_refuses_writes_and_the_rest_goes_on(server: RedisServer) -> None:
    async with RedisStore(server.url) as store:
        await store.create("a", StreamConfig(retention=Retention(idle=3600)))
        await store.create("other", StreamConfig())
        lease = await store.acquire("run", "me", seconds=60)
        assert lease is not None
        await put(store, "a", b"kept", fence=Fence("run", lease.token))
        server.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreFull, match="out of memory"):
            await put(store, "a", b"refused", producer=Producer("p", 0, 0), keys=["k"], close=True)
        with pytest.raises(StoreFull):
            await store.create("new", StreamConfig())
        with pytest.raises(StoreFull):
            await store.acquire("other", "me", seconds=60)
        assert await everything(store, "a") == [b"kept"]
        assert await store.renew("run", lease.token, seconds=60)
        assert [info.name for info in await store.list()] == ["a", "other"]
        await store.delete("other")
        server.command("CONFIG", "SET", "maxmemory", "0")
        result = await put(store, "a", b"more", producer=Producer("p", 0, 0), keys=["k"])
        assert (result.first, result.duplicate) == (2, False)
        assert not (await store.info("a")).closed


async def test_row_10_a_writer_that_was_frozen_past_its_lease_is_refused(server: RedisServer) -> None:
    async with RedisStore(server.url) as frozen, RedisStore(server.url) as cleaner:
        await frozen.create("a", StreamConfig())
        mine = await frozen.acquire("run", "me", seconds=0.05)
        assert mine is not None
        yours = await take_over(cleaner, "run")
        [result] = await frozen.append([Append(stream="a", records=[b"late"], fence=Fence("run", mine.token))])
        assert isinstance(result, Fenced)
        await put(cleaner, "a", b"end", fence=Fence("run", yours.token))
        assert await everything(frozen, "a") == [b"end"]


async def test_appends_that_no_repetition_could_make_safe_say_so(server: RedisServer) -> None:
    """The connection of one writer is lost while another appends to the same stream."""
    async with RedisStore(server.url) as one, RedisStore(server.url) as two:
        await one.create("a", StreamConfig())
        await put(one, "a", b"1")
        await put(two, "a", b"2")
        losing = Losing(one)
        with pytest.raises(StoreUnavailable, match="is not known: read the stream"):
            await put(one, "a", b"3")
        losing.once_more()
        assert (await put(one, "a", b"3", producer=Producer("p", 0, 0))).last == 3
        losing.once_more()
        [conflict] = await one.append([Append(stream="a", records=[b"4"], producer=Producer("p", 0, 2))])
        assert isinstance(conflict, SequenceConflict)
        assert await everything(two, "a") == [b"1", b"2", b"3"]


class Losing:
    """Loses the connection of a store's writer at its next round, before Redis has got anything."""

    def __init__(self, store: RedisStore) -> None:
        self._link = store._writing
        self._send = self._link.send
        self.once_more()

    def once_more(self) -> None:
        self._link.send = self._lose

    async def _lose(self, commands: list[Command]) -> list[object]:
        self._link.send = self._send
        return [ConnectionLost()] * len(commands)
