"""The same client for code without an event loop: one thread has the loop, and the methods are those of `Client`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tokentape.client.client import Client
from tokentape.client.session import Item, Patience
from tokentape.client.transports import Transport
from tokentape.client.watch import Watch
from tokentape.core.backoff import Backoff
from tokentape.core.resume import From

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingClient, P], T]:
    @wraps(method)
    def call(self: BlockingClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._wait(method(self._client, *args, **kwargs))

    return call


class BlockingClient:
    """Speaks to one server; use it as a context manager, from any number of threads.

        with BlockingClient("http://127.0.0.1:8000") as client:
            run = client.start({"messages": [{"role": "user", "content": "Hello"}]})
            for item in client.watch(f"runs/{run.id}"):
                ...

    Its methods take, return and raise what those of `Client` do.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        transport: Transport = "sse",
        backoff: Backoff | None = None,
        patience: Patience | None = None,
    ) -> None:
        """As `Client`."""
        self._client = Client(url, token=token, transport=transport, backoff=backoff, patience=patience)
        self._running: AbstractContextManager[BlockingPortal] | None = None
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        self._running = start_blocking_portal(name="tokentape-client")
        self._portal = self._running.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes every connection, and ends the thread; runs go on."""
        running, self._running = self._running, None
        if running is not None:
            try:
                self._wait(self._client.aclose())
            finally:
                self._portal = None
                running.__exit__(None, None, None)

    start = _blocking(Client.start)
    stop = _blocking(Client.stop)
    run = _blocking(Client.run)
    runs = _blocking(Client.runs)
    publish = _blocking(Client.publish)
    history = _blocking(Client.history)
    messages = _blocking(Client.messages)
    presence = _blocking(Client.presence)
    streams = _blocking(Client.streams)
    models = _blocking(Client.models)
    healthz = _blocking(Client.healthz)

    def watch(
        self,
        stream: str,
        from_: From | str = "start",
        *,
        merge: bool = True,
        transport: Transport | None = None,
    ) -> BlockingWatch:
        """Plays a stream from a position, then live; as `Client.watch`."""
        return BlockingWatch(self._wait, self._client.watch(stream, from_, merge=merge, transport=transport))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._portal is None:
            work.close()
            raise RuntimeError("This client is not open: use it in a `with` block.")
        future = self._portal.start_task_soon(lambda: work)
        try:
            result: T = future.result()
        except BaseException:
            # Ctrl-C in this thread, for one: what it waited for must not go on.
            future.cancel()
            raise
        return result


class BlockingWatch:
    """An iterator of `Item`; it reconnects by itself, and ends after the terminal event. For one thread at a time."""

    def __init__(self, wait: Callable[[Coroutine[Any, Any, list[Item]]], list[Item]], watch: Watch) -> None:
        self._wait = wait
        self._watch = watch
        self._items: deque[Item] = deque()

    @property
    def position(self) -> From:
        """Where another watch would go on. It may be ahead of the iteration, by what came with the last item."""
        return self._watch.position

    @property
    def reconnections(self) -> int:
        """How many times the connection was lost and tried again."""
        return self._watch.reconnections

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        if not self._items:
            # In batches: each visit to the other thread costs more than an item.
            self._items.extend(self._wait(self._watch.batch()))
        if not self._items:
            raise StopIteration
        return self._items.popleft()

    def close(self) -> None:
        """Lets go of the connection; the run, if it is one, goes on (P6)."""
        self._items.clear()
        self._wait(self._ended())

    async def _ended(self) -> list[Item]:
        await self._watch.aclose()
        return []
