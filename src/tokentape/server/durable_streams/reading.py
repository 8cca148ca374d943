"""GET without `live`: what is recorded, a page at a time, with entity tags; and the headers that all reads share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from tokentape.core.errors import BadRequest, CursorGone
from tokentape.core.events import decode_event
from tokentape.dialects.durable import NOW, body
from tokentape.server.durable_streams.headers import CLOSED, NEXT_OFFSET, TRUE, UP_TO_DATE
from tokentape.server.durable_streams.source import Source
from tokentape.server.services import Services
from tokentape.stores.base import Page

NO_STORE: Final = "no-store"
REVALIDATE: Final = "private, no-cache"
"""Of an answer that reaches the end: it may be kept, and used once the server has said that nothing came after."""
KEEP: Final = "private, max-age=60, stale-while-revalidate=300"
"""Of a page before the end, which never changes (section 10.1)."""


class Reading(NamedTuple):
    """What is read: the records, where to go on, and what is known of the end."""

    records: Sequence[bytes]
    last: int
    """The store's offset of the last record looked at."""
    current: bool
    """Nothing follows by now."""
    ended: bool
    """Nothing will follow, ever."""


class Query(NamedTuple):
    """The parameters of a read."""

    offset: str | None
    live: str | None
    cursor: str | None


def query_of(request: Request) -> Query:
    """Reads them; raises `BadRequest`."""
    offsets = request.query_params.getlist("offset")
    if len(offsets) > 1:
        raise BadRequest("Give one `offset`.")
    live = request.query_params.get("live")
    if live not in (None, "long-poll", "sse"):
        raise BadRequest(f"`live` is 'long-poll' or 'sse', not {live[:40]!r}.")
    if live is not None and not offsets:
        raise BadRequest("A live read begins somewhere: give `offset`, such as '-1' or 'now'.")
    return Query(offsets[0] if offsets else None, live, request.query_params.get("cursor"))


async def catch_up(services: Services, source: Source, query: Query, *, if_none_match: str) -> Response:
    """The answer to a read that does not wait."""
    after = source.locate(query.offset)
    reading = _read(source, after, await read_page(services, source, after), only_place=query.offset == NOW)
    headers = end_headers(source, reading.last, current=reading.current, ended=reading.ended)
    if query.offset == NOW:
        headers["Cache-Control"] = NO_STORE
    else:
        tag = entity_tag(source, after, reading.last, ended=reading.ended)
        headers |= {"ETag": tag, "Cache-Control": REVALIDATE if reading.current else KEEP}
        if _matches(if_none_match, tag):
            return Response(status_code=304, headers=headers)
    headers["Content-Type"] = source.info.config.content_type
    return Response(body(source.form, reading.records), headers=headers)


async def read_page(services: Services, source: Source, after: int) -> Page:
    """A page of the store, which also counts as a use of the stream; raises `CursorGone`."""
    page = await services.store.read(source.stream, after)
    if page.epoch != source.info.epoch:
        raise CursorGone(f"Stream {source.name!r} was made anew in this moment.", reason="epoch")
    return page


def _read(source: Source, after: int, page: Page, *, only_place: bool) -> Reading:
    """What a page says to a reader of this source. A run on a channel is what of the channel is its own."""
    end = source.end if source.place.end is not None else None
    found = [(offset, record) for offset, record in page.records if end is None or offset <= end]
    last = found[-1][0] if found else after
    run = source.place.run
    if run is not None:
        found = [(offset, record) for offset, record in found if decode_event(record).run == run]
    if only_place:
        found, last = [], max(after, page.last if end is None else min(end, page.last))
    stop = page.last if end is None else end
    current = last >= stop
    ended = current and (page.closed or end is not None)
    return Reading([record for _, record in found], last, current, ended)


def end_headers(source: Source, last: int, *, current: bool, ended: bool) -> dict[str, str]:
    """Where to go on, and whether there is any point in it."""
    headers = {NEXT_OFFSET: str(source.position(last))}
    if current:
        headers[UP_TO_DATE] = TRUE
    if ended:
        headers[CLOSED] = TRUE
    return headers


def entity_tag(source: Source, after: int, last: int, *, ended: bool) -> str:
    """The name of one answer: another one when there is more, or when it has become the end."""
    return f'"{source.info.epoch}:{after}:{last}{":c" if ended else ""}"'


def _matches(if_none_match: str, tag: str) -> bool:
    given = [candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")]
    return tag in given or "*" in given
