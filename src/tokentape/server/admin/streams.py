"""The live streams of this process, and who watches them: from where, how far, and how far behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from heapq import nlargest
from typing import Final, Literal

import msgspec
from starlette.responses import Response

from tokentape.core.cursor import Cursor
from tokentape.core.errors import NotFound, ShuttingDown
from tokentape.core.events import check_stream_name
from tokentape.hub import Watcher
from tokentape.hub.channels import CHANNEL, RUN_STREAMS
from tokentape.hub.tail import Tail
from tokentape.server.admin.admin import Admin
from tokentape.server.admin.operation import Limit, Search, operation
from tokentape.server.operations import Answer, Call, answer
from tokentape.server.services import Services
from tokentape.server.transport import Peer, Reaching

IN_PROCESS: Final = Peer("process", None)
"""The application itself, by `Tape.read` and the like."""


class StreamRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that is, or was a moment ago, watched or written through this process."""

    stream: str
    kind: Literal["run", "channel", "other"]
    head: str | None
    """The position of its newest event; null until that is known."""
    events: int
    """That it has ever had: the offset of the newest one."""
    watchers: int
    lag: int
    """Events by which the last of its watchers is behind."""
    ring_bytes: int
    """In memory, for those who are a little behind."""
    idle: float | None
    """Seconds since its newest event, if that is in memory."""
    state: Literal["open", "closed"]
    present: int | None
    """Members, where this process follows its presence."""


class StreamRows(msgspec.Struct, frozen=True):
    """The most watched first; `total` counts all that match."""

    total: int
    streams: list[StreamRow]


class AdminStreamsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which streams."""

    q: Search = ""
    limit: Limit = 100


class WatcherRow(msgspec.Struct, frozen=True, kw_only=True):
    """One watch."""

    id: str
    """Good for as long as it lasts, in this process."""
    transport: str
    """`sse`, `websocket`, `long-poll`, or `process` for the application itself."""
    format: str
    address: str | None
    since: float
    """Seconds since the Unix epoch."""
    age: float
    """Seconds that it has lasted."""
    cursor: str
    lag: int
    """Events that it has not been sent."""
    paused: bool
    """Its connection takes nothing now."""
    run: str | None
    """Where it sees one run of a channel."""


class WatcherRows(msgspec.Struct, frozen=True):
    """The furthest behind first; `total` counts all."""

    total: int
    watchers: list[WatcherRow]


class WatchersQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How many."""

    limit: Limit = 100


class Disconnected(msgspec.Struct, frozen=True):
    disconnected: bool


def lag_of(tail: Tail | None) -> int:
    """Events by which the last watcher of a stream is behind."""
    return max((_lag(watcher) for watcher in tail.attached), default=0) if tail is not None else 0


def _lag(watcher: Watcher) -> int:
    tail = watcher.tail
    # Where the stream was made anew, all of it is ahead.
    behind = watcher.cursor if tail.epoch == watcher.ready.cursor.epoch else 0
    return max(0, tail.head - behind)


def _tails(services: Services) -> Iterator[Tail]:
    """Those that are not the server's own."""
    return (tail for tail in services.hub.tails() if tail.metrics is services.hub.metrics)


async def _list(call: Call[AdminStreamsQuery, None], admin: Admin) -> Response:
    sought = call.query.q.lower()
    found = [tail for tail in _tails(admin.services) if not sought or sought in tail.name.lower()]
    shown = nlargest(call.query.limit, found, key=lambda tail: (len(tail.attached), tail.last_at))
    now = time.time()
    return answer(StreamRows(len(found), [_row(admin.services, tail, now) for tail in shown]))


def _row(services: Services, tail: Tail, now: float) -> StreamRow:
    roster = services.channels.roster
    return StreamRow(
        stream=tail.name,
        kind=_kind(tail),
        head=str(Cursor(tail.epoch, tail.head)) if tail.epoch is not None else None,
        events=tail.head,
        watchers=len(tail.attached),
        lag=lag_of(tail),
        ring_bytes=tail.ring_bytes,
        idle=max(0.0, now - tail.last_at / 1000) if tail.last_at else None,
        state="closed" if tail.closed else "open",
        present=len(roster.known(tail.name)) if roster.following(tail.name) else None,
    )


def _kind(tail: Tail) -> Literal["run", "channel", "other"]:
    if tail.name.startswith(RUN_STREAMS):
        return "run"
    return "channel" if tail.kind == CHANNEL else "other"


async def _watchers(call: Call[WatchersQuery, None], admin: Admin) -> Response:
    tail = admin.services.hub.tail(check_stream_name(call.path("name")))
    found = tuple(tail.attached) if tail is not None else ()
    shown = nlargest(call.query.limit, found, key=lambda watcher: (_lag(watcher), -watcher.number))
    now = time.time()
    return answer(WatcherRows(len(found), [_watcher(admin.services, watcher, now) for watcher in shown]))


def _watcher(services: Services, watcher: Watcher, now: float) -> WatcherRow:
    outlet = watcher.outlet
    peer = outlet.peer if isinstance(outlet, Reaching) else IN_PROCESS
    return WatcherRow(
        id=_id(services, watcher),
        transport=peer.transport,
        format=watcher.view.format,
        address=peer.address,
        since=watcher.since,
        age=max(0.0, now - watcher.since),
        cursor=str(Cursor(watcher.ready.cursor.epoch, watcher.cursor)),
        lag=_lag(watcher),
        paused=not outlet.writable,
        run=watcher.view.run,
    )


def _id(services: Services, watcher: Watcher) -> str:
    # With the instance: behind one address there may be several processes, each with numbers of its own.
    return f"w_{services.channels.roster.instance}_{watcher.number}"


async def _disconnect(call: Call[None, None], admin: Admin) -> Response:
    wanted = call.path("watcher")
    for tail in _tails(admin.services):
        for watcher in tail.attached:
            if _id(admin.services, watcher) == wanted:
                # As when the server goes away: every client comes back from that by itself, with its cursor.
                watcher.shut_down(ShuttingDown("This connection was ended by an operator; reconnect with your cursor."))
                return answer(Disconnected(disconnected=True))
    raise NotFound(f"There is no watcher {wanted[:80]!r} in this process; it may have gone.")


OPERATIONS: Final = (
    operation(
        method="GET",
        path="/streams",
        handle=_list,
        summary="List the live streams of this process, the most watched first",
        query=AdminStreamsQuery,
        answers={200: (Answer(description="The streams", body=StreamRows),)},
    ),
    operation(
        method="GET",
        path="/streams/{name:path}/watchers",
        handle=_watchers,
        summary="List who watches a stream through this process, the furthest behind first",
        query=WatchersQuery,
        answers={200: (Answer(description="The watchers", body=WatcherRows),)},
    ),
    operation(
        method="POST",
        path="/watchers/{watcher}/disconnect",
        handle=_disconnect,
        summary="Cut the connection of a watcher, who comes back by himself",
        answers={200: (Answer(description="It is cut", body=Disconnected),)},
    ),
)
