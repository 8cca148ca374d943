"""POST: appending to a stream, and closing it.

What is appended to a channel has to be events, and is published: everybody who watches it, in whichever format, sees
it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from tokentape.core.errors import (
    BadRequest,
    Conflict,
    CursorGone,
    Forbidden,
    SequenceConflict,
    StaleProducer,
    StreamClosed,
    StreamNotFound,
)
from tokentape.dialects.durable import essence
from tokentape.hub.channels import MAX_PUBLISH, RUN_STREAMS, Publish
from tokentape.server.durable_streams.headers import (
    CLOSED,
    EXPECTED_SEQ,
    NEXT_OFFSET,
    PRODUCER_EPOCH,
    PRODUCER_SEQ,
    RECEIVED_SEQ,
    TRUE,
    messages,
)
from tokentape.server.durable_streams.source import Source
from tokentape.server.services import Services
from tokentape.stores.base import Append, Appended, Producer


class Content(NamedTuple):
    """What a POST brings."""

    body: bytes
    content_type: str | None
    producer: Producer | None
    sequence: str | None
    closes: bool


class Outcome(NamedTuple):
    """The answer to a POST."""

    status: int
    headers: dict[str, str]


def check_writable(name: str) -> None:
    """Raises `Forbidden` for the stream of a run."""
    if name.startswith(RUN_STREAMS):
        raise Forbidden(
            f"{name[:80]!r} belongs to a run, which alone writes to it. Reading it is all that can be done here."
        )


async def append(services: Services, source: Source, content: Content) -> Outcome:
    """Appends, closes, or both as one step; raises what the store, or the protocol, has against it."""
    records = _records(source, content)
    item = Append(
        stream=source.stream,
        records=records,
        epoch=source.info.epoch,
        producer=content.producer,
        sequence=content.sequence,
        close=content.closes,
    )
    try:
        if content.closes and not source.own:
            raise Forbidden(f"{source.name!r} is a channel, which stays open.")
        appended = await record(services, item, own=source.own)
    except CursorGone:
        raise StreamNotFound(f"Stream {source.name!r} was made anew in this moment.") from None
    return _outcome(source, content, appended)


def _records(source: Source, content: Content) -> list[bytes]:
    if not content.body:
        if content.closes:
            return []
        raise BadRequest(f"The body is empty: that is only for closing, with '{CLOSED}: {TRUE}'.")
    if content.content_type is None:
        raise BadRequest("Say with Content-Type what the body is.")
    kind = source.info.config.content_type
    if essence(content.content_type) != essence(kind):
        if source.info.closed:
            raise StreamClosed(f"Stream {source.name!r} is closed.", last=source.info.last)
        raise Conflict(f"Stream {source.name!r} is {kind!r}, and the body is {content.content_type[:80]!r}.")
    if source.form != "json":
        return [content.body]
    found = messages(content.body)
    if not found:
        raise BadRequest("An empty array appends nothing.")
    return found


async def record(services: Services, item: Append, *, own: bool) -> Appended:
    """Has an append done, so that whoever watches sees it; on what was not made here, its records are events."""
    if own:
        return await services.hub.append_raw(item)
    return await services.channels.append(item, events_of(item.records))


def events_of(records: Sequence[bytes]) -> list[Publish]:
    """Records as events to publish; raises `BadRequest`."""
    if len(records) > MAX_PUBLISH:
        raise BadRequest(f"{len(records)} events in one publish; send {MAX_PUBLISH} at most.")
    try:
        events = [_decode_publish(record) for record in records]
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"A channel takes events such as {{'type': 'chat:text', 'data': …}}: {str(error)[:200]}."
        ) from None
    if not all(event.persist for event in events):
        raise BadRequest("An event with `persist: false` has no offset: publish it at /v1/channels/….")
    return events


_decode_publish: Final = msgspec.json.Decoder(Publish).decode


def _outcome(source: Source, content: Content, appended: Appended) -> Outcome:
    headers = {NEXT_OFFSET: str(source.position(appended.last))}
    if appended.closed:
        headers[CLOSED] = TRUE
    if content.producer is None:
        return Outcome(204, headers)
    headers[PRODUCER_EPOCH] = str(content.producer.epoch)
    headers[PRODUCER_SEQ] = str(appended.seq if appended.duplicate else content.producer.seq)
    return Outcome(204 if appended.duplicate or not content.body else 200, headers)


def refusal_headers(source: Source, error: Exception) -> tuple[int | None, dict[str, str]]:
    """What the protocol says of a refusal besides its problem document: another status, maybe, and headers."""
    if isinstance(error, StreamClosed):
        last = error.details.get("last", source.info.last)
        return None, {CLOSED: TRUE, NEXT_OFFSET: str(source.position(last))}
    if isinstance(error, StaleProducer):
        return None, {PRODUCER_EPOCH: str(error.details["epoch"])}
    if isinstance(error, SequenceConflict) and "expected" in error.details:
        headers = {EXPECTED_SEQ: str(error.details["expected"]), RECEIVED_SEQ: str(error.details["received"])}
        # A new epoch begins at 0: nothing can be under way that would come before.
        return 400 if "epoch" in error.details else None, headers
    return None, {}
