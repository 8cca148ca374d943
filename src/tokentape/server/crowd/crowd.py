"""The whole crowd: connects, watches for its time, and sees whether all got the same."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable
from typing import Final

from tokentape.core.cursor import Cursor
from tokentape.core.metrics import Histogram, percentiles
from tokentape.server.crowd.connection import Connection, connecting
from tokentape.server.crowd.orders import Delay, Order, Report, State
from tokentape.server.crowd.pieces import Piece, Pieces, Told

AT_ONCE: Final = 64
"""Connections that are being made at a time."""
CONNECT_SECONDS: Final = 30.0
SETTLE_SECONDS: Final = 5.0
"""For those who are behind the first one when the time is over."""
REPORT_SECONDS: Final = 0.5
BACK_SECONDS: Final = (0.2, 1.0)
"""From and to, drawn, after which a connection that was lost is made again; longer with each failure."""
MAX_FAILURES: Final = 5


class Watcher:
    """One of the crowd, over all of its connections."""

    __slots__ = (
        "_connection",
        "_crowd",
        "_failures",
        "_live_from",
        "_settled",
        "digest",
        "gone",
        "last",
        "live",
        "over",
    )

    def __init__(self, crowd: Crowd, last: int) -> None:
        self._crowd = crowd
        self._connection: Connection | None = None
        self._settled: asyncio.Future[None] | None = None
        self._live_from = 0.0
        self._failures = 0
        self.digest = hashlib.blake2b(digest_size=16)
        self.last = last
        self.live = False
        """Its view has begun, on the connection that it has."""
        self.over = False
        """It has everything that there will ever be."""
        self.gone = False
        """It could not go on."""

    async def connect(self) -> None:
        """Returns when the view has begun, or cannot."""
        self._settled = asyncio.get_running_loop().create_future()
        try:
            await self._crowd.dial(self, self.last)
        except OSError as error:
            self._fail(f"No connection: {error.strerror or error}")
        else:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._settled

    def connected(self, connection: Connection) -> None:
        self._connection = connection

    def cut(self) -> None:
        """Lets go of its connection."""
        self.over = True
        if self._connection is not None:
            self._connection.cut()

    # As the one whose connection it is

    def take(self, piece: Piece) -> None:
        if piece.ready:
            self.live, self._failures = True, 0
            self._live_from = time.time() * 1000
            self._settle()
        if piece.gone:
            self.refused("The server had no way to go on from where it was.", over=False)
            self.gone = True
            return
        if piece.events:
            self._crowd.received(self, piece)
            if piece.at >= self._live_from:
                self._crowd.delay(time.time() - piece.at / 1000)
        if piece.error:
            self.refused(piece.error, over=False)
        elif piece.ended:
            self.over = True
            self._crowd.changed()

    def refused(self, why: str, *, over: bool) -> None:
        self.over = self.over or over
        if not over:
            self._crowd.complain(why)
            self._failures += 1
        self._settle()

    def lost(self) -> None:
        self._connection, self.live = None, False
        self._settle()
        if not (self.over or self.gone):
            self._crowd.reconnect(self)
        self._crowd.changed()

    def _fail(self, why: str) -> None:
        self._failures += 1
        self._crowd.complain(why)
        self._settle()
        self._crowd.reconnect(self)

    def _settle(self) -> None:
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(None)

    def pause(self) -> float | None:
        """Seconds before it tries again; None when it gives up."""
        if self._failures >= MAX_FAILURES:
            self.gone = True
            return None
        return random.uniform(*BACK_SECONDS) * float(2**self._failures)  # noqa: S311 - jitter, not a secret


class Crowd:
    """Runs once; `stop` ends it early."""

    def __init__(self, order: Order, tell: Callable[[Report], None]) -> None:
        """`tell` gets a report now and then, and the last one at the end."""
        begin = Cursor.parse(order.cursor)
        self._order = order
        self._epoch = begin.epoch
        self._begin = begin.offset
        self._tell = tell
        self._known = Pieces()
        self._protocol = connecting(order, self._known)
        self._watchers = [Watcher(self, begin.offset) for _ in range(order.watchers)]
        self._state: State = "connecting"
        self._delays = Histogram()
        self._longest = 0.0
        self._received = 0
        self._lost = 0
        self._repeated = 0
        self._reconnected = 0
        self._error: str | None = None
        self._limit: int | None = None
        self._equal: bool | None = None
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Ends it, as when its time is over."""
        self._stopping.set()
        self._changed.set()

    async def run(self) -> None:
        """Its whole life."""
        reporting = asyncio.create_task(self._report_on())
        try:
            await self._connect_all()
            self._state = "watching"
            await self._watch()
            self._compare()
        finally:
            reporting.cancel()
            self._state = "ended"
            for watcher in self._watchers:
                watcher.cut()
            for task in tuple(self._tasks):
                task.cancel()
            self._tell(self.report())

    async def _connect_all(self) -> None:
        turn = asyncio.Semaphore(AT_ONCE)

        async def connect(watcher: Watcher) -> None:
            async with turn:
                if not self._stopping.is_set():
                    await watcher.connect()

        async def connect_all() -> None:
            await asyncio.gather(*map(connect, self._watchers), return_exceptions=True)

        both = [asyncio.create_task(connect_all()), asyncio.create_task(self._stop_early())]
        await asyncio.wait(both, timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()

    async def _stop_early(self) -> None:
        await self._stopping.wait()

    async def _watch(self) -> None:
        await self._until(lambda: self._stopping.is_set() or self._nothing_more(), self._order.seconds)
        # What the first one has, all should get.
        self._limit = max(watcher.last for watcher in self._watchers)
        await self._until(lambda: self._nothing_more() or self._level(), SETTLE_SECONDS)

    def _nothing_more(self) -> bool:
        return all(watcher.over or watcher.gone for watcher in self._watchers)

    def _level(self) -> bool:
        return all(watcher.last == self._limit or watcher.gone for watcher in self._watchers)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass

    def _compare(self) -> None:
        if not self._received:
            return
        whole = [watcher for watcher in self._watchers if not watcher.gone]
        # Where the server went away there is nothing to say of those who were cut.
        if whole:
            self._equal = len({(watcher.last, watcher.digest.digest()) for watcher in whole}) == 1

    # For the watchers

    async def dial(self, watcher: Watcher, last: int) -> None:
        """Connects a watcher; raises `OSError`."""
        order, loop = self._order, asyncio.get_running_loop()
        cursor = str(Cursor(self._epoch, last))
        protocol = self._protocol(watcher, cursor)
        await loop.create_connection(lambda: protocol, order.host, order.port)
        watcher.connected(protocol)

    def reconnect(self, watcher: Watcher) -> None:
        """Its connection is gone: it comes back where it was."""
        pause = watcher.pause()
        if pause is None or self._state == "ended" or self._stopping.is_set():
            watcher.gone = True
            self.changed()
            return
        task = asyncio.get_running_loop().create_task(self._come_back(watcher, pause))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _come_back(self, watcher: Watcher, pause: float) -> None:
        await asyncio.sleep(pause)
        try:
            await watcher.connect()
        except TimeoutError:
            watcher.gone = True
            self.changed()
        self._reconnected += watcher.live

    def received(self, watcher: Watcher, piece: Piece) -> None:
        """A piece with events came."""
        events, last = piece.events, watcher.last
        first, newest = events[0].offset, events[-1].offset
        gapless = newest - first == len(events) - 1
        if (
            first == last + 1
            and (gapless or not self._order.contiguous)
            and (self._limit is None or newest <= self._limit)
        ):
            watcher.digest.update(piece.content)
            watcher.last = newest
            self._received += len(events)
        else:
            for told in events:
                self._take(watcher, told)
        if self._limit is not None:
            self.changed()

    def _take(self, watcher: Watcher, told: Told) -> None:
        if self._limit is not None and told.offset > self._limit:
            return
        self._received += 1
        if told.offset <= watcher.last:
            self._repeated += 1
            return
        if self._order.contiguous:
            self._lost += told.offset - watcher.last - 1
        watcher.digest.update(told.content)
        watcher.last = told.offset

    def delay(self, seconds: float) -> None:
        """An event has arrived so long after it was recorded."""
        self._delays.add(seconds)
        self._longest = max(self._longest, seconds)

    def complain(self, why: str) -> None:
        """Something went wrong; the first of it is told."""
        self._error = self._error or why[:300]

    def changed(self) -> None:
        """Somebody has ended, or got further."""
        self._changed.set()

    # Telling

    async def _report_on(self) -> None:
        while True:
            self._tell(self.report())
            await asyncio.sleep(REPORT_SECONDS)

    def report(self) -> Report:
        """How it is."""
        spread = percentiles(self._delays.counts)
        longest = self._longest if self._delays.count else None
        return Report(
            state=self._state,
            connected=sum(watcher.live for watcher in self._watchers) if self._state != "ended" else 0,
            received=self._received,
            lost=self._lost,
            repeated=self._repeated,
            reconnected=self._reconnected,
            delay=Delay(self._ms(spread.p50), self._ms(spread.p90), self._ms(spread.p99), self._ms(longest)),
            equal=self._equal,
            error=self._error,
        )

    def _ms(self, seconds: float | None) -> float | None:
        # Within its bucket a percentile is a guess, which must not go beyond what was seen.
        return round(min(seconds, self._longest) * 1000, 3) if seconds is not None else None
