"""The reader: one connection per process on which the wake-ups of all its streams arrive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, RedisClusterException, RedisError  # noqa: A004

from tokentape.core.backoff import Backoff
from tokentape.core.errors import TokentapeError
from tokentape.stores.base import Standing
from tokentape.stores.redis.link import Link, end
from tokentape.stores.redis.positions import Positions

log = logging.getLogger("tokentape.store")

BEAT_SECONDS: Final = 5.0
"""A connection that was silent for so long is sent a PING; one that is still silent after as long again is dead."""
CHECK_SECONDS: Final = 5.0
"""How often the positions of streams are looked up that nothing was heard of for as long."""
YIELD_AFTER: Final = 128
"""Streams told of, after which others have their turn: a millisecond or so."""
RECONNECT: Final = Backoff(base=0.05, cap=1.0)

_decode: Final = msgspec.msgpack.Decoder(tuple[str, list[Standing]]).decode


class Reader:
    """Listens for wake-ups, reconnects when the connection is lost, and makes up for those that were missed.

    A wake-up is a hint, in MessagePack: who appended, and where the streams that have grown stand. Those of this
    process are skipped, since the writer tells what it did itself. Whatever is missed is found by a look at the
    positions, after each new connection and every `check_seconds`.
    """

    def __init__(
        self,
        link: Link,
        channel: str,
        positions: Positions,
        tell: Callable[[Standing], None],
        *,
        origin: str,
        others: Mapping[str, Callable[[bytes], int | None]] | None = None,
        check_seconds: float = CHECK_SECONDS,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        """`others` are channels that come by the same connection, and who takes their messages; it may say how many."""
        self._link = link
        self._takers: dict[bytes, Callable[[bytes], int | None]] = {
            channel.encode(): self._take,
            **{name.encode(): take for name, take in (others or {}).items()},
        }
        self._channel = channel
        self._positions = positions
        self._tell = tell
        # As a message of this process begins: an array of two, the first of them its origin.
        self._own = msgspec.msgpack.encode((origin, ()))[:-1]
        self._check_seconds = check_seconds
        self._beat_seconds = beat_seconds
        self.connected = asyncio.Event()
        """Set while it listens."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="tokentape-redis-reader"),
            asyncio.create_task(self._check_now_and_then(), name="tokentape-redis-positions"),
        ]

    async def close(self) -> None:
        await end(self._tasks)

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    connection = await self._link.connect()
                    stack.push_async_callback(_hang_up, connection)
                    await self._subscribe(connection)
                    self.connected.set()
                    if failures:
                        log.warning("wake-ups from Redis at %s arrive again", self._link.where)
                    failures = 0
                    # Only now, when nothing more can be missed.
                    await self._check(older_than=0)
                    await self._receive(connection)
            except (RedisError, RedisClusterException, OSError, TokentapeError) as error:
                if not failures:
                    log.warning("no wake-ups from Redis at %s: %s", self._link.where, type(error).__name__)
            self.connected.clear()
            await asyncio.sleep(RECONNECT.delay(failures, random.random()))  # noqa: S311 - jitter, not a secret
            failures += 1

    async def _subscribe(self, connection: AbstractConnection) -> None:
        await connection.send_command("SUBSCRIBE", *self._takers, check_health=False)
        subscribed = 0
        while subscribed < len(self._takers):
            answer = await connection.read_response(timeout=self._link.target.timeout)
            if answer is None:
                raise ConnectionError("SUBSCRIBE was not answered")
            # Between the answers, messages of the channels before may come.
            if answer[0] == b"subscribe":
                subscribed += 1
            elif answer[0] != b"message":
                raise ConnectionError(f"SUBSCRIBE was answered with {answer[0]!r}")

    async def _receive(self, connection: AbstractConnection) -> None:
        """Takes messages until the connection is dead; it is asked for a sign of life when it is silent."""
        asked = False
        taken = 0
        while True:
            message = await connection.read_response(timeout=self._beat_seconds)
            if message is None:
                if asked:
                    raise ConnectionError("the connection is silent")
                asked = True
                await connection.send_command("PING", check_health=False)
                continue
            asked = False
            taken += 1
            if message[0] == b"message":
                taken += self._takers[message[1]](message[2]) or 0
            if taken >= YIELD_AFTER:
                taken = 0
                await asyncio.sleep(0)  # what has arrived already is read without a pause

    def _take(self, payload: bytes) -> int:
        """Tells what a message says; returns of how many streams that was."""
        if payload.startswith(self._own):
            return 0
        try:
            _, grown = _decode(payload)
        except msgspec.MsgspecError:
            log.warning("a wake-up on channel %r is not one of ours", self._channel)
            return 0
        for standing in grown:
            self._positions.told(standing)
            self._tell(standing)
        return len(grown)

    async def _check_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._check_seconds)
            with contextlib.suppress(TokentapeError):  # said by whoever reads or appends, and by the reader
                await self._check(older_than=self._check_seconds)

    async def _check(self, *, older_than: float) -> None:
        for standing in await self._positions.check(older_than=older_than):
            self._tell(standing)


async def _hang_up(connection: AbstractConnection) -> None:
    with contextlib.suppress(RedisError, OSError):
        await connection.disconnect(nowait=True)
