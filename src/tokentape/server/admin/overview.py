"""How this process is: what it is, what it has done, and how it does now, once a second."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import time
from typing import Annotated, Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tokentape.server.admin.admin import Admin
from tokentape.server.admin.operation import operation
from tokentape.server.admin.sampler import INTERVAL, KEPT, Sample
from tokentape.server.operations import Answer, Call, answer
from tokentape.server.sse import HEADERS
from tokentape.server.transport import connection_of

_CREDENTIALS: Final = re.compile(r"(?<=://)([^/?#@]*)@")
_SECRET_OPTION: Final = re.compile(r"(?i)([?&][^=&]*password=)[^&]*")
_json: Final = msgspec.json.Encoder()


class StoreSummary(msgspec.Struct, frozen=True):
    """Of which kind the store is, and where; without its password."""

    kind: str
    url: str


class ConnectionCounts(msgspec.Struct, frozen=True):
    """What is open here: event streams, WebSockets, and the other connections of HTTP."""

    sse: int
    websocket: int
    http: int


class RunCounts(msgspec.Struct, frozen=True):
    """Runs that this process executes, and those that wait, anywhere."""

    live: int
    queued: int


class ResumeCounts(msgspec.Struct, frozen=True):
    """How watches began."""

    replayed: int
    snapshot: int
    live: int
    gone: int


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Of this process, since it began."""

    runs: int
    tokens: int
    delivered: int
    """Events to watchers; merged ones count as what they were merged of."""
    bytes_out: int
    resumes: ResumeCounts
    reconnects: int
    aborted: int
    """Watches that ended before what they watched: their client went, or was sent away."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """This process. Times are seconds since the Unix epoch, durations seconds."""

    version: str
    python: str
    instance: str
    pid: int
    started_at: float
    uptime: float
    store: StoreSummary
    instances: int
    """On the same store, with this one."""
    agree: bool
    """Whether they are set alike."""
    workers: int
    connections: ConnectionCounts
    watchers: int
    streams: int
    """Live tails."""
    runs: RunCounts
    sample: Sample
    totals: Totals


class Samples(msgspec.Struct, frozen=True):
    """The oldest first; `interval` is in seconds."""

    interval: float
    samples: list[Sample]


class SamplesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the newest."""

    last: Annotated[int, msgspec.Meta(ge=1, le=KEPT)] = KEPT


async def _overview(_call: Call[None, None], admin: Admin) -> Response:
    services = admin.services
    hub, connections = services.hub, services.connections
    totals = hub.metrics
    open_streams = connections.sse + connections.websocket
    now = time.time()
    return answer(
        Overview(
            version=services.version,
            python=platform.python_version(),
            instance=services.channels.roster.instance,
            pid=os.getpid(),
            started_at=admin.started_at,
            uptime=now - admin.started_at,
            store=StoreSummary(_kind(services.store), without_password(services.address)),
            instances=services.instances.count,
            agree=services.instances.agree,
            workers=services.config.workers,
            connections=ConnectionCounts(
                connections.sse, connections.websocket, max(0, connections.open - open_streams)
            ),
            watchers=hub.watchers(),
            streams=sum(tail.metrics is totals for tail in hub.tails()),
            runs=RunCounts(services.runs.live(), services.runs.counts()[1]),
            sample=admin.sampler.latest,
            totals=Totals(
                runs=services.runs.metrics.started,
                tokens=services.runs.metrics.tokens,
                delivered=totals.delivered,
                bytes_out=totals.bytes_out,
                resumes=ResumeCounts(**totals.outcomes),
                reconnects=totals.reconnects,
                aborted=totals.aborted,
            ),
        )
    )


def _kind(store: object) -> str:
    return type(store).__name__.removesuffix("Store").lower()


def without_password(url: str) -> str:
    """The address of a store as it may be shown."""
    shown = _CREDENTIALS.sub(lambda match: f"{match[1].partition(':')[0]}:***@" if ":" in match[1] else match[0], url)
    return _SECRET_OPTION.sub(r"\1***", shown)


async def _metrics(call: Call[SamplesQuery, None], admin: Admin) -> Response:
    samples = list(admin.sampler.samples)
    return answer(Samples(INTERVAL, samples[-call.query.last :]))


async def _live(_call: Call[None, None], admin: Admin) -> Response:
    return _LiveResponse(admin)


class _LiveResponse(Response):
    """Samples as they are made. Who is slow misses some: each is taken when the one before has been written."""

    def __init__(self, admin: Admin) -> None:
        admin.enter()
        self._admin = admin
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = connection_of(scope, receive)
        deadline = self._admin.services.config.limits.write_deadline
        task = asyncio.current_task()
        assert task is not None, "a request has one"
        gone = False

        def leave() -> None:
            nonlocal gone
            gone = True
            task.cancel()

        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            withdraw = connection.when_lost(leave)
            try:
                sample: Sample | None = self._admin.sampler.latest
                while sample is not None:
                    body = b"data: %b\n\n" % _json.encode(sample)
                    async with asyncio.timeout(deadline):
                        await send({"type": "http.response.body", "body": body, "more_body": True})
                    sample = await self._admin.sampler.next()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                withdraw()
        except asyncio.CancelledError:
            if not gone or task.uncancel() > 0:
                raise
        except TimeoutError:
            connection.abort()
        except OSError:
            pass  # how servers say that the client is gone (ASGI, HTTP version 2.4)
        finally:
            self._admin.leave()


OPERATIONS: Final = (
    operation(
        method="GET",
        path="/overview",
        handle=_overview,
        summary="How this server process is",
        answers={200: (Answer(description="The process", body=Overview),)},
    ),
    operation(
        method="GET",
        path="/metrics",
        handle=_metrics,
        summary="The numbers of the last ten minutes, second by second",
        query=SamplesQuery,
        answers={200: (Answer(description="The samples", body=Samples),)},
    ),
    operation(
        method="GET",
        path="/metrics/live",
        handle=_live,
        summary="The numbers of each second, as they are taken; the newest at once",
        answers={200: (Answer(description="Each as the data of an event", media="text/event-stream"),)},
    ),
)
