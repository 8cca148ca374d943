"""What a request to watch means: which stream, seen how, and from where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest, RunNotFound, StreamNotFound
from tokentape.core.events import check_stream_name
from tokentape.core.resume import From, Ready, parse_from
from tokentape.dialects import native
from tokentape.dialects.base import SseDialect, Stepwise
from tokentape.dialects.formats import FORMATS
from tokentape.hub.channels import RUN_STREAMS
from tokentape.runs import Place
from tokentape.server.services import Services

_STEPWISE: Final = {name: dialect for name, dialect in FORMATS.items() if isinstance(dialect, Stepwise)}
"""Asked once: to ask an object for its protocols takes as long as to find its stream."""


class ViewQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How to see a stream. `Last-Event-ID` wins over `from`."""

    position: Annotated[
        str | None,
        msgspec.Meta(description="start, now, snapshot or a cursor; else a run from its start, a channel from now"),
    ] = msgspec.field(name="from", default=None)
    merge: Annotated[bool, msgspec.Meta(description="whether a backlog comes as few large events")] = True
    format: Annotated[str, msgspec.Meta(description="the wire format of the events")] = native.sse.name


class WatchQuery(ViewQuery, frozen=True, kw_only=True):
    """How to watch it, as a stream or by long-poll."""

    wait: (
        Annotated[float, msgspec.Meta(description="long-poll: answer as JSON, within so many seconds", ge=0, le=60)]
        | None
    ) = None


class Watch(NamedTuple):
    """One stream to watch. `asked` is the position that the client itself holds, if it gave one."""

    label: str
    place: Place
    start: From
    asked: Cursor | None


async def find(services: Services, name: str) -> Place:
    """What to watch for a name; a channel that is not there yet is made. Raises `InvalidName`, `RunNotFound`."""
    check_stream_name(name)
    if name.startswith(RUN_STREAMS):
        await _check_run(services, name)
    else:
        await services.channels.ensure(name)
    return services.runs.locate(name)


async def _check_run(services: Services, name: str) -> None:
    try:
        await services.runs.find(name.removeprefix(RUN_STREAMS))
    except RunNotFound as unknown:
        # The stream of a run that is forgotten may still be kept.
        try:
            await services.store.info(name)
        except StreamNotFound:
            raise unknown from None


def watch_of(label: str, place: Place, position: str | None) -> Watch:
    """A watch of `place` from a position as it came on the wire; raises `InvalidCursor`."""
    default = "now" if place.run is None else "start"
    start = parse_from(position or default)
    asked = start if isinstance(start, Cursor) else None
    if place.begin is not None and start in ("start", "snapshot"):
        start = place.begin
    return Watch(label, place, start, asked)


def position_of(headers: Mapping[str, str], query: ViewQuery) -> str | None:
    """Where the client wants to begin: a reconnecting `EventSource` repeats its address, and adds where it was."""
    return headers.get("last-event-id") or query.position


def dialect_of(query: ViewQuery) -> SseDialect[bytes]:
    """The format that was asked for; raises `BadRequest` with those that there are."""
    dialect = FORMATS.get(query.format)
    if dialect is None:
        raise BadRequest(f"{query.format[:40]!r} is not a format. The formats are: {', '.join(FORMATS)}.")
    return dialect


def resumed(dialect: SseDialect[bytes], position: str | None) -> tuple[SseDialect[bytes], str | None]:
    """How, and from which position, to go on; raises `InvalidCursor`."""
    stepwise = None if position is None else _STEPWISE.get(dialect.name)
    return (dialect, position) if stepwise is None or position is None else stepwise.resumed(position)


def check_telling(dialect: SseDialect[Any], place: Place) -> None:
    """Raises `BadRequest` when a format tells one run, and this is a channel."""
    if dialect.of_run and place.run is None:
        raise BadRequest(
            f"The format {dialect.name!r} tells one run, and {place.stream[:80]!r} is a channel. Watch a run of it, at "
            "/v1/runs/{id}/events, or choose a format that tells channels: "
            f"{', '.join(name for name, known in FORMATS.items() if not known.of_run)}."
        )


def is_over(watch: Watch, ready: Ready, *, closed: bool) -> bool:
    """Whether the view has ended and its client has all of it, so that nothing would follow, ever.

    `closed` says whether the stream is; a run on a channel ends while its stream goes on.
    """
    if watch.asked is None or ready.outcome not in ("live", "replayed"):
        return False
    end = watch.place.end
    if end is not None and end.epoch == ready.cursor.epoch and ready.cursor.offset >= end.offset:
        return True
    return closed and ready.outcome == "live"
