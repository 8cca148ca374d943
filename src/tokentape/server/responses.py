"""Responses as the server finds them: a run, what it was asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest, NotFound, RunNotFound, StreamNotFound
from tokentape.core.merge import Entry, merge
from tokentape.dialects.openai_responses.items import messages_of
from tokentape.dialects.openai_responses.objects import ID_PREFIX, NO_ECHO, Echo, output_of, response_object
from tokentape.dialects.openai_responses.telling import NOTHING_TOLD, Told, take
from tokentape.hub.channels import RUN_STREAMS
from tokentape.runs import Place, RunInfo
from tokentape.server import asked
from tokentape.server.asked import Asked
from tokentape.server.openai import run_id
from tokentape.server.retelling import look, pages
from tokentape.server.services import Services

MAX_TURNS: Final = 256
"""Responses that may follow on one another by `previous_response_id`."""


class Found(NamedTuple):
    """A response, by its run. `asked` is None for a run that was started in another way."""

    info: RunInfo
    asked: Asked | None

    @property
    def echo(self) -> Echo:
        return self.asked.echo if self.asked is not None else NO_ECHO


class ResponseNotFound(NotFound):
    """As OpenAI says it."""

    def __init__(self, identity: str) -> None:
        super().__init__(f"There is no response {identity[:80]!r}, or it is no longer kept.")


def fold(told: Told, entries: Sequence[Entry]) -> Told:
    return take(told, entries)[1]


async def find(services: Services, identity: str) -> Found:
    """A response by its id, or its run's; raises `NotFound` also for one that was not to be stored."""
    run = run_id(identity, ID_PREFIX)
    try:
        info = await services.runs.find(run)
        await services.store.info(info.stream)
    except (RunNotFound, StreamNotFound):
        raise ResponseNotFound(identity) from None
    request = await asked.find(services.store, run)
    if request is not None and request.input is None:
        raise ResponseNotFound(identity)
    return Found(info, request)


def place_of(services: Services, info: RunInfo) -> Place:
    return services.runs.locate(RUN_STREAMS + info.id)


async def as_it_is(services: Services, found: Found) -> dict[str, Any]:
    """The response object, as far as the run has come."""
    told = await look(services, place_of(services, found.info), fold, NOTHING_TOLD)
    return as_object(found.info, found.echo, told)


def as_object(info: RunInfo, echo: Echo, told: Told) -> dict[str, Any]:
    return response_object(told, echo, run=info.id, model=info.model, at=info.created_at, queued=info.state == "queued")


class Spot(NamedTuple):
    """Where to go on for a client that has the events up to a number; `after` is that number when it is in between."""

    cursor: Cursor
    after: int
    over: bool
    """Whether the run has ended, and the client has all of it."""


async def spot(services: Services, place: Place, number: int) -> Spot:
    """Finds the position in the run that an event's number belongs to; raises `BadRequest` for one beyond its end."""
    told, at = NOTHING_TOLD, place.begin.offset if place.begin is not None else 0
    async for page in pages(services, place):
        after = fold(told, merge(page))
        if after.number <= number + 1:
            told, at = after, page[-1].offset if page else at
            continue
        for entry in page:
            after = fold(told, [entry])
            if after.number > number + 1:
                break
            told, at = after, entry.offset
        break
    else:
        if told.number <= number:
            raise BadRequest(
                f"`starting_after` is {number}, and this response has come to {told.number - 1}.", path="starting_after"
            )
    info = await services.store.info(place.stream)
    exact = told.number == number + 1
    return Spot(Cursor(info.epoch, at), -1 if exact else number, exact and told.story.finish is not None)


async def conversation(services: Services, identity: str | None, limit: int) -> list[dict[str, Any]]:
    """The messages of a response and of all before it, the oldest first; raises `BadRequest` when one is missing.

    `limit` bounds their bytes, as JSON.
    """
    turns: list[list[dict[str, Any]]] = []
    size = 0
    while identity is not None:
        turn, identity = await _turn(services, identity)
        turns.append(turn)
        size += len(msgspec.json.encode(turn))
        if size > limit or len(turns) > MAX_TURNS:
            raise _previous(f"what came before is longer than {MAX_TURNS} responses or {limit} bytes. Begin anew.")
    return [message for turn in reversed(turns) for message in turn]


async def _turn(services: Services, identity: str) -> tuple[list[dict[str, Any]], str | None]:
    try:
        found = await find(services, identity)
    except NotFound as error:
        raise _previous(error.message) from None
    if found.asked is None or found.asked.input is None:
        raise _previous(
            f"{identity[:80]!r} is a run that was not started as a response: what it was asked is not kept."
        )
    told = await look(services, place_of(services, found.info), fold, NOTHING_TOLD)
    if told.story.finish is None:
        raise _previous(f"{identity[:80]!r} has not ended yet. Wait for it, or cancel it.")
    output = [
        item
        for item in output_of(found.info.id, told)
        # A call that was cut off cannot be answered.
        if item["type"] == "message" or (item["type"] == "function_call" and item["status"] == "completed")
    ]
    return messages_of(found.asked.input) + messages_of(output), found.echo.previous_response_id


def _previous(why: str) -> BadRequest:
    return BadRequest(f"`previous_response_id`: {why}", path="previous_response_id")
