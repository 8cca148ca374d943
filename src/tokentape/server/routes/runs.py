"""Runs: start, look, watch, stop."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from starlette.responses import Response

from tokentape.core.resume import parse_from
from tokentape.hub.channels import RUN_STREAMS
from tokentape.runs import RunInfo, RunRequest
from tokentape.runs.request import OnCrash, State
from tokentape.server.dropin import idempotency_key, run_headers
from tokentape.server.operations import Answer, Call, Operation, answer
from tokentape.server.routes.watch import EVENT_STREAM, RESUME_HEADERS, wants_stream, watch, watching
from tokentape.server.sse import SseResponse
from tokentape.server.watching import ViewQuery, WatchQuery, dialect_of, find, position_of, resumed, watch_of

HIDDEN: Final = frozenset({"key", "digest", "queue", "first_at", "tokens", "tries"})
"""What is known of a run and not told here: whoever knows its key could start it again as their own; the rest is for
operators."""


class RunLinks(msgspec.Struct, frozen=True):
    """Where to watch it, and where to stop it."""

    events: str
    stop: str


class RunAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run as it is known now. Times are milliseconds since the Unix epoch."""

    id: str
    stream: str
    cursor: str
    """Right before its first event."""
    end: str = ""
    """At its `done`, once it has ended."""
    state: State
    links: RunLinks
    model: str
    created_at: int
    provider: str = ""
    started_at: int = 0
    ended_at: int = 0
    reason: str | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    metadata: dict[str, Any] = {}
    message_id: str = ""
    """Where the caller named it."""
    replaces: str | None = None
    on_crash: OnCrash = "interrupt"
    attempt: int = 1
    """More than 1 once it was restarted, or handed over."""
    position: int | None = None
    """How many runs stand before it, while it waits."""
    stop_after: float | None = None
    """Seconds without a watcher after which it is stopped; without it, it goes on."""


class RunList(msgspec.Struct, frozen=True):
    """Runs, the newest first; `next` is the `before` of the next page."""

    runs: list[RunAnswer]
    next: str | None


class RunsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs."""

    state: State | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    before: Annotated[str | None, msgspec.Meta(description="only those older than this run")] = None


class StopRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, in a few words; it becomes the `detail` of the run's `done`."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "request"


async def _start(call: Call[ViewQuery, RunRequest]) -> Response:
    query, headers = call.query, call.request.headers
    # Whatever could be wrong with the watch is found before there is a run.
    dialect, position = resumed(dialect_of(query), position_of(headers, query))
    if position is not None:
        parse_from(position)
    info, new = await call.services.runs.start(call.body, key=idempotency_key(call.request))
    told = run_headers(call, info)
    if not wants_stream(call.request):
        return answer(_view(call, info), status=201 if new else 200, headers=told)
    label = RUN_STREAMS + info.id
    watch = watch_of(label, call.services.runs.locate(label), position)
    return SseResponse(call.services, [watch], dialect, merge=query.merge, headers=told)


async def _list(call: Call[RunsQuery, None]) -> Response:
    query = call.query
    found = call.services.runs.list(state=query.state, limit=query.limit, before=query.before)
    following = found[-1].id if len(found) == query.limit else None
    return answer(RunList([_view(call, info) for info in found], following))


async def _get(call: Call[None, None]) -> Response:
    info = await call.services.runs.find(call.path("id"))
    return answer(_view(call, info, position=call.services.runs.position(info)))


async def _watch(call: Call[WatchQuery, None]) -> Response:
    label = RUN_STREAMS + call.path("id")
    return await watch(call, label, await find(call.services, label))


async def _stop(call: Call[None, StopRequest | None]) -> Response:
    why = call.body or StopRequest()
    return answer(_view(call, await call.services.runs.stop(call.path("id"), detail=why.reason)))


def _view(call: Call[Any, Any], info: RunInfo, *, position: int | None = None) -> RunAnswer:
    known = {name: value for name, value in msgspec.structs.asdict(info).items() if name not in HIDDEN}
    here = call.link(f"/v1/runs/{info.id}")
    return RunAnswer(links=RunLinks(events=f"{here}/events", stop=f"{here}/stop"), position=position, **known)


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/runs",
        handle=_start,
        summary="Start a run; with `Accept: text/event-stream` its events follow at once",
        query=ViewQuery,
        body=RunRequest,
        headers={
            "Idempotency-Key": "Makes the start safe to repeat: the same run comes back, with 200.",
            **RESUME_HEADERS,
        },
        answers={
            201: (Answer(description="The new run", body=RunAnswer),),
            200: (
                Answer(description="The run that this Idempotency-Key had started before", body=RunAnswer),
                Answer(description="The events of the run", media=EVENT_STREAM),
            ),
        },
    ),
    Operation(
        method="GET",
        path="/v1/runs",
        handle=_list,
        summary="List runs, the newest first",
        query=RunsQuery,
        answers={200: (Answer(description="A page of runs", body=RunList),)},
    ),
    Operation(
        method="GET",
        path="/v1/runs/{id}",
        handle=_get,
        summary="Look at a run",
        answers={200: (Answer(description="The run", body=RunAnswer),)},
    ),
    watching("/v1/runs/{id}/events", _watch, "Watch a run"),
    Operation(
        method="POST",
        path="/v1/runs/{id}/stop",
        handle=_stop,
        summary="Stop a run; answers when its terminal event is recorded, and may be repeated",
        body=StopRequest,
        body_required=False,
        answers={200: (Answer(description="The run, ended", body=RunAnswer),)},
    ),
)
