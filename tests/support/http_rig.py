"""The HTTP API on a real socket, with a provider that a test leads by the hand, and clients that behave or do not."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvicorn
from scripted import FINISH, ScriptedModels, ScriptedProvider
from starlette.applications import Starlette
from starlette.routing import Mount

from tokentape.core.sse import ServerSentEvent, SseDecoder
from tokentape.hub import Hub, HubLimits
from tokentape.hub.channels import Channels, Publish
from tokentape.providers.catalog import ModelInfo
from tokentape.runs import Runs
from tokentape.server.app import create_app
from tokentape.server.config import ServerConfig, load_config
from tokentape.server.serve import serve
from tokentape.server.services import Services
from tokentape.stores.base import Store
from tokentape.stores.memory import MemoryStore
from tokentape.stores.sqlite import SqliteStore

PATIENCE = 10
"""Seconds that a test waits for what must come."""
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


class Models(ScriptedModels):
    def models(self) -> list[ModelInfo]:
        return [ModelInfo(name=p.name, provider=p.name, model=f"{p.name}-1", default=True) for p in self.providers]


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Audience:
    """Tells when watchers come and go."""

    def __init__(self, hub: Hub) -> None:
        self._changed = asyncio.Event()
        self._before = hub.on_audience
        hub.on_audience = self._tell

    def _tell(self, stream: str, count: int) -> None:
        self._before(stream, count)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


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


@dataclass
class Stream:
    """One response, chunk by chunk: it knows how the response ended."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int
    headers: dict[str, str]
    decoder: SseDecoder = field(default_factory=SseDecoder)
    events: list[ServerSentEvent] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    ending: str | None = None
    """`whole` with the end of the response, `cut` without."""

    @classmethod
    async def open(
        cls, port: int, path: str, *, method: str = "GET", body=None, headers: dict[str, str], rcvbuf: int = 0
    ) -> "Stream":
        sock = socket.socket()
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=2**16)
        data = json.dumps(body).encode() if body is not None else b""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + data)
        async with asyncio.timeout(PATIENCE):
            status = int((await reader.readline()).split()[1])
            given = {}
            while (line := (await reader.readline()).decode().strip()) != "":
                name, _, value = line.partition(": ")
                given[name.lower()] = value
        return cls(reader, writer, status, given)

    async def next(self) -> ServerSentEvent:
        """The next event."""
        while not self.events:
            assert await self._read(), f"the response is {self.ending}"
        return self.events.pop(0)

    async def until(self, kind: str) -> list[ServerSentEvent]:
        """The next events, up to the first of a type."""
        found = [await self.next()]
        while json.loads(found[-1].data)["type"] != kind:
            found.append(await self.next())
        return found

    async def rest(self) -> str:
        """Reads to the end, and tells which it was."""
        while await self._read():
            pass
        return self.ending

    async def _read(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                size = int(await self.reader.readline() or b"-1", 16)
                chunk = await self.reader.readexactly(size + 2) if size >= 0 else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            size = -1
        if size <= 0:
            self.ending = "whole" if size == 0 else "cut"
            return False
        self.raw += chunk[:-2]
        self.events += self.decoder.receive_data(chunk[:-2])
        return True

    def pause(self) -> None:
        """Reads nothing any more: what is under way fills the buffers between."""
        self.writer.transport.pause_reading()

    def resume(self) -> None:
        if not self.writer.transport.is_closing():
            self.writer.transport.resume_reading()

    def close(self) -> None:
        self.writer.transport.abort()


def data_of(events: list[ServerSentEvent]) -> list:
    return [json.loads(event.data) for event in events if event.data != "[DONE]"]


def text_of(events: list[ServerSentEvent]) -> str:
    return "".join(event["data"] for event in data_of(events) if event["type"] == "token")


@asynccontextmanager
async def running_server(
    tmp_path: Path | None = None,
    *,
    plain: bool = False,
    store: Store | None = None,
    ring: int = 1024,
    mount: str = "",
    **settings,
) -> AsyncIterator[Rig]:
    """A server on a free port. Settings have `__` for the dot: `limits__heartbeat=0.1`.

    With `tmp_path` it keeps its streams in SQLite there. With `plain` it is uvicorn's own protocol, without ours.
    With `mount` it is under that path of another application.
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
        app = create_app(Services(opened, hub, runs, channels, models, config, "0"))
        served = app
        if mount:
            served = Starlette(routes=[Mount(mount, app)])
            served.state.readiness = app.state.readiness

        async def drain() -> None:
            await runs.drain(config.shutdown_grace)
            hub.drain()

        stop = asyncio.Event()
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            _serve_plain(served, drain, ready.set_result, stop)
            if plain
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


async def _serve_plain(app: Starlette, drain, on_ready, stop: asyncio.Event) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http="httptools", lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=5
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    on_ready(f"http://127.0.0.1:{listener.getsockname()[1]}")
    await stop.wait()
    app.state.readiness.draining = True
    await drain()
    await server.shutdown(sockets=[listener])


def serving_config(**settings) -> ServerConfig:
    return load_config(None, {}, {name.replace("__", "."): value for name, value in settings.items()})
