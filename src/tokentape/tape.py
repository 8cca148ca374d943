"""The front object of the library: everything composed, for a script, or mounted in any ASGI application."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from tokentape import __version__
from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest
from tokentape.core.transcript import Transcript
from tokentape.dialects.native import Item
from tokentape.hub import Hub
from tokentape.hub.channels import Channels, Publish
from tokentape.hub.sending import OneByOne
from tokentape.providers.base import Part
from tokentape.providers.catalog import Catalog
from tokentape.providers.iterator import IteratorProvider
from tokentape.runs import RunInfo, RunRequest, Runs
from tokentape.server.admin import Admin
from tokentape.server.app import create_app
from tokentape.server.config import ServerConfig, load_config
from tokentape.server.instances import Instances
from tokentape.server.services import Services
from tokentape.server.sse import run_response
from tokentape.server.uring import RingSender
from tokentape.server.watching import find, is_over, watch_of
from tokentape.stores.base import Store
from tokentape.stores.open import open_store


class Tape:
    """Records generations and plays them to anyone.

        tape = Tape("sqlite:///tape.db")
        app = FastAPI(lifespan=tape.lifespan)
        app.mount("/tape", tape.app)

    Without a host application: `async with Tape("memory://") as tape: …`. It opens when entered, in the
    running event loop, and can be entered once.
    """

    def __init__(self, store: str | Store | None = None, *, config: ServerConfig | None = None) -> None:
        """`store` is a URL (`sqlite:///tape.db`, `redis://host`…) or a `Store`; it goes before the configuration's."""
        self.config = config if config is not None else load_config(None, {}, {})
        chosen = store if store is not None else self.config.store
        self.store = open_store(chosen) if isinstance(chosen, str) else chosen
        self.hub = Hub(self.store, sender=RingSender() if self.config.io_uring else OneByOne())
        self.channels = Channels(self.hub, retention=self.config.retention.channels())
        self.catalog = Catalog(self.config.providers)
        self.runs = Runs(self.hub, self.channels, self.catalog, self.config.run_settings())
        self.instances = Instances(self.channels.roster, self.config, __version__)
        self.services = Services(
            self.store,
            self.hub,
            self.runs,
            self.channels,
            self.catalog,
            self.config,
            __version__,
            self.instances,
            address=chosen if isinstance(chosen, str) else "",
        )
        self.app: Starlette = create_app(self.services)
        self._admin: Admin = self.app.state.admin
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.store)
        self._stack.push_async_callback(self.hub.aclose)
        self._stack.push_async_callback(self.catalog.aclose)
        self._stack.push_async_callback(self.channels.aclose)
        await self.runs.open()
        self._stack.push_async_callback(self.runs.drain, 0)
        await self.instances.open()
        # Where it is mounted nobody tells who reaches it: then it is on only where the configuration says so.
        self._admin.open()
        self._stack.push_async_callback(self._admin.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:  # noqa: ARG002 - the shape that hosts call
        """For `FastAPI(lifespan=tape.lifespan)` or Starlette's; runs that are live at the end are `interrupted`."""
        async with self:
            yield

    async def drain(self, seconds: float) -> None:
        """Before an exit: takes nothing new, lets runs finish for so long, then sends the watchers elsewhere."""
        await self.runs.drain(seconds)
        await self.hub.settle()
        self.hub.drain()
        await self._admin.close()

    # Runs

    async def start(self, *, idempotency_key: str | None = None, **request: Any) -> Run:
        """Starts a generation; the arguments are the fields of `POST /v1/runs`, such as `model` and `messages`.

        Raises `BadRequest` for a field that is unknown or of a wrong type, and what `Runs.start` raises.
        """
        info, _ = await self.runs.start(_request(request), key=idempotency_key)
        return Run(self, info)

    async def record(
        self,
        source: AsyncIterable[Any] | Iterable[Any],
        *,
        channel: str | None = None,
        model: str = "iterator",
        metadata: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Records what an iterator of text or events yields, as a run; stopping the run closes the iterator.

        It yields `str`, `Part`, or dicts `{"type", "data"}`.
        """
        fields = {"model": model, "channel": channel, "metadata": metadata or {}}
        request = _request({**fields, "messages": [{"role": "user", "content": ""}]})
        info, _ = await self.runs.start(request, key=idempotency_key, provider=IteratorProvider(source))
        return Run(self, info)

    def run(self, run_id: str) -> Run:
        """A run by its id; raises `RunNotFound`."""
        return Run(self, self.runs.get(run_id))

    # Streams

    async def emit(
        self, kind: str, data: Any, channel: str, *, event_id: str | None = None, persist: bool = True
    ) -> Cursor | None:
        """Publishes one event to a channel, creating it when it is not there; returns its position."""
        return await self.channels.publish(channel, [Publish(type=kind, data=data, id=event_id, persist=persist)])

    async def read(
        self, stream: str, *, after: Cursor | str = "start", merge: bool = True
    ) -> AsyncGenerator[Item, None]:
        """Plays a stream from a position, then live; ends with the run, or when the stream is closed.

        `after` is a cursor, `start`, `now` or `snapshot`; a channel that is not there yet is made. An item of type
        `ready` in mid-stream says that what came before is void (`gone`: it was trimmed, or made anew). With
        `merge` a backlog comes as few events.
        """
        watch = watch_of(stream, await find(self.services, stream), str(after))
        place = watch.place
        async with self.hub.reading(place.stream, watch.start, run=place.run, merge=merge) as reader:
            begun = reader.outcome
            if begun is not None and is_over(watch, begun, closed=False):
                return
            async for item in reader:
                yield item


class Run:
    """A handle on one run."""

    def __init__(self, tape: Tape, info: RunInfo) -> None:
        self._tape = tape
        self.id = info.id
        self.stream = info.stream

    @property
    def info(self) -> RunInfo:
        """What is known of it now."""
        return self._tape.runs.get(self.id)

    async def stop(self, *, detail: str = "request") -> RunInfo:
        """Stops it and keeps the text; waits for the terminal event. Harmless when it has ended."""
        return await self._tape.runs.stop(self.id, detail=detail)

    async def events(self, *, after: Cursor | str = "start") -> AsyncGenerator[Item, None]:
        """Its own events, from its first to its terminal one; after that, `info` says how it ended."""
        async with aclosing(self._tape.read(f"runs/{self.id}", after=after)) as items:
            async for item in items:
                yield item
        await self._tape.runs.settled(self.id)

    async def text(self) -> str:
        """Waits for the end, and returns the whole answer."""
        transcript = Transcript()
        async with aclosing(self.events()) as items:
            async for item in items:
                transcript.apply(item.event)
        return transcript.text(self.id)

    def response(self, request: Request) -> Response:
        """A resumable SSE response for the caller's own route: honours `Last-Event-ID` and `?from=`."""
        return run_response(self._tape.services, self.id, request)


def _request(fields: dict[str, Any]) -> RunRequest:
    try:
        return msgspec.convert(fields, RunRequest)
    except msgspec.ValidationError as error:
        raise BadRequest(f"This run cannot be started: {error}") from None


__all__ = ["Part", "Run", "Tape"]
