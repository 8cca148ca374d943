"""The HTTP API on a real socket, with a provider that a test leads by the hand, and clients that behave or do not."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
from asgi_servers import SERVERS
from scripted import FINISH, ScriptedModels, ScriptedProvider
from starlette.applications import Starlette
from starlette.routing import Mount
from wire import PATIENCE, Reply, Stream, Wire

from tokentape.core.sse import ServerSentEvent
from tokentape.hub import Hub, HubLimits
from tokentape.hub.channels import Channels, Publish
from tokentape.providers.catalog import ModelInfo
from tokentape.runs import Runs
from tokentape.server.app import create_app
from tokentape.server.config import ServerConfig, load_config
from tokentape.server.instances import Instances
from tokentape.server.serve import serve
from tokentape.server.services import Services
from tokentape.stores.base import Store
from tokentape.stores.memory import MemoryStore
from tokentape.stores.sqlite import SqliteStore

OURS = "ours"
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


class Models(ScriptedModels):
    def models(self) -> list[ModelInfo]:
        return [ModelInfo(name=p.name, provider=p.name, model=f"{p.name}-1", default=True) for p in self.providers]


class Audience:
    """Tells when watchers come and go."""

    def __init__(self, hub: Hub) -> None:
        self._changed = asyncio.Event()
        hub.on_audience.append(self._tell)

    def _tell(self, stream: str, count: int) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class Footprint:
    """What this process has at work and open: tasks and descriptors."""

    def __init__(self) -> None:
        self._tasks, self._descriptors = self._now()

    @staticmethod
    def _now() -> tuple[int, int]:
        return len(asyncio.all_tasks()), psutil.Process().num_fds()

    async def back(self) -> None:
        """Waits until there are no more tasks and descriptors than there were."""
        async with asyncio.timeout(PATIENCE):
            while True:
                tasks, descriptors = self._now()
                if tasks <= self._tasks and descriptors <= self._descriptors:
                    return
                await asyncio.sleep(0.01)

    async def closed(self) -> None:
        """Waits until there are no more descriptors than there were."""
        async with asyncio.timeout(PATIENCE):
            while self._now()[1] > self._descriptors:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)


@dataclass
class Rig:
    services: Services
    provider: ScriptedProvider
    app: Starlette
    url: str
    session: aiohttp.ClientSession
    audience: Audience
    stop: asyncio.Event
    serving: asyncio.Task

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def ask(self, method: str, path: str, body=None, **headers: str) -> Reply:
        """A request as a client that behaves sends it; the names of headers with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        async with (
            asyncio.timeout(PATIENCE),
            self.session.request(method, self.url + path, data=data, headers=sent) as r,
        ):
            return Reply(r.status, {k.lower(): v for k, v in r.headers.items()}, await r.read())

    async def publish(self, channel: str, data) -> None:
        """An event on a channel, without the way through HTTP."""
        await self.services.channels.publish(channel, [Publish(type="app:x", data=data)])

    async def start(self, *steps, **request) -> str:
        """Starts a run that says these steps; returns its id."""
        self.provider.say(*steps)
        reply = await self.ask("POST", "/v1/runs", {**HELLO, **request})
        assert reply.status == 201, reply
        return reply.json["id"]

    async def finished(self, *tokens: str, **request) -> str:
        """A run that has said these tokens and ended."""
        run = await self.start(*tokens, FINISH, **request)
        async with self.stream(f"/v1/runs/{run}/events") as events:
            assert await events.rest() == "whole"
        return run

    @asynccontextmanager
    async def stream(
        self, path: str, *, method: str = "GET", body=None, rcvbuf: int = 0, **headers: str
    ) -> AsyncIterator["Stream"]:
        """An event stream, read by hand; closed without a word."""
        stream = await Stream.open(self.port, path, method=method, body=body, headers=headers, rcvbuf=rcvbuf)
        try:
            yield stream
        finally:
            stream.close()

    @asynccontextmanager
    async def wire(self, *, rcvbuf: int = 0) -> AsyncIterator[Wire]:
        """A connection for any number of requests; closed without a word."""
        wire = await Wire.open(self.port, rcvbuf=rcvbuf)
        try:
            yield wire
        finally:
            wire.close()

    async def footprint(self) -> Footprint:
        """What the process has now, with all that is made when it is first needed."""
        await self.publish("warm", {})
        await self.ask("GET", "/healthz")
        return Footprint()

    async def nobody_watches(self) -> None:
        """Waits until the server has let go of every watcher."""
        await self.audience.until(lambda: not self.services.hub.watchers())

    async def somebody_watches(self) -> None:
        await self.audience.until(self.services.hub.watchers)

    async def unready(self) -> None:
        """Waits until the server says that it is going away."""
        async with asyncio.timeout(PATIENCE):
            while (await self.ask("GET", "/readyz")).status == 200:
                pass

    async def end(self) -> None:
        """What SIGTERM does."""
        self.stop.set()
        async with asyncio.timeout(PATIENCE):
            await self.serving


def data_of(events: list[ServerSentEvent]) -> list:
    return [json.loads(event.data) for event in events if event.data != "[DONE]"]


def text_of(events: list[ServerSentEvent]) -> str:
    return "".join(event["data"] for event in data_of(events) if event["type"] == "token")


@asynccontextmanager
async def running_server(
    tmp_path: Path | None = None,
    *,
    server: str = OURS,
    store: Store | None = None,
    ring: int = 1024,
    mount: str = "",
    host: Callable[[Starlette], Starlette] | None = None,
    **settings,
) -> AsyncIterator[Rig]:
    """A server on a free port. Settings have `__` for the dot: `limits__heartbeat=0.1`.

    With `tmp_path` it keeps its streams in SQLite there. `server` is one of `SERVERS` instead of our own.
    With `mount` it is under that path of another application; `host` makes one of its own around it.
    """
    overrides = {name.replace("__", "."): value for name, value in settings.items()}
    config = load_config(None, {}, {"port": 0, **overrides})
    opened = store or (SqliteStore(tmp_path / "tape.db") if tmp_path is not None else MemoryStore())
    async with opened, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout()) as session:
        hub = Hub(opened, HubLimits(ring_records=ring))
        channels = Channels(hub, retention=config.retention.channels())
        provider = ScriptedProvider()
        models = Models(provider)
        runs = Runs(hub, channels, models, config.run_settings())
        await runs.open()
        app = create_app(
            Services(opened, hub, runs, channels, models, config, "0", Instances(channels.roster, config, "0"))
        )
        served = app
        if mount:
            served = Starlette(routes=[Mount(mount, app)])
        elif host is not None:
            served = host(app)
        served.state.readiness = app.state.readiness

        async def drain() -> None:
            await runs.drain(config.shutdown_grace)
            await hub.settle()
            hub.drain()

        stop = asyncio.Event()
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            _serve_under(server, served, drain, ready.set_result, stop)
            if server != OURS
            else serve(served, config, drain=drain, on_ready=ready.set_result, stop=stop)
        )
        await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        rig = Rig(app.state.services, provider, app, await ready, session, Audience(hub), stop, serving)
        try:
            yield rig
        finally:
            for run in [*runs.list(state="queued"), *runs.list(state="running")]:
                await runs.stop(run.id)
            hub.drain()
            await rig.end()
            await channels.aclose()
            await hub.aclose()


async def _serve_under(name: str, app: Starlette, drain, on_ready, stop: asyncio.Event) -> None:
    leave = asyncio.Event()
    serving = asyncio.create_task(
        SERVERS[name](app, lambda port: on_ready(f"http://127.0.0.1:{port}"), leave), name=name
    )
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    app.state.readiness.draining = True
    await drain()
    leave.set()
    await serving


def serving_config(**settings) -> ServerConfig:
    return load_config(None, {}, {name.replace("__", "."): value for name, value in settings.items()})
