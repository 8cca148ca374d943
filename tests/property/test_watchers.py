"""P1, P2 and P5 for any interleaving: whoever watches, however slowly, cut and resumed, has seen the log."""

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st
from outlets import ManualOutlet

from tokentape.core.cursor import Cursor
from tokentape.core.events import Event
from tokentape.core.merge import entries
from tokentape.core.transcript import Transcript
from tokentape.dialects import native
from tokentape.hub import Hub, HubLimits, View
from tokentape.stores.base import Append, StreamConfig
from tokentape.stores.memory import MemoryStore


class Follower:
    """A client that assembles what it gets, and resumes from its last cursor."""

    def __init__(self, hub: Hub, luck: random.Random, *, merge: bool) -> None:
        self._hub = hub
        self._luck = luck
        self._merge = merge
        self._outlet = ManualOutlet(capacity=0)
        self._taken = 0
        self.cursor: Cursor | None = None
        self.seen = Transcript()
        self.offsets: list[int] = []

    async def connect(self) -> None:
        self._outlet = ManualOutlet(capacity=self._luck.choice([1, 40, 1_000_000]), direct=self._luck.random() < 0.5)
        self._taken = 0
        start = self.cursor or "start"
        watcher = await self._hub.attach("s", start, View(native.items, "s", merge=self._merge), self._outlet)
        watcher.start()
        assert self._outlet.begun[0].outcome in ("replayed", "live")

    def read(self) -> None:
        """Takes what has arrived, as far as a random cut lets it."""
        items = self._outlet.items[self._taken :]
        for item in items[: self._luck.randint(0, len(items))]:
            self._take(item)

    def _take(self, item) -> None:
        self._taken += 1
        self.cursor = item.cursor
        self.offsets.append(item.cursor.offset)
        self.seen.apply(item.event)

    def cut(self) -> None:
        if self._outlet.watcher is not None:
            self._outlet.watcher.lost()

    def drain(self) -> None:
        """Makes room, as a client that reads does."""
        self._outlet.capacity += 200
        if self._outlet.watcher is not None:
            self._outlet.watcher.resume()

    async def finish(self, last: int) -> None:
        self._outlet.capacity = 10**9
        if self._outlet.watcher is not None:
            self._outlet.watcher.resume()
        await self._outlet.until(lambda: self._outlet.offsets[-1:] == [last] or self.offsets[-1:] == [last])
        for item in self._outlet.items[self._taken :]:
            self._take(item)


@given(seed=st.integers(0, 2**32))
def test_every_follower_has_seen_the_log(seed: int) -> None:
    asyncio.run(_play(random.Random(seed)))


async def _play(luck: random.Random) -> None:
    async with MemoryStore() as store:
        hub = Hub(store, HubLimits(ring_records=luck.choice([1, 4, 64]), ring_bytes=luck.choice([50, 5000])))
        await store.create("s", StreamConfig())
        followers = [Follower(hub, luck, merge=luck.random() < 0.7) for _ in range(3)]
        for _ in range(luck.randint(5, 40)):
            follower = luck.choice(followers)
            match luck.choice(["write", "write", "connect", "read", "cut", "drain", "turn"]):
                case "write":
                    count = luck.randint(1, 6)
                    events = [
                        Event(
                            type=luck.choice(["token", "token", "status"]), run=luck.choice(["r_1", "r_2"]), data=str(n)
                        )
                        for n in range(count)
                    ]
                    await hub.append(Append(stream="s"), events)
                case "connect":
                    follower.cut()
                    await follower.connect()
                case "read":
                    follower.read()
                case "cut":
                    follower.cut()
                case "drain":
                    follower.drain()
                case "turn":
                    await asyncio.sleep(0)
        await hub.append(Append(stream="s"), [Event(type="done", run="r_1", data={})])
        info = await store.info("s")
        truth = Transcript()
        page = await store.read("s", 0)
        truth.apply_all((entry.offset, entry.event) for entry in entries(page.records))
        for follower in followers:
            follower.cut()
            await follower.connect()
            await follower.finish(info.last)
            assert follower.offsets == sorted(set(follower.offsets))
            assert [(m.run, m.content) for m in follower.seen.messages()] == [
                (m.run, m.content) for m in truth.messages()
            ]
        await hub.aclose()
