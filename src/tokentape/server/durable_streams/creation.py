"""PUT: making a stream, empty or with its first content, closed or open, anew or as a fork of another one.

A fork gets a copy of what it inherits. So it is a stream like any other, with a retention of its own, and nothing that
becomes of its source can tear a hole into it (docs/adr/0012-forks-are-copies.md).
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from tokentape.core.errors import (
    BadRequest,
    Conflict,
    CursorGone,
    InvalidCursor,
    SequenceConflict,
    StreamExists,
    StreamNotFound,
    TokentapeError,
)
from tokentape.dialects.durable import Position, essence, form_of
from tokentape.hub.channels import CHANNEL
from tokentape.runs import Place
from tokentape.server.durable_streams.appending import events_of, record
from tokentape.server.durable_streams.forks import Forks
from tokentape.server.durable_streams.headers import (
    DEFAULT_TYPE,
    FORK_OFFSET,
    FORK_SUB_OFFSET,
    FORKED_FROM,
    Expiry,
    ForkRequest,
    messages,
)
from tokentape.server.durable_streams.source import BEGINS, FORK, KIND, Source, check_name, is_whole, open_source
from tokentape.server.services import Services
from tokentape.stores.base import Append, Producer, Retention, StreamConfig, StreamInfo

ROUTE: Final = "/v1/stream/"
COPIER: Final = "$fork"
"""The producer of what a fork inherits: its epoch is the offset after which a page stands, so that a page that is
written twice, by whomever, is there once."""
STALE_MS: Final = 60_000
"""A stream that did not become whole for so long will not: whoever made it has died."""
MAX_LINEAGE: Final = 100
"""Generations of forks whose offsets a fork still knows."""


class Wanted(NamedTuple):
    """What a PUT asks for."""

    name: str
    content_type: str | None
    expiry: Expiry
    fork: ForkRequest | None
    content: bytes
    closed: bool


class Branch(NamedTuple):
    """Where a fork leaves its source: after `anchor`, an offset of the store, and a `prefix` of the record there."""

    source: Source
    anchor: int
    prefix: tuple[bytes, ...]
    attribute: dict[str, Any]


async def create(services: Services, wanted: Wanted, *, root: str) -> tuple[Source, bool]:
    """The stream, and whether it is new; `root` is the prefix under which the server is mounted.

    Raises `Conflict` when there is another one of that name, or its name is still taken.
    """
    existing = await _find(services, wanted.name)
    if existing is not None and not is_whole(existing) and time.time() * 1000 - existing.created_at > STALE_MS:
        await _drop(services, existing)
        existing = None
    if existing is not None and is_whole(existing):
        return _same(services, wanted, existing, root), False
    if existing is None and await Forks(services).is_retired(wanted.name):
        raise Conflict(f"{wanted.name!r} was deleted, and forks of it are still there: choose another name.")
    branch = await _branch(services, wanted, root) if wanted.fork is not None else None
    kind = _content_type(wanted, branch)
    first = _first_records(kind, wanted.content)
    if branch is not None and not branch.source.own:
        events_of(first)
    config = StreamConfig(
        content_type=kind,
        retention=_retention(services, wanted.expiry, branch),
        attributes=_attributes(branch, begins=bool(first or wanted.closed or branch)),
    )
    try:
        info, new = await services.store.create(wanted.name, config)
    except StreamExists:
        return _same(services, wanted, await services.store.info(wanted.name), root), False
    if not is_whole(info):
        new = await _fill(services, wanted, info, branch, first)
    info = await services.store.info(wanted.name)
    return (Source(wanted.name, Place(wanted.name), info) if new else _same(services, wanted, info, root)), new


async def _find(services: Services, name: str) -> StreamInfo | None:
    with suppress(StreamNotFound):
        return await services.store.info(name)
    return None


def _same(services: Services, wanted: Wanted, info: StreamInfo, root: str) -> Source:
    """The stream that is there, if it is what was wanted; raises `StreamExists`."""
    source = Source(wanted.name, Place(wanted.name), info)
    same_type = essence(wanted.content_type or DEFAULT_TYPE) == essence(info.config.content_type)
    if wanted.fork is not None:
        same = _same_fork(wanted.fork, source, root) and (same_type or wanted.content_type is None)
        same = same and (wanted.expiry == Expiry() or _same_expiry(services, wanted.expiry, info))
    else:
        same = same_type and not source.fork and _same_expiry(services, wanted.expiry, info)
    if not (same and is_whole(info) and info.closed == wanted.closed):
        raise StreamExists(
            f"Stream {wanted.name!r} exists with another configuration. Use that one, or delete it first."
        )
    return source


def _same_fork(fork: ForkRequest, source: Source, root: str) -> bool:
    known = source.fork
    if not known or known["from"] != _source_name(fork, root) or known["sub"] != fork.sub_offset:
        return False
    return fork.offset is None or known["asked"] in (None, fork.offset) or known["at"] == _wire_offset(fork.offset)


def _wire_offset(text: str) -> int:
    try:
        return Position.parse(text).offset
    except InvalidCursor:
        return -1


def _same_expiry(services: Services, expiry: Expiry, info: StreamInfo) -> bool:
    return info.config.retention == _retention(services, expiry, None)


def _retention(services: Services, expiry: Expiry, branch: Branch | None) -> Retention:
    """As a channel is kept, but for what the request says, or the source of a fork."""
    retention = services.config.retention.channels()
    if expiry.ttl is not None:
        return msgspec.structs.replace(retention, idle=expiry.ttl)
    if expiry.at is not None:
        return msgspec.structs.replace(retention, expires_at=expiry.at, idle=0)
    if branch is not None:
        inherited = branch.source.info.config.retention
        return msgspec.structs.replace(retention, idle=inherited.idle, expires_at=inherited.expires_at)
    return retention


def _attributes(branch: Branch | None, *, begins: bool) -> dict[str, Any]:
    # A fork of what holds events holds events, and is a channel: people can watch it, and publish to it.
    attributes: dict[str, Any] = {"kind": KIND if branch is None or branch.source.own else CHANNEL}
    if begins:
        attributes[BEGINS] = True
    if branch is not None:
        attributes[FORK] = branch.attribute
    return attributes


def _content_type(wanted: Wanted, branch: Branch | None) -> str:
    if branch is None:
        return wanted.content_type or DEFAULT_TYPE
    kind = branch.source.info.config.content_type
    if wanted.content_type is not None and essence(wanted.content_type) != essence(kind):
        raise Conflict(f"A fork of {branch.source.name!r} is {kind!r}, as that is, not {wanted.content_type!r}.")
    return kind


def _first_records(kind: str, content: bytes) -> list[bytes]:
    if not content:
        return []
    return messages(content) if form_of(kind) == "json" else [content]


# Forks


def _source_name(fork: ForkRequest, root: str) -> str:
    """The name behind the path of a source on this server."""
    path = unquote(fork.path).removeprefix(root)
    if not path.startswith(ROUTE):
        raise BadRequest(f"{FORKED_FROM} is the path of a stream of this server, such as '{ROUTE}room'.")
    return check_name(path.removeprefix(ROUTE))


async def _branch(services: Services, wanted: Wanted, root: str) -> Branch:
    fork = wanted.fork
    assert fork is not None
    try:
        source = await open_source(services, _source_name(fork, root))
    except CursorGone as gone:
        raise Conflict(f"{gone.message} It cannot be forked any more.") from None
    if source.stream != source.name:
        raise BadRequest(f"{source.name!r} is a part of {source.stream!r}: fork that.")
    try:
        anchor = source.last if fork.offset is None else source.locate(fork.offset)
    except CursorGone as gone:
        raise BadRequest(f"{FORK_OFFSET}: {gone.message}") from None
    at = source.position(anchor).offset
    anchor, prefix = await _refine(services, source, anchor, fork.sub_offset)
    upto = source.position(anchor).offset
    lineage = [[epoch, min(end, upto)] for epoch, end in source.fork.get("lineage", ())]
    attribute = {
        "from": source.name,
        "asked": fork.offset,
        "at": at,
        "sub": fork.sub_offset,
        "base": source.base + source.info.first - 1,
        "lineage": [*lineage, [source.info.epoch, upto]][-MAX_LINEAGE:],
    }
    return Branch(source, anchor, prefix, attribute)


async def _refine(services: Services, source: Source, anchor: int, pieces: int) -> tuple[int, tuple[bytes, ...]]:
    """Where a fork begins that takes so many messages, or bytes of the next record, beyond the anchor."""
    if not pieces:
        return anchor, ()
    if source.form == "json":
        if anchor + pieces > source.last:
            raise BadRequest(f"{FORK_SUB_OFFSET} is {pieces}, and only {source.last - anchor} messages follow.")
        return anchor + pieces, ()
    page = await services.store.read(source.stream, anchor, max_records=1)
    record = page.records[0][1] if page.records else b""
    if pieces > len(record):
        raise BadRequest(f"{FORK_SUB_OFFSET} is {pieces}, and only {len(record)} bytes follow until the next offset.")
    return (anchor + 1, ()) if pieces == len(record) else (anchor, (record[:pieces],))


async def _fill(
    services: Services, wanted: Wanted, info: StreamInfo, branch: Branch | None, first: list[bytes]
) -> bool:
    """Gives a stream what it is made with; False when somebody else was quicker, who wanted the same."""
    if branch is not None:
        try:
            await _copy(services, info, branch)
        except (StreamNotFound, CursorGone):
            # The source went, or was trimmed, meanwhile.
            await _drop(services, info)
            raise StreamNotFound(f"{branch.source.name!r} was deleted while it was forked.") from None
        await Forks(services).add(branch.source.name, branch.source.info.epoch, wanted.name, info.epoch)
    records = [*(branch.prefix if branch is not None else ()), *first]
    own = branch is None or branch.source.own
    last = Append(stream=wanted.name, records=records, epoch=info.epoch, sequence="", close=wanted.closed)
    try:
        await record(services, last, own=own)
    except SequenceConflict:
        return False
    return True


async def _copy(services: Services, info: StreamInfo, branch: Branch) -> None:
    """Copies what the fork inherits, page by page; whoever else does so as well does no harm."""
    store, source, base = services.store, branch.source, branch.source.info.first - 1
    done = info.last
    while base + done < branch.anchor:
        page = await store.read(source.stream, base + done, max_records=min(10_000, branch.anchor - base - done))
        if page.epoch != source.info.epoch or not page.records:
            raise StreamNotFound(f"{source.name!r} was made anew.")
        records = [record for _, record in page.records]
        item = Append(stream=info.name, records=records, epoch=info.epoch, producer=Producer(COPIER, done, 0))
        [answer] = await store.append([item])
        if isinstance(answer, TokentapeError):
            raise answer
        done += len(records)


async def _drop(services: Services, info: StreamInfo) -> None:
    with suppress(StreamNotFound):
        if (await services.store.info(info.name)).epoch == info.epoch:
            await services.store.delete(info.name)
