"""The Redis store as the rest of tokentape sees it: coroutines over scripts that change a stream in one atomic step."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
from asyncio import Future
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
from redis.exceptions import RedisClusterException, RedisError

from tokentape.core.errors import CursorGone, StreamExists, TokentapeError
from tokentape.core.findings import Finding
from tokentape.stores.base import Append, Appended, Page, Standing, StreamConfig, StreamInfo
from tokentape.stores.broadcast import Hearer, Hearers
from tokentape.stores.log import fresh_epoch, not_found, plain_config
from tokentape.stores.redis.broadcast import Broadcaster
from tokentape.stores.redis.diagnosis import diagnose
from tokentape.stores.redis.entries import FUTURE, NOT_FOUND, TRIMMED, Entry
from tokentape.stores.redis.index import Index
from tokentape.stores.redis.keys import Keys
from tokentape.stores.redis.leases import RedisLeases
from tokentape.stores.redis.link import Link, end
from tokentape.stores.redis.opening import check_server, refused
from tokentape.stores.redis.positions import Positions
from tokentape.stores.redis.presence import RedisPresence
from tokentape.stores.redis.queue import RedisQueues
from tokentape.stores.redis.reader import CHECK_SECONDS, Reader
from tokentape.stores.redis.reads import Reads
from tokentape.stores.redis.scripts import CREATE, DELETE, Command
from tokentape.stores.redis.state import FIELDS, read_info
from tokentape.stores.redis.url import Target, parse_url
from tokentape.stores.redis.writer import Writer
from tokentape.stores.retention import Clock

log = logging.getLogger("tokentape.store")


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes that hardly anybody changes."""

    connections: int = 8
    """For everything but appending and wake-ups, which have one each (per node of a cluster)."""
    max_queued: int = 100_000
    max_queued_bytes: int = 67_108_864
    """What may wait while Redis is slow or away, in entries and in bytes."""
    check_seconds: float = CHECK_SECONDS
    """How often the positions of silent streams are looked up, should a wake-up have been lost."""


class RedisStore(RedisLeases, RedisPresence, RedisQueues):
    """Streams in Redis or Valkey, with all capabilities, for many processes and machines.

    What is accepted survives what Redis survives, as it is configured (appendonly, appendfsync, replicas). Where it
    comes back with less than it had accepted, streams that this process knows get a new epoch, so that old positions
    are `gone` instead of wrong. Opening raises `SetupError`; calls raise `StoreUnavailable` when Redis cannot be
    reached or does not answer in time, and `StoreFull` when its memory is full; reading goes on then.

    All times are those of the server's clock. The clocks are for tests: they take its place.
    """

    def __init__(
        self,
        target: Target | str,
        *,
        now: Callable[[], float] | None = None,
        monotonic: Callable[[], float] | None = None,
        tuning: Tuning | None = None,
    ) -> None:
        self._target = parse_url(target) if isinstance(target, str) else target
        self._tuning = tuning or Tuning()
        self._keys = Keys(self._target.prefix, self._target.db)
        self._clock = Clock(now, monotonic) if now is not None and monotonic is not None else None
        self._listeners: dict[Callable[[Standing], None], None] = {}
        RedisQueues.__init__(self)
        self._hearers = Hearers()

    async def __aenter__(self) -> Self:
        """Connects, and looks whether this Redis will do; raises `SetupError`."""
        self._link = Link(self._target, connections=self._tuning.connections)
        self._writing = Link(self._target, connections=1)
        self._taking = Link(self._target, connections=1)
        try:
            try:
                await self._link.open()
                await self._writing.open()
            except (RedisError, RedisClusterException, OSError) as error:
                raise refused(error, str(self._target)) from None
            await check_server(self._link)
        except BaseException:
            await self._disconnect()
            raise
        self._loop = asyncio.get_running_loop()
        origin = secrets.token_hex(6)
        self._positions = Positions(self._link, self._keys, self._time)
        self._index = Index(self._link, self._keys)
        self._reads = Reads(self._link, self._keys, self._time, under_way=self._tuning.connections)
        self._writer = Writer(
            self._writing,
            self._keys,
            origin=origin,
            clock=self._time,
            accepted=self._accepted,
            max_queued=self._tuning.max_queued,
            max_queued_bytes=self._tuning.max_queued_bytes,
        )
        self._broadcaster = Broadcaster(self._link, self._keys.broadcasts, origin=origin, tell=self._hearers.tell)
        self._reader = Reader(
            self._link,
            self._keys.channel,
            self._positions,
            self._tell,
            others={self._keys.broadcasts: self._broadcaster.take},
            origin=origin,
            check_seconds=self._tuning.check_seconds,
        )
        self._sweeper = asyncio.create_task(self._index.sweep_for_ever(), name="tokentape-redis-sweeper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Finishes what was handed in, then closes all connections."""
        await end([self._sweeper])
        await self._writer.finish()
        await self._broadcaster.finish()
        await self._reader.close()
        await self._reads.close()
        await self._disconnect()

    async def _disconnect(self) -> None:
        for link in (self._link, self._writing, self._taking):
            with contextlib.suppress(RedisError, RedisClusterException, OSError):
                await link.close()

    async def create(self, name: str, config: StreamConfig) -> tuple[StreamInfo, bool]:
        """Creates a stream; see `Store.create`."""
        config = plain_config(config)
        epoch, retention = fresh_epoch(), config.retention
        make = CREATE.command(
            self._keys.stream(name),
            *self._time(),
            epoch,
            msgspec.json.encode(config),
            _ms(retention.idle),
            _ms(retention.after_close),
            retention.expires_at,
            retention.max_bytes,
            *FIELDS,
        )
        add = self._index.adding(name)
        _, fields, _ = await self._link.ask([add, make, add])
        info, _ = read_info(name, fields)
        if info.config != config:
            raise StreamExists(f"Stream {name!r} exists with another configuration. Use that one, or delete it first.")
        # Told by the epoch and not by the script's answer, which may be that of a second attempt.
        return info, info.epoch == epoch

    async def append(self, batch: Sequence[Append]) -> list[Appended | TokentapeError]:
        """Appends a batch; see `Store.append`. Raises `StoreUnavailable` when Redis could take nothing of it."""
        # A caller that is cancelled cancels the answer, and not the work.
        return await self.submit(batch)

    def submit(self, batch: Sequence[Append]) -> Future[list[Appended | TokentapeError]]:
        """Appends a batch; see `Submitting.submit`."""
        return self._writer.append(batch)

    async def read(self, name: str, after: int, *, max_bytes: int = 262_144, max_records: int = 10_000) -> Page:
        """Reads on from `after`; see `Store.read`."""
        answer = await self._reads.page(name, after, max_bytes=max_bytes, max_records=max_records)
        if answer[0] == NOT_FOUND:
            raise not_found(name)
        if answer[0] == FUTURE:
            raise CursorGone(
                f"Offset {after} of {name!r} lies in the future: the last one is {answer[1]}.", reason="future"
            )
        if answer[0] == TRIMMED:
            raise CursorGone(
                f"Offset {after + 1} of {name!r} is no longer kept: the first one is {answer[1]}.", reason="trimmed"
            )
        _, raw_epoch, last, closed, *records = answer
        page = Page(raw_epoch.decode(), list(enumerate(records, after + 1)), last, bool(closed))
        self._positions.saw(Standing(name, page.epoch, last, page.closed))
        return page

    async def delete(self, name: str) -> None:
        """Deletes a stream; raises `StreamNotFound`."""
        self._positions.forget(name)
        remove = DELETE.command(self._keys.stream(name), *self._time())
        answers = await self._link.ask([remove, self._index.removing(name)])
        # Made anew by another process meanwhile, its name would be missing.
        await self._index.restore(name)
        if not answers[0]:
            raise not_found(name)

    async def diagnose(self) -> list[Finding]:
        """What an operator should know of the server."""
        return await diagnose(self._link)

    async def info(self, name: str) -> StreamInfo:
        """The stream as it is now; raises `StreamNotFound`."""
        [fields] = await self._link.ask([self._asking(name)])
        return self._info(name, fields)

    async def list(self, prefix: str = "", *, after: str = "", limit: int = 100) -> list[StreamInfo]:
        """Streams by name; see `Listing.list`."""
        found: list[StreamInfo] = []
        while len(found) < limit:
            wanted = limit - len(found)
            names = await self._index.names(prefix, after, wanted)
            if not names:
                break
            gone = []
            for name, fields in zip(names, await self._link.ask([self._asking(name) for name in names]), strict=True):
                try:
                    found.append(self._info(name, fields))
                except TokentapeError:
                    gone.append(name)
            if gone:
                await self._index.prune(gone)
            if len(names) < wanted:
                break
            after = names[-1]
        return found

    def notify(self, listener: Callable[[Standing], None]) -> Callable[[], None]:
        """Calls back after appends of any process; see `Notifying.notify`."""
        self._listeners[listener] = None
        return lambda: self._listeners.pop(listener, None)

    def broadcast(self, stream: str, record: bytes) -> None:
        """Tells every listener of every process; see `Broadcasting.broadcast`."""
        self._broadcaster.send(stream, record)

    def listen(self, hearer: Hearer) -> Callable[[], None]:
        """Hears the broadcasts of every process; see `Broadcasting.listen`."""
        return self._hearers.add(hearer)

    def _accepted(self, entries: Sequence[Entry]) -> None:
        """A round is done: who waits for an answer gets it before anybody is told."""
        standings: dict[str, Standing] = {}
        for entry in entries:
            if isinstance(done := entry.result, Appended):
                stream = entry.append.stream
                standings[stream] = Standing(stream, done.epoch, done.last, done.closed)
        for standing in standings.values():
            self._positions.saw(standing)
        if self._listeners and standings:
            self._loop.call_soon(self._tell_all, [*standings.values()])

    def _tell_all(self, standings: Sequence[Standing]) -> None:
        for standing in standings:
            self._tell(standing)

    def _tell(self, standing: Standing) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(standing)
            except Exception:
                log.exception("a listener failed at %r", standing)

    def _asking(self, name: str) -> Command:
        return ("HMGET", self._keys.state(name), *FIELDS)

    def _info(self, name: str, fields: Sequence[bytes | None]) -> StreamInfo:
        info, state = read_info(name, fields)
        # With clocks of our own Redis does not know when a stream has run out.
        if self._clock is not None and state.ran_out(*self._time()):
            raise not_found(name)
        return info

    def _time(self) -> tuple[Any, Any]:
        """What the scripts take as their clocks; empty for the server's."""
        if self._clock is None:
            return "", ""
        return self._clock.wall_ms(), round(self._clock.steady() * 1000)


def _ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)
