"""Runs, as an operator looks at them: those that are known on the store, with what this process knows besides."""

from __future__ import annotations

import asyncio
import time
from itertools import islice
from typing import Annotated, Any, Final, Literal

import msgspec
from starlette.responses import Response

from tokentape.core.cursor import Cursor
from tokentape.core.errors import RunNotFound
from tokentape.runs import RunInfo
from tokentape.runs.request import State
from tokentape.server.admin.admin import Admin
from tokentape.server.admin.operation import Limit, Search, operation
from tokentape.server.admin.streams import lag_of
from tokentape.server.admin.timeline import Mark, Try, read_timeline
from tokentape.server.operations import Answer, Call, answer
from tokentape.server.routes.runs import StopRequest
from tokentape.server.services import Services

MAX_IDS: Final = 1000
STOPS_AT_ONCE: Final = 100

Which = Literal["live", "queued", "done", "all"]
_STATES: Final[dict[Which, State | None]] = {"live": "running", "queued": "queued", "done": "done", "all": None}


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """A run. Times are seconds since the Unix epoch; what is null is not known here, or not yet."""

    id: str
    stream: str
    model: str
    provider: str | None
    state: State
    reason: str | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    age: float
    """Seconds since it was asked for, to its end if it has ended."""
    tokens: int | None
    rate: float | None
    """Tokens per second: lately while it is live, over its life once it has ended."""
    ttft_ms: float | None
    watchers: int
    """Of its stream, through this process."""
    lag: int
    """Events by which the last of them is behind."""
    error: dict[str, Any] | None


class RunRow(_Row, frozen=True, kw_only=True):
    """A run. Times are seconds since the Unix epoch; what is null is not known here, or not yet."""

    attempts: int
    """Requests to providers."""


class RunRows(msgspec.Struct, frozen=True):
    """The newest first; `total` counts all that match."""

    total: int
    runs: list[RunRow]


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, without any text of it."""

    messages: int | None
    """How many, while this process executes it."""
    channel: str | None
    replaces: str | None
    on_crash: str
    stop_after: float | None
    metadata: dict[str, Any]
    message_id: str
    attempt: int
    """Processes that have taken it."""
    position: int | None
    """How many runs stand before it, while it waits."""


class RunDetail(_Row, frozen=True, kw_only=True):
    """A run, what it used, and what happened when."""

    usage: dict[str, Any] | None
    cursor: str
    end: str
    request: RunSummary
    attempts: list[Try]
    """The requests to providers, from its record."""
    marks: list[Mark]
    whole: bool
    """Whether all of its record was looked at: the oldest may be gone, and one look has a bound."""


class AdminRunsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs."""

    state: Which = "all"
    q: Search = ""
    limit: Limit = 100


class StopMany(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which, and why in a few words."""

    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_IDS)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = StopRequest().reason


class Stopped(msgspec.Struct, frozen=True):
    """What became of each: stopped now, ended before, or no run that is known."""

    stopped: list[str]
    ended: list[str]
    unknown: list[str]


async def _list(call: Call[AdminRunsQuery, None], admin: Admin) -> Response:
    query, state = call.query, _STATES[call.query.state]
    sought = query.q.lower()
    found = [
        info
        for info in admin.services.runs.known()
        if (state is None or info.state == state) and (not sought or sought in _searched(info))
    ]
    now = time.time()
    return answer(RunRows(len(found), [_run_row(admin.services, info, now) for info in islice(found, query.limit)]))


def _run_row(services: Services, info: RunInfo, now: float) -> RunRow:
    progress = services.runs.progress(info.id)
    return RunRow(attempts=progress.tries if progress is not None else info.tries, **_row(services, info, now))


def _searched(info: RunInfo) -> str:
    return f"{info.id}\n{info.stream}\n{info.model}\n{info.provider}\n{info.reason or ''}".lower()


def _row(services: Services, info: RunInfo, now: float) -> dict[str, Any]:
    tokens: int | None = info.tokens or None
    rate: float | None = None
    first_at = info.first_at
    if info.state == "done":
        if tokens is None and info.usage is not None:
            tokens = info.usage.get("output_tokens")
        seconds = (info.ended_at - info.started_at) / 1000
        if tokens is not None and info.started_at and seconds > 0:
            rate = round(tokens / seconds, 2)
    elif (progress := services.runs.progress(info.id)) is not None:
        tokens, rate, first_at = progress.tokens, round(progress.rate, 2), progress.first_at
    return {
        "id": info.id,
        "stream": info.stream,
        "model": info.model,
        "provider": info.provider or None,
        "state": info.state,
        "reason": info.reason,
        "created_at": info.created_at / 1000,
        "started_at": info.started_at / 1000 if info.started_at else None,
        "ended_at": info.ended_at / 1000 if info.ended_at else None,
        "age": max(0.0, (info.ended_at / 1000 if info.ended_at else now) - info.created_at / 1000),
        "tokens": tokens,
        "rate": rate,
        "ttft_ms": max(0, first_at - info.started_at) if first_at and info.started_at else None,
        "watchers": services.hub.audience(info.stream),
        "lag": lag_of(services.hub.tail(info.stream)),
        "error": info.error,
    }


async def _get(call: Call[None, None], admin: Admin) -> Response:
    services = admin.services
    info = await services.runs.find(call.path("id"))
    timeline = await read_timeline(services.store, info)
    progress = services.runs.progress(info.id)
    return answer(
        RunDetail(
            **_row(services, info, time.time()),
            usage=info.usage,
            cursor=info.cursor,
            end=info.end,
            request=RunSummary(
                messages=progress.messages if progress is not None else None,
                channel=None if info.owns_stream else info.stream,
                replaces=info.replaces,
                on_crash=info.on_crash,
                stop_after=info.stop_after,
                metadata=info.metadata,
                message_id=info.message_id,
                attempt=info.attempt,
                position=services.runs.position(info),
            ),
            attempts=timeline.tries,
            marks=sorted([*timeline.marks, *_resumes(services, info)], key=lambda mark: mark.at),
            whole=timeline.whole,
        )
    )


def _resumes(services: Services, info: RunInfo) -> list[Mark]:
    """Watchers that came back in mid-run, through this process, while its stream is warm; a record has none of it."""
    tail = services.hub.tail(info.stream)
    if tail is None or not tail.returns or not info.cursor:
        return []
    begin, end = Cursor.parse(info.cursor), Cursor.parse(info.end) if info.end else None
    return [
        Mark(at=at, offset=offset, kind="resume", label=f"a watcher came back, having {offset - begin.offset} events")
        for at, offset in tail.returns
        if offset > begin.offset and (end is None or offset < end.offset)
    ]


async def _stop(call: Call[None, StopMany], admin: Admin) -> Response:
    runs, wanted = admin.services.runs, call.body
    told = Stopped([], [], [])
    turn = asyncio.Semaphore(STOPS_AT_ONCE)

    async def stop(run_id: str) -> None:
        async with turn:
            try:
                before = await runs.find(run_id)
                if before.state == "done":
                    told.ended.append(run_id)
                    return
                await runs.stop(run_id, detail=wanted.reason)
                told.stopped.append(run_id)
            except RunNotFound:
                told.unknown.append(run_id)

    await asyncio.gather(*(stop(run_id) for run_id in dict.fromkeys(wanted.ids)))
    return answer(told)


OPERATIONS: Final = (
    operation(
        method="GET",
        path="/runs",
        handle=_list,
        summary="List runs with how they do, the newest first",
        query=AdminRunsQuery,
        answers={200: (Answer(description="The runs", body=RunRows),)},
    ),
    operation(
        method="POST",
        path="/runs/stop",
        handle=_stop,
        summary="Stop many runs; answers when their terminal events are recorded",
        body=StopMany,
        answers={200: (Answer(description="What became of each", body=Stopped),)},
    ),
    operation(
        method="GET",
        path="/runs/{id}",
        handle=_get,
        summary="Look at a run: what was tried at which provider, and what happened when",
        answers={200: (Answer(description="The run", body=RunDetail),)},
    ),
)
