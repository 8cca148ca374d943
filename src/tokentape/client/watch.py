"""A watch with asyncio: the session's machine with a clock, randomness and connections."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from tokentape.client.errors import Unreachable
from tokentape.client.session import (
    Action,
    Begun,
    Connect,
    Deliver,
    Fail,
    Finish,
    Item,
    Lost,
    Opened,
    Session,
    Signal,
    Wait,
    Waited,
)
from tokentape.client.transports import Connection
from tokentape.core.resume import From

Notice = Wait | Opened
"""What a watch tells about its connection: accepted, or lost and tried again after a while."""


class Watch:
    """An asynchronous iterator of `Item`; it reconnects by itself, and ends after the terminal event.

    Reading is what drives it: whoever does not ask for items is a slow watcher, whose backlog the server
    merges. Items of type `ready` tell how the view begins, also again: after `snapshot` and `gone` what
    follows replaces everything that came before. Iteration raises the error with which the server refused,
    or `Unreachable`. Leave it early with `aclose`, or use it as an asynchronous context manager.
    """

    def __init__(
        self,
        session: Session,
        connect: Callable[[From], Connection],
        *,
        notify: Callable[[Notice], None] | None = None,
    ) -> None:
        self._session = session
        self._connect = connect
        self._notify = notify or (lambda _notice: None)
        self._signals: deque[Signal] = deque([Begun()])
        self._due: Action | None = None
        self._connection: Connection | None = None
        self._closed = False

    @property
    def position(self) -> From:
        """Where another watch would go on: everything up to here was delivered, or is void."""
        return self._session.position

    @property
    def reconnections(self) -> int:
        """How many times the connection was lost and tried again."""
        return self._session.reconnections

    @property
    def repeated(self) -> int:
        """How many events the server sent again although they had been delivered; they are not handed out twice."""
        return self._session.repeated

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while not self._closed:
            if self._session.over:
                # Not right after the last item: whoever cancels the closing must not lose it.
                await self.aclose()
                break
            if self._due is None and not self._signals:
                await self._read()
                continue
            action, self._due = self._due or self._step(), None
            match action:
                case Deliver(item):
                    return item
                case Connect(position):
                    await self._open(position)
                case Wait(seconds):
                    await self._drop()
                    self._notify(action)
                    # Queued first: whoever cancels the pause finds the watch ready to connect.
                    self._signals.append(Waited())
                    await asyncio.sleep(seconds)
                case Finish():
                    pass
                case Fail(error):
                    await self.aclose()
                    raise error
                case None:
                    pass
        raise StopAsyncIteration

    async def batch(self, limit: int = 256) -> list[Item]:
        """The next item, and those that have come with it, up to `limit`; none at the end."""
        try:
            items = [await anext(self)]
        except StopAsyncIteration:
            return []
        while len(items) < limit and self._signals and not self._session.over:
            action = self._step()
            if isinstance(action, Deliver):
                items.append(action.item)
            elif action is not None:
                # Whatever it is, it can wait until these have been taken.
                self._due = action
                break
        return items

    def _step(self) -> Action | None:
        signal = self._signals.popleft()
        action = self._session.step(signal, now=time.monotonic(), random=random.random())  # noqa: S311 - jitter
        if isinstance(signal, Opened):
            self._notify(signal)
        return action

    async def aclose(self) -> None:
        """Lets go of the connection; the run, if it is one, goes on (P6)."""
        self._closed = True
        await self._drop()

    async def _open(self, position: From) -> None:
        self._connection = self._connect(position)
        await self._guard(self._connection.open())

    async def _read(self) -> None:
        if self._connection is None:
            self._signals.append(Lost(Unreachable("The connection was let go.")))
        else:
            await self._guard(self._connection.receive())

    async def _guard(self, work: Awaitable[Sequence[Signal]]) -> None:
        try:
            self._signals.extend(await work)
        except BaseException:
            # Cancelled in the middle: what was under way is unknown, so the next reading starts anew.
            await self._drop()
            raise

    async def _drop(self) -> None:
        self._signals.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
