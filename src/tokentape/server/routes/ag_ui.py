"""AG-UI 1.0 and TanStack AI: one address that starts a run, goes on with it, joins it, and stops it.

The client's `runId` is the run, within its `threadId`: whoever asks for it again, through any instance and with
whatever messages, gets that run and never a second one.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest, RunConflict, RunNotFound
from tokentape.core.resume import From
from tokentape.dialects import ag_ui, ag_ui_request, ag_ui_snapshot
from tokentape.dialects.ag_ui import AgUi, Scene
from tokentape.dialects.ag_ui_events import Names
from tokentape.dialects.ag_ui_request import RunAgentInput
from tokentape.hub import View
from tokentape.hub.channels import RUN_STREAMS
from tokentape.runs import RunInfo
from tokentape.runs.request import State
from tokentape.server import dropin
from tokentape.server.operations import Answer, Call, Operation, answer
from tokentape.server.problems import problem
from tokentape.server.routes.watch import EVENT_STREAM
from tokentape.server.sse import HEADERS

START: Final = "-1"
"""The offset with which TanStack AI joins a run: all of it."""
RUN_ID: Final = "r_"
"""How ids of runs begin here."""
STARTED: Final = "What follows this id, of the run that was started before; never a second one."


class JoinQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which run, and from where; without a run, what is under way in a conversation."""

    run_id: Annotated[str | None, msgspec.Meta(description="the client's own name for the run, or its id here")] = None
    thread_id: Annotated[str | None, msgspec.Meta(description="the conversation of the run")] = None
    offset: Annotated[str, msgspec.Meta(description="-1 for all of it, or an id of this format")] = START


class StopQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which conversation the run is of, when its name alone does not say."""

    thread_id: str | None = None


class ActiveRun(msgspec.Struct, frozen=True, rename="camel"):
    """A run that has not ended, by the client's name for it."""

    run_id: str


class Conversation(msgspec.Struct, frozen=True, rename="camel"):
    """What is known of a conversation. Its messages are the application's own, so there are none."""

    messages: list[dict[str, Any]]
    active_run: ActiveRun | None


class Stopped(msgspec.Struct, frozen=True, rename="camel"):
    """A run that was told to stop."""

    thread_id: str
    run_id: str
    id: str
    """Its id here."""
    state: State
    reason: str | None


class Known(NamedTuple):
    """A run, and what its client calls it."""

    info: RunInfo
    names: Names


async def _run(call: Call[None, RunAgentInput]) -> Response:
    names = call.body.names
    last_id = call.request.headers.get("last-event-id")
    info = await call.services.runs.with_key(ag_ui_request.key_of(names)) or await _started_elsewhere(call, names.run)
    if last_id is not None:
        if info is None:
            raise RunNotFound(f"The run {names.run[:80]!r} is unknown, or it ended long ago: start another one.")
        return await _go_on(call, Known(info, names), last_id)
    if info is None:
        info, new = await _start(call, names)
        if new:
            return _stream(call, Known(info, names))
    return await _rejoin(call, Known(info, names))


async def _started_elsewhere(call: Call[Any, Any], run: str) -> RunInfo | None:
    """A run that was begun in another way, by its id here: an agent may join it."""
    if not run.startswith(RUN_ID):
        return None
    with suppress(RunNotFound):
        return await call.services.runs.find(run)
    return None


async def _start(call: Call[None, RunAgentInput], names: Names) -> tuple[RunInfo, bool]:
    body = call.body
    own = {"tokentape": body.tokentape or body.props.get("tokentape")}
    fields = {**ag_ui_request.run_fields(body), **dropin.own_fields(own)}
    key = ag_ui_request.key_of(names)
    try:
        return await dropin.begin(call, fields, key=key)
    except RunConflict as conflict:
        # Somebody else was a moment faster, with other messages: it is their run.
        first = await call.services.runs.with_key(key)
        if first is None or conflict.details.get("run") != first.id:
            raise
        return first, False


async def _join(call: Call[JoinQuery, None]) -> Response:
    query = call.query
    if query.run_id is None:
        if query.thread_id is None:
            raise BadRequest("Say which run, with `runId`, or which conversation, with `threadId`.")
        return answer(_conversation(call, query.thread_id))
    known = await _find(call, query.run_id, query.thread_id)
    place = call.request.headers.get("last-event-id", query.offset)
    return _stream(call, known) if place == START else await _go_on(call, known, place)


async def _stop(call: Call[StopQuery, None]) -> Response:
    info, names = await _find(call, call.path("id"), call.query.thread_id)
    info = await call.services.runs.stop(info.id)
    return answer(Stopped(names.thread or info.id, names.run or info.id, info.id, info.state, info.reason))


# Finding


async def _find(call: Call[Any, Any], run: str, thread: str | None) -> Known:
    """The run that a client names so, or that has this id here; raises `RunNotFound`."""
    runs = call.services.runs
    if thread is not None:
        info = await runs.with_key(ag_ui_request.key_of(Names(thread, run)))
    else:
        end = ag_ui_request.ending_of(run)
        info = await runs.with_key(lambda key: key.startswith(ag_ui_request.KEY) and key.endswith(end))
    info = info or await runs.find(run)
    return Known(info, ag_ui_request.names_of(info.key) or Names())


def _conversation(call: Call[Any, Any], thread: str) -> Conversation:
    begin = ag_ui_request.beginning_of(thread)
    active = call.services.runs.live_with_key(lambda key: key.startswith(begin))
    names = ag_ui_request.names_of(active.key) if active is not None else None
    return Conversation([], ActiveRun(names.run) if names is not None else None)


# Telling


def _stream(
    call: Call[Any, Any],
    known: Known,
    *,
    dialect: AgUi | None = None,
    position: Cursor | None = None,
    opening: bytes = b"",
) -> Response:
    place = str(position) if position is not None else None
    how = dialect or AgUi(known.names)
    return dropin.stream(call, known.info, how, position=place, opening=opening, refuse=problem)


async def _go_on(call: Call[Any, Any], known: Known, last_id: str) -> Response:
    """What follows an id that the client has."""
    dialect, position = AgUi(known.names).resumed(last_id)
    cursor = Cursor.parse(position)
    _, scene = await _told(call, known, cursor)
    # TanStack AI asks again also when it has the end, and takes a silent answer for a loss.
    if end := ag_ui_snapshot.again(scene, known.names):
        return _whole(call, known, end)
    return _stream(call, known, dialect=dialect, position=cursor)


async def _rejoin(call: Call[None, RunAgentInput], known: Known) -> Response:
    """For a client without an id: the conversation as it stands, and what follows."""
    cursor, scene = await _told(call, known, "now")
    if scene.story.begin is None:
        return _stream(call, known)
    opening = ag_ui_snapshot.opening(scene, known.names, call.body.messages, cursor)
    if scene.story.finish is not None:
        return _whole(call, known, opening)
    return _stream(call, known, position=cursor, opening=opening)


async def _told(call: Call[Any, Any], known: Known, start: From) -> tuple[Cursor, Scene]:
    place = call.services.runs.locate(RUN_STREAMS + known.info.id)
    view = View(AgUi(known.names), RUN_STREAMS + known.info.id, run=known.info.id)
    begin = place.begin.offset if place.begin is not None else 0
    cursor, scene = await call.services.hub.told(place.stream, start, view, begin=begin)
    return cursor, scene or ag_ui.BEGINNING


def _whole(call: Call[Any, Any], known: Known, body: bytes) -> Response:
    return Response(body, headers={**HEADERS, **dropin.run_headers(call, known.info)})


_EVENTS: Final = Answer(description="The events of the run, as AG-UI 1.0 has them", media=EVENT_STREAM)

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/ag-ui",
        handle=_run,
        summary="AG-UI and TanStack AI: start a run and hear it, or go on with it",
        body=RunAgentInput,
        headers={"Last-Event-ID": STARTED},
        answers={200: (_EVENTS,)},
    ),
    Operation(
        method="GET",
        path="/ag-ui",
        handle=_join,
        summary="AG-UI and TanStack AI: join a run; without `runId`, see what is under way",
        query=JoinQuery,
        headers={"Last-Event-ID": "What follows this id; wins over `offset`."},
        answers={200: (_EVENTS, Answer(description="What is under way in a conversation", body=Conversation))},
    ),
    Operation(
        method="POST",
        path="/ag-ui/{id}/stop",
        handle=_stop,
        summary="AG-UI and TanStack AI: stop a run by the client's name for it",
        query=StopQuery,
        answers={200: (Answer(description="The run, ended", body=Stopped),)},
    ),
)
