"""The stream that a path means, as it stands: what it is made of, where it begins and ends, what offsets mean on it.

Names are those of all other routes: `/v1/stream/runs/r_1` is the stream of the run `r_1`, `/v1/stream/room` the channel
`room`. A run on a channel is the channel, seen through that run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest, CursorGone, InvalidCursor, StreamNotFound
from tokentape.core.events import check_stream_name
from tokentape.dialects.durable import NOW, START, ZERO_EPOCH, Form, Position, form_of
from tokentape.hub.channels import RUN_STREAMS
from tokentape.runs import Place
from tokentape.server.durable_streams.forks import Forks
from tokentape.server.services import Services
from tokentape.server.watching import find
from tokentape.stores.base import StreamInfo

RESERVED: Final = "__ds"
"""The first segment of paths that the protocol keeps for itself (section 6)."""
KIND: Final = "durable"
"""The attribute `kind` of streams that were made here."""
BEGINS: Final = "begins"
"""An attribute of streams that are made with content: they are there once they have it, as their first sequence tells.

It is given with the last of that content, and is empty: before all others, and accepted once. So whoever dies between
the two steps leaves nothing that a reader could take for the whole, and whoever repeats the request makes it whole."""
FORK: Final = "fork"
"""An attribute of forks: see `creation`."""


def check_name(name: str) -> str:
    """Returns the name of a stream, which is the rest of its path; raises `InvalidName`, or `BadRequest`."""
    if name.partition("/")[0] == RESERVED:
        raise BadRequest(f"Paths below {RESERVED!r} are the protocol's own; there are no subscriptions here.")
    return check_stream_name(name)


def is_whole(info: StreamInfo) -> bool:
    """Whether a stream has what it was made with."""
    return not info.config.attributes.get(BEGINS) or info.sequence is not None


@dataclass(frozen=True, slots=True)
class Source:
    """One stream at one moment."""

    name: str
    place: Place
    info: StreamInfo

    @property
    def stream(self) -> str:
        """Where it is in the store."""
        return self.info.name

    @property
    def own(self) -> bool:
        """Whether it was made here; all others hold events."""
        return self.info.config.attributes.get("kind") == KIND

    @property
    def form(self) -> Form:
        return form_of(self.info.config.content_type)

    @property
    def fork(self) -> dict[str, Any]:
        """How it was forked; empty when it was not."""
        fork: dict[str, Any] = self.info.config.attributes.get(FORK, {})
        return fork

    @property
    def base(self) -> int:
        """What the store's offsets lack to those of the wire: where a fork began, if its source was trimmed before."""
        return int(self.fork.get("base", 0))

    @property
    def begin(self) -> int:
        """The store's offset before its first record."""
        begin = self.place.begin
        return max(self.info.first - 1, begin.offset if begin is not None and begin.epoch == self.info.epoch else 0)

    @property
    def end(self) -> int | None:
        """The store's offset of its last record, when there will be no more."""
        end = self.place.end
        if end is not None and end.epoch == self.info.epoch:
            return end.offset
        return self.info.last if self.info.closed else None

    @property
    def last(self) -> int:
        """The store's offset of its last record by now."""
        return self.info.last if self.end is None else self.end

    def position(self, offset: int) -> Position:
        """What an offset of the store is on the wire."""
        return Position(offset + self.base, self.info.epoch)

    def locate(self, text: str | None) -> int:
        """The store's offset after which to read; raises `InvalidCursor`, or `CursorGone` for what is not kept here."""
        if text is None or text == START:
            return self.begin
        if text == NOW:
            return self.last
        after = self._offset(text)
        if after is None:
            return self.begin
        if after > self.info.last:
            raise CursorGone(f"The offset {text[:40]!r} lies beyond the end of {self.name!r}.", reason="future")
        if after < self.info.first - 1:
            raise CursorGone(
                f"What follows {text[:40]!r} on {self.name!r} is no longer kept. Begin at {START!r}.", reason="trimmed"
            )
        return max(after, self.begin)

    def _offset(self, text: str) -> int | None:
        """The store's offset; None for the beginning of whatever is there."""
        try:
            cursor = Cursor.parse(text)
        except InvalidCursor:
            position = Position.parse(text)
        else:
            position = Position(cursor.offset + (self.base if cursor.epoch == self.info.epoch else 0), cursor.epoch)
        if position.epoch == ZERO_EPOCH:
            return None
        if position.epoch != self.info.epoch and not self._inherited(position):
            raise CursorGone(
                f"The offset {text[:40]!r} is of another life of {self.name!r}. Begin at {START!r}.", reason="epoch"
            )
        return position.offset - self.base

    def _inherited(self, position: Position) -> bool:
        """Whether a fork and the stream that it was forked from have this position in common."""
        return any(position.epoch == epoch and position.offset <= upto for epoch, upto in self.fork.get("lineage", ()))


async def open_source(services: Services, name: str) -> Source:
    """The stream as it is now. Raises `StreamNotFound`, `RunNotFound`, or `CursorGone` while forks outlive it."""
    place = Place(name)
    if name.startswith(RUN_STREAMS):
        place = await find(services, name)
    try:
        return Source(name, place, await _whole(services, place.stream))
    except StreamNotFound:
        if await Forks(services).is_retired(name):
            message = f"The stream {name!r} was deleted; forks of it are still there."
            raise CursorGone(message, reason="deleted") from None
        raise


async def _whole(services: Services, stream: str) -> StreamInfo:
    info = await services.store.info(stream)
    if not is_whole(info):
        raise StreamNotFound(f"The stream {stream!r} is being made.")
    return info
