"""Channels: streams that stay open, that several parties publish to, with history and presence."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Any, Final, Literal

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest, CursorGone, InvalidEvent, StreamExists, TooLarge
from tokentape.core.events import Event, check_stream_name, check_type, encode_event
from tokentape.core.merge import Entry, entries
from tokentape.core.transcript import Message, Transcript
from tokentape.hub.hub import Hub
from tokentape.hub.members import Change
from tokentape.hub.presence import Roster
from tokentape.hub.rewinds import Rewinds
from tokentape.stores.base import Append, Appended, Member, Retention, StreamConfig, StreamInfo

MAX_EVENT: Final = 262_144
"""Bytes of one published event: the same as a page of the store, so that any event fits into one write."""
MAX_PUBLISH: Final = 1000
"""Events in one publish."""
MAX_HISTORY: Final = 1000
MAX_HISTORY_BYTES: Final = 8_388_608
"""Bytes of records behind one page; a page may have fewer items than asked for."""
MESSAGE_WINDOW: Final = 20_000
"""Events looked at for one page of whole messages, and after it for the rest of those that began there."""
MAX_MEMBER: Final = 8_192
"""Bytes of a member's data."""
CHANNEL: Final = "channel"
"""The attribute `kind` of channels."""
RUN_STREAMS: Final = "runs/"
"""Prefix of the streams that belong to one run each."""
_WITHOUT_PRESENCE: Final = (RUN_STREAMS, "$")


class Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event to publish. With an `id` it is published once, however often it is sent."""

    type: str
    data: Any = None
    id: str | None = None
    persist: bool = True


class Located(msgspec.Struct, frozen=True):
    """An event with its place in the channel."""

    cursor: str
    event: msgspec.Raw


class History(msgspec.Struct, frozen=True):
    """A page of the past. Watching from `cursor` goes on live without a gap; `next` asks for the next page."""

    items: list[Located] | list[Message]
    cursor: str
    next: str | None


def check_channel(name: str) -> str:
    """Returns a valid channel name; raises `InvalidName`, or `BadRequest` for a name that belongs to runs."""
    if name.startswith(RUN_STREAMS):
        raise BadRequest(f"{name[:80]!r} belongs to a run. Choose a channel name that does not start with 'runs/'.")
    return check_stream_name(name)


class Channels:
    """Publishing, history and presence, on any store."""

    def __init__(
        self,
        hub: Hub,
        *,
        retention: Retention,
        now: Callable[[], float] = time.time,
        roster: Roster | None = None,
    ) -> None:
        self._hub = hub
        self._config = StreamConfig(retention=retention, attributes={"kind": CHANNEL})
        self._now = now
        self._rewinds = Rewinds(hub.store)
        self.roster = roster or Roster(hub, instance=f"i_{secrets.token_hex(8)}", now=now)
        """Who is present, on channels and elsewhere, over all processes of the store."""
        if self.roster.possible:
            hub.on_audience.append(self._audience)

    async def ensure(self, name: str) -> StreamInfo:
        """The channel, created when it is not there."""
        check_channel(name)
        try:
            info, _ = await self._hub.store.create(name, self._config)
        except StreamExists:
            # Made otherwise, such as by a fork, it is a channel all the same.
            info = await self._hub.store.info(name)
            if info.config.attributes.get("kind") != CHANNEL:
                raise
        return info

    async def publish(self, name: str, events: Sequence[Publish]) -> Cursor | None:
        """Records a list of events as one atomic step, and shows those with `persist=False` to whoever watches.

        Returns the position of the last stored one, None when none was to be stored.
        """
        if len(events) > MAX_PUBLISH:
            raise TooLarge(f"{len(events)} events in one publish; send {MAX_PUBLISH} at most.")
        at = int(self._now() * 1000)
        made = [(publish, self._event(publish, at)) for publish in events]
        await self.ensure(name)
        stored = [(publish, event) for publish, event in made if publish.persist]
        cursor = None
        if stored:
            appended = await self._record(Append(stream=name), stored)
            cursor = Cursor(appended.epoch, appended.offsets[-1])
        for publish, event in made:
            if not publish.persist:
                self._hub.broadcast(name, event)
        return cursor

    async def append(self, item: Append, events: Sequence[Publish]) -> Appended:
        """Records a list of events as one atomic step, with the producer, sequence and epoch that `item` has.

        `item.stream` is a channel that is there; `item.records` and `item.keys` are set here.
        """
        at = int(self._now() * 1000)
        return await self._record(item, [(publish, self._event(publish, at)) for publish in events])

    async def _record(self, item: Append, made: Sequence[tuple[Publish, Event]]) -> Appended:
        keys = [f"id:{publish.id}" if publish.id is not None else None for publish, _ in made]
        item.keys = keys if any(keys) else None
        return await self._hub.append(item, [event for _, event in made])

    @staticmethod
    def _event(publish: Publish, at: int) -> Event:
        if publish.id is not None and not 0 < len(publish.id) <= 200:
            raise InvalidEvent("An event's `id` has 1 to 200 characters.")
        event = Event(type=check_type(publish.type), data=publish.data, id=publish.id, at=at)
        size = len(encode_event(event))
        if size > MAX_EVENT:
            raise TooLarge(f"This {publish.type!r} event has {size} bytes; {MAX_EVENT} is the most.")
        return event

    # History

    async def history(
        self,
        name: str,
        *,
        before: Cursor | None = None,
        after: Cursor | None = None,
        limit: int = 50,
        order: Literal["newest", "oldest"] = "newest",
        view: Literal["events", "messages"] = "events",
    ) -> History:
        """A page of events, or of whole messages, between two positions, both exclusive.

        Pages of one order join without gap or overlap through `next`, also while events are added.
        """
        if not 1 <= limit <= MAX_HISTORY:
            raise BadRequest(f"`limit` is from 1 to {MAX_HISTORY}; got {limit}.")
        info = await self._hub.store.info(name)
        low, high = _bounds(info, before, after)
        window = limit if view == "events" else MESSAGE_WINDOW
        if order == "newest":
            found = await self._read(name, max(low, high - window), high, keep="last")
        else:
            found = await self._read(name, low, min(high, low + window), keep="first")
        if view == "messages":
            return await self._messages(info, found, low=low, high=high, limit=limit, order=order)
        more = found and (found[0].offset - 1 > low if order == "newest" else found[-1].offset < high)
        edge = (found[0] if order == "newest" else found[-1]).offset if more else 0
        if order == "newest":
            found.reverse()
        items = [Located(f"{info.epoch}-{entry.offset}", msgspec.Raw(entry.record)) for entry in found]
        return History(items, f"{info.epoch}-{info.last}", f"{info.epoch}-{edge}" if more else None)

    async def _read(self, name: str, after: int, upto: int, *, keep: Literal["first", "last"]) -> list[Entry]:
        """The events after `after` up to `upto`; of more than fit, those at the end that is asked for."""
        found: deque[Entry] = deque()
        size = 0
        async for page in self._pages(name, after, upto):
            for entry in page:
                found.append(entry)
                size += len(entry.record)
                if keep == "first" and size >= MAX_HISTORY_BYTES:
                    return list(found)
            while size > MAX_HISTORY_BYTES and len(found) > 1:
                size -= len(found.popleft().record)
        return list(found)

    async def _pages(self, name: str, after: int, upto: int) -> AsyncGenerator[list[Entry], None]:
        while after < upto:
            page = await self._hub.store.read(name, after, max_records=upto - after)
            if not page.records:
                return
            yield entries(page.records)
            after = page.records[-1][0]

    async def _messages(
        self,
        info: StreamInfo,
        found: list[Entry],
        *,
        low: int,
        high: int,
        limit: int,
        order: Literal["newest", "oldest"],
    ) -> History:
        # A message belongs to the page that holds its first event, so each is on one page, and whole.
        transcript = Transcript()
        transcript.apply_all((entry.offset, entry.event) for entry in found)
        start, end = (found[0].offset, found[-1].offset) if found else (1, high)
        unfinished = {message.run for message in transcript.messages() if message.state == "running"}
        if unfinished:
            async for page in self._pages(info.name, end, min(info.last, end + MESSAGE_WINDOW)):
                transcript.apply_all((e.offset, e.event) for e in page if e.event.run in unfinished)
        for from_ in await self._rewinds.after(info, end):
            transcript.take_back(from_)
        messages = [m for m in transcript.messages() if m.run is None or m.id is not None or start == info.first]
        if order == "newest":
            kept = messages[-limit:][::-1]
            edge = kept[-1].first if len(messages) > limit else start
            more = edge - 1 > low
        else:
            kept = messages[:limit]
            edge = kept[-1].first if len(messages) > limit else end
            more = edge < high
        return History(kept, f"{info.epoch}-{info.last}", f"{info.epoch}-{edge}" if more else None)

    # Presence

    async def track(self, name: str, member: Member) -> None:
        """Makes somebody present, or changes their data; tells the channel's watchers."""
        if not 0 < len(member.id) <= 200 or len(msgspec.json.encode(member.data)) > MAX_MEMBER:
            raise BadRequest(f"A member has an id of 1 to 200 characters and at most {MAX_MEMBER} bytes of data.")
        await self.ensure(name)
        await self.roster.track(name, member)

    async def untrack(self, name: str, member_id: str) -> None:
        """Makes somebody who came through this process absent; without effect when they are not there."""
        await self.roster.untrack(name, member_id)

    async def members(self, name: str) -> list[Member]:
        """Who is present."""
        await self._hub.store.info(name)
        return await self.roster.members(name)

    async def aclose(self) -> None:
        """Lets go of everybody who came through this process."""
        await self.roster.aclose()

    def _audience(self, stream: str, count: int) -> None:
        """Somebody watches, or nobody does any more: only then is it worth to know who is there."""
        if count == 0:
            self.roster.unfollow(stream)
        elif not self.roster.following(stream) and not stream.startswith(_WITHOUT_PRESENCE):
            self.roster.follow(stream, partial(self._tell, stream))

    def _tell(self, stream: str, change: Change) -> None:
        data = {"action": change.action, "id": change.member.id, "data": change.member.data}
        self._hub.show(stream, Event(type="presence", data=data, at=int(self._now() * 1000)))


def _bounds(info: StreamInfo, before: Cursor | None, after: Cursor | None) -> tuple[int, int]:
    for cursor in (before, after):
        if cursor is not None and cursor.epoch != info.epoch:
            raise CursorGone(
                f"{cursor} is of another life of {info.name!r}; leave it out to begin anew.", reason="epoch"
            )
    low = max(info.first - 1, after.offset if after is not None else 0)
    high = min(info.last, before.offset - 1 if before is not None else info.last)
    return low, high
