"""What the routes share that speak other people's protocols: a run begins, is told in their format, or as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tokentape.core.errors import BadRequest, TokentapeError
from tokentape.core.merge import Entry
from tokentape.dialects.base import SseDialect
from tokentape.dialects.story import NOTHING, Story, tell
from tokentape.hub.channels import RUN_STREAMS
from tokentape.runs import RunInfo, RunRequest
from tokentape.server.operations import Call
from tokentape.server.services import Services
from tokentape.server.sse import SseResponse
from tokentape.server.watching import watch_of

MAX_KEY: Final = 200
"""Characters of an Idempotency-Key."""
OWN: Final = frozenset({"channel", "on_no_watchers", "on_crash", "metadata", "replaces", "simulated"})
"""Fields of `RunRequest` that other protocols have no words for: a member `tokentape` of their bodies holds them."""


def idempotency_key(request: Request) -> str | None:
    """The caller's own name for this start; raises `BadRequest`."""
    return checked_key(request.headers.get("idempotency-key"))


def checked_key(key: str | None) -> str | None:
    """The same, however it came."""
    if key is None:
        return None
    if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise BadRequest(f"An Idempotency-Key has 1 to {MAX_KEY} printable ASCII characters.")
    return key


def own_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the member `tokentape` of a body asks for; raises `BadRequest`."""
    given = body.get("tokentape") or {}
    if not isinstance(given, dict) or not given.keys() <= OWN:
        raise BadRequest(f"`tokentape` is an object of what tokentape itself can do: {', '.join(sorted(OWN))}.")
    return given


async def begin(call: Call[Any, Any], fields: Mapping[str, Any], *, key: str | None = None) -> tuple[RunInfo, bool]:
    """Starts a run with these fields of `RunRequest`; as `Runs.start`. Without `key` the request's own counts."""
    return await call.services.runs.start(run_request(fields), key=key or idempotency_key(call.request))


def run_request(fields: Mapping[str, Any]) -> RunRequest:
    """What is asked for; raises `BadRequest` with the field at fault."""
    try:
        return msgspec.convert(fields, RunRequest)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        where = f"`{path.rstrip('`')}`: " if path else ""
        raise BadRequest(f"The body is wrong: {where}{message}.", path=path.rstrip("`") or None) from None


def run_headers(call: Call[Any, Any], info: RunInfo) -> dict[str, str]:
    """What every answer about a run tells in its head: which it is, and where it begins."""
    return {
        "Location": call.link(f"/v1/runs/{info.id}"),
        "Tokentape-Run": info.id,
        "Tokentape-Cursor": info.cursor,
    }


def stream(
    call: Call[Any, Any],
    info: RunInfo,
    dialect: SseDialect[bytes],
    *,
    position: str | None = None,
    merge: bool = True,
    opening: bytes = b"",
    headers: Mapping[str, str] | None = None,
    refuse: Callable[[TokentapeError], Response],
) -> SseResponse:
    """The run as an event stream in this format, from its start or from a position; raises `InvalidCursor`.

    `opening` is said to this client alone, before the view begins.
    """
    label = RUN_STREAMS + info.id
    watch = watch_of(label, call.services.runs.locate(label), position)
    told = {**run_headers(call, info), **(headers or {})}
    return SseResponse(call.services, [watch], dialect, merge=merge, opening=opening, headers=told, refuse=refuse)


async def whole(services: Services, info: RunInfo) -> Story:
    """Waits for the end of a run, and returns its story. The run goes on when the caller goes away.

    Whoever waits counts as a watcher.
    """
    place = services.runs.locate(RUN_STREAMS + info.id)
    story = NOTHING
    async with services.hub.reading(place.stream, place.begin or "start", run=info.id) as reader:
        async for item in reader:
            if item.cursor is not None:
                _, story = tell(story, [Entry(item.cursor.offset, item.record, item.event)])
    return story
