"""Every branch of the Lua scripts is taken, on a real server, by calls that say what it is for."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis
from redis_server import RedisServer

from tokentape.core.errors import (
    CursorGone,
    Fenced,
    SequenceConflict,
    StaleProducer,
    StoreUnavailable,
    StreamClosed,
    StreamNotFound,
)
from tokentape.core.producer import MAX_PRODUCERS
from tokentape.stores.base import Append, Appended, Fence, Member, Producer, Retention, StreamConfig
from tokentape.stores.redis import RedisStore
from tokentape.stores.redis.calls import Rare
from tokentape.stores.redis.scripts import APPEND, FENCE, FOLDER, REWIND, SCRIPTS
from tokentape.stores.redis.state import pack_state, unpack_state
from tokentape.testing import ManualClock
from tokentape.testing.contract_log import everything, put, refused

OPENS = re.compile(r"(\bthen|\bdo|\belse|function[^\n]*\))$")
TAKEN = "branches:taken"


def instrument(text: str, name: str, found: set[str]) -> str:
    """Has each block of a script write down that it was entered. One block begins per line, at its end."""
    lines: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        lines.append(line)
        code = line.partition("--")[0].rstrip()
        assert not re.search(r"\b(then|else)\b.+\bend\b", code), f"{name}:{number} hides a branch within a line"
        if OPENS.search(code):
            found.add(f"{name}:{number}")
            lines.append(f"redis.call('SADD', '{TAKEN}', '{name}:{number}')")
    return "\n".join(lines)


@pytest.fixture
def branches(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The scripts, instrumented; all their blocks."""
    found: set[str] = set()
    common = (FOLDER / "common.lua").read_text()
    for script in SCRIPTS:
        flags = script.text.split("\n", 1)[0]
        body = (FOLDER / f"{script.name}.lua").read_text()
        text = f"{flags}\n{instrument(common, 'common', found)}\n{instrument(body, script.name, found)}"
        monkeypatch.setattr(script, "text", text)
        monkeypatch.setattr(script, "digest", hashlib.sha1(text.encode()).hexdigest())
    return found


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis.url, protocol=2) as client:
        yield client


async def test_every_branch_of_the_scripts_is_taken(branches: set[str], redis: RedisServer, client: Redis) -> None:
    clock = ManualClock()
    async with RedisStore(redis.url, now=clock.now, monotonic=clock.monotonic) as store:
        for passes in (refusals, producers, keys, trimming, retention, leases, presence, repetitions, losses, batches):
            await client.flushdb() if passes is refusals else None
            await passes(store, clock, client)
    async with RedisStore(redis.url) as store:  # by the server's own clock
        await store.create("clock", StreamConfig(retention=Retention(idle=60)))
        assert 59_000 < await client.pttl(store._keys.state("clock")) <= 60_000
    taken = {name.decode() for name in await client.smembers(TAKEN)}
    assert branches - taken == set(), "these were not taken"


async def refusals(store: RedisStore, clock: ManualClock, client: Redis) -> None:
    assert isinstance(await refused(store, "nobody", b"x"), StreamNotFound)
    for call in (store.read("nobody", 0), store.delete("nobody")):
        with pytest.raises(StreamNotFound):
            await call
    await store.create("r", StreamConfig())
    await store.create("r", StreamConfig())
    assert isinstance(await refused(store, "r", b"x", epoch="other"), CursorGone)
    await put(store, "r", b"1", sequence="b")
    for sequence in ("a", "b", ""):
        assert isinstance(await refused(store, "r", b"x", sequence=sequence), SequenceConflict)
    assert (await put(store, "r")).last == 1
    await put(store, "r", b"2", sequence="bb", close=True)
    assert isinstance(await refused(store, "r", b"3"), StreamClosed)
    with pytest.raises(CursorGone):
        await store.read("r", 3)
    assert len((await store.read("r", 0, max_bytes=1)).records) == 1
    await store.delete("r")


async def producers(store: RedisStore, clock: ManualClock, client: Redis) -> None:
    await store.create("p", StreamConfig())
    assert isinstance(await refused(store, "p", b"x", producer=Producer("p", 1, 1)), SequenceConflict)
    await put(store, "p", b"0", producer=Producer("p", 1, 0))
    assert isinstance(await refused(store, "p", b"x", producer=Producer("p", 0, 0)), StaleProducer)
    assert (await put(store, "p", b"0", producer=Producer("p", 1, 0))).duplicate
    assert (await put(store, "p", b"1", producer=Producer("p", 1, 1))).last == 2
    # So many others that it is forgotten.
    others = [Producer(f"o{number}", 0, 0) for number in range(2 * MAX_PRODUCERS)]
    await store.append([Append(stream="p", producer=other) for other in others])
    assert isinstance(await refused(store, "p", b"2", producer=Producer("p", 1, 2)), SequenceConflict)


async def keys(store: RedisStore, clock: ManualClock, client: Redis) -> None:
    await store.create("k", StreamConfig())
    result = await put(store, "k", b"1", b"2", b"1", keys=["a", None, "a"])
    assert list(result.offsets) == [1, 2, 1]
    # More than a Lua function can return or take at once.
    records = [b"%d" % turn for turn in range(9000)]
    result = await put(store, "k", *records, keys=[f"k{turn}" for turn in range(9000)])
    assert list(result.offsets) == [*range(3, 9003)]


async def trimming(store: RedisStore, clock: ManualClock, client: Redis) -> None:
    await store.create("t", StreamConfig(retention=Retention(max_bytes=1000)))
    for turn in range(300):
        await put(store, "t", b"%05d" % turn, keys=[str(turn)])
    info = await store.info("t")
    assert info.bytes <= 1000
    kept = [field for field in await client.hkeys(store._keys.state("t")) if field.startswith(b"k:")]
    assert len(kept) == info.last - info.first + 1
    assert await client.xlen(store._keys.stream("t")[1]) == info.last - info.first + 1
    with pytest.raises(CursorGone):
        await store.read("t", 0)
    # The log was dropped by a server that evicts keys; nothing is left to trim, and nothing to read.
    await client.delete(store._keys.stream("t")[1])
    with pytest.raises(CursorGone) as gone:
        await store.read("t", info.first)
    assert gone.value.details["reason"] == "trimmed"
    await put(store, "t", b"x" * 1001)


async def retention(store: RedisStore, clock: ManualClock, client: Redis) -> None:
    later = int((clock.now() + 50) * 1000)
    await store.create("idle", StreamConfig(retention=Retention(idle=60, after_close=30)))
    await store.create("expires", StreamConfig(retention=Retention(expires_at=later)))
    await put(store, "idle", b"x", close=True)
    await store.read("idle", 0)
    for key in store._keys.stream("idle")[:2]:
        assert 0 < await client.pttl(key) <= 30_000
    assert 0 < await client.pttl(store._keys.state("expires")) <= 50_000
    clock.advance(61)
    for name in ("idle", "expires"):
        assert isinstance(await refused(store, name, b"x"), StreamNotFound)


async def leases(store: RedisStore, clock: ManualClock, client: Redis) -> None:
    await store.create("l", StreamConfig())
    assert isinstance(await refused(store, "l", b"x", fence=Fence("lease", 1)), Fenced)
    lease = await store.acquire("lease", "me", seconds=10, value=b"\x00 \xff")
    assert lease is not None
    assert await store.acquire("lease", "you", seconds=10) is None
    await put(store, "l", b"x", fence=Fence("lease", lease.token))
    assert await store.renew("lease", lease.token, seconds=10)
    assert not await store.renew("lease", 1, seconds=10)
    assert await store.leases() == [lease]
    assert await store.leases(dead=True) == []
    # A cluster looks leases up first, and tells the stream's node until when they are held.
    time = store._time()
    for token, least, seconds in ((lease.token, 1000, 10), (lease.token, 12_000, 12), (1, 1000, 0)):
        command = FENCE.command((store._keys.leases,), *time, "lease", token, least)
        [ends] = await store._link.ask([command])
        assert int(ends) == (time[1] + seconds * 1000 if seconds else 0)
        plan = [[], "l", 1, 0, 7, 1, 0, 0, Rare(lease_ends=int(ends))]
        head = [*time, "channel", "origin", 1, "", msgspec.msgpack.encode(plan), b"y"]
        [[answer]] = await store._link.ask([APPEND.command(store._keys.stream("l"), *head)])
        assert answer[0] == (0 if token == lease.token else 4)
    await store.release("lease", 1)
    await store.release("lease", lease.token)
    assert await store.leases() == []


async def presence(store: RedisStore, clock: ManualClock, client: Redis) -> None:
    assert await store.track("room", Member("ann", 1), seconds=10)
    assert not await store.track("room", Member("ann", 2), seconds=10)
    assert await store.untrack("room", "ann")
    await store.track("room", Member("bob", 1), seconds=10)
    clock.advance(11)
    assert await store.track("room", Member("cid", 1), seconds=10)
    assert await client.hkeys(store._keys.presence("room")[0]) == [b"cid"]
    assert await store.members("room") == [Member("cid", 1)]


async def repetitions(store: RedisStore, clock: ManualClock, client: Redis) -> None:
    """A round that is sent again: what was done is answered as before, what was not is done now."""
    await store.create("again", StreamConfig())
    names = store._keys.stream("again")

    async def send(origin: str, number: int, index: int, flags: str, *records: bytes) -> list[object]:
        plan = [[], "again", 1, index, 7, len(records), 0, 0, Rare(harmless="i" in flags)]
        head = [*store._time(), "channel", origin, number, "r" if "r" in flags else ""]
        [[answer]] = await store._link.ask([APPEND.command(names, *head, msgspec.msgpack.encode(plan), *records)])
        return answer

    first = await send("me", 1, 0, "", b"1")
    second = await send("me", 1, 1, "", b"2", b"3")
    assert await send("me", 1, 0, "r", b"1") == first
    assert await send("me", 1, 1, "r", b"2", b"3") == second
    assert (await send("me", 1, 2, "r", b"4"))[2:4] == [4, 4]
    assert (await send("me", 2, 0, "r", b"5"))[2:4] == [5, 5]
    assert await send("you", 7, 0, "r", b"6") == [9]
    assert (await send("you", 7, 0, "ri", b"6"))[2:4] == [6, 6]
    assert await everything(store, "again") == [b"1", b"2", b"3", b"4", b"5", b"6"]


async def losses(store: RedisStore, clock: ManualClock, client: Redis) -> None:
    made, _ = await store.create("back", StreamConfig())
    await put(store, "back", b"1")

    def rewind(epoch: str, last: int) -> tuple[object, ...]:
        return REWIND.command(store._keys.stream("back"), *store._time(), "wake", "back", epoch, last, "new")

    assert await store._link.ask([rewind("other", 9), rewind(made.epoch, 1)]) == [0, 0]
    assert await store._link.ask([rewind(made.epoch, 2)]) == [1]
    assert (await store.info("back")).epoch == "new"


async def batches(store: RedisStore, clock: ManualClock, client: Redis) -> None:
    """What Redis cannot work on is refused by itself, and what is too much for one answer comes in the next."""
    for name in ("broken", "fine"):
        await store.create(name, StreamConfig())
    await client.set(store._keys.stream("broken")[1], "no log")
    broken, fine, other = await store.append([
        Append(stream="broken", records=[b"1"]),
        Append(stream="fine", records=[b"x" * 200_000] * 4),
        Append(stream="broken", records=[b"2"]),
    ])  # fmt: skip
    assert isinstance(broken, StoreUnavailable)
    assert isinstance(other, StoreUnavailable)
    assert isinstance(fine, Appended)
    pages = await asyncio.gather(*(store.read("fine", after) for after in (0, 1, 2, 3, 2)))
    assert [page.records[0][0] for page in pages] == [1, 2, 3, 4, 3]
    await client.hset(store._keys.state("broken"), "state", b"nonsense")
    with pytest.raises(StoreUnavailable, match="refused a command"):
        await store.read("broken", 0)
    await client.delete(*store._keys.stream("broken"))


async def test_text_is_compared_as_bytes_whatever_the_servers_locale(redis: RedisServer) -> None:
    """Lua's own `<` follows LC_COLLATE, in which "a" may come before "B"."""
    async with RedisStore(redis.url) as store:
        await store.create("a", StreamConfig())
        for sequence in ("B", "a", "ä", "\U0001f600"):
            await put(store, "a", b"x", sequence=sequence)
        assert isinstance(await refused(store, "a", b"x", sequence="Z"), SequenceConflict)


async def test_offsets_are_exact_beyond_what_lua_prints(redis: RedisServer, client: Redis) -> None:
    async with RedisStore(redis.url) as store:
        await store.create("a", StreamConfig())
        last = 2**53 - 10
        state = unpack_state(await client.hget(store._keys.state("a"), "state"))
        state = state._replace(last=last, first=last + 1)
        await client.hset(store._keys.state("a"), "state", pack_state(state))
        result = await put(store, "a", b"x", b"y")
        assert (result.first, result.last) == (last + 1, last + 2)
        assert (await store.read("a", last)).records == [(last + 1, b"x"), (last + 2, b"y")]
        assert isinstance(result, Appended)


async def test_scripts_that_the_server_forgot_are_sent_again(redis: RedisServer, client: Redis) -> None:
    async with RedisStore(redis.url) as store:
        await store.create("a", StreamConfig())
        for turn in range(3):
            await client.script_flush()
            results = await store.append([Append(stream="a", records=[b"1"]), Append(stream="a", records=[b"2"])])
            assert [result.last for result in results if isinstance(result, Appended)] == [2 * turn + 1, 2 * turn + 2]
            await client.script_flush()
            assert (await store.read("a", 0)).last == 2 * turn + 2
