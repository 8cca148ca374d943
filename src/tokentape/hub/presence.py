"""Who is present, over all processes of a store: kept alive from here, and followed for those who are told here.

A member is present as long as one process says so. What a process says of a member is a word of its own in the store,
with an end; so a process that is killed takes along nobody who is also present elsewhere, and whoever was present only
there is gone when the word has run out.

Laws:
- the store is the truth; news between processes (`Hub.tell`) make it known at once, and may be lost;
- whatever was lost is found by a look at the store, and each change is told once here (`hub.members`);
- work is bounded by what is followed here: a process that follows nothing drops the news unread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Final

import msgspec

from tokentape.core.errors import BadRequest, TokentapeError
from tokentape.hub.hub import Hub
from tokentape.hub.members import Change, Key, Membership, News, Word, decode_news, encode_news, merged
from tokentape.stores.base import Member, Presence

_log = logging.getLogger(__name__)

PRESENCE_SECONDS: Final = 30.0
"""A member whose process was killed is gone for everybody within this time."""
LOOK_SECONDS: Final = 5.0
"""How often the store is looked at for what is followed and has members."""
AT_ONCE: Final = 16
"""Calls of the store under way."""
_TOPIC: Final = "$here/"


class Roster:
    """The presence of this process: those whom it brings, and those whom it follows."""

    def __init__(
        self,
        hub: Hub,
        *,
        instance: str,
        seconds: float = PRESENCE_SECONDS,
        look_seconds: float = LOOK_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`instance` is this process's own name. Times are in seconds; `now` is the wall clock."""
        self.instance = instance
        self._hub = hub
        self._life = seconds - look_seconds
        self._look_seconds = look_seconds
        self._now = now
        self._last = 0
        self._complained = False
        self._mine: dict[tuple[str, str], Word] = {}
        self._views: dict[str, Membership] = {}
        self._due: dict[str, None] = {}
        self._next: asyncio.TimerHandle | None = None
        self._closed = False
        self._keeper: asyncio.Task[None] | None = None
        self._looker: asyncio.Task[None] | None = None

    @property
    def possible(self) -> bool:
        """Whether the store can keep presence."""
        return isinstance(self._hub.store, Presence)

    # Those whom this process brings

    async def track(self, stream: str, member: Member) -> None:
        """Makes somebody present, or changes their data."""
        # Each change has a time of its own: it tells the newer from the older.
        self._last = max(self._last + 1, int(self._now() * 1000))
        word = Word(self._last, member.data)
        new = await self._say(stream, member.id, word)
        self._mine[stream, member.id] = word
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="tokentape-presence")
        self._spread(stream, News(self._key(member.id), "join" if new else "update", word))

    async def untrack(self, stream: str, member_id: str) -> None:
        """Makes somebody absent, as far as this process goes."""
        if self._mine.pop((stream, member_id), None) is None:
            return
        if await self._store.untrack(stream, f"{self.instance} {member_id}"):
            self._spread(stream, News(self._key(member_id), "leave", None))

    def abandon(self, stream: str, member_id: str) -> None:
        """Keeps somebody no longer: they are absent when their time has run out, and not before."""
        self._mine.pop((stream, member_id), None)

    async def _say(self, stream: str, member_id: str, word: Word) -> bool:
        member = Member(f"{self.instance} {member_id}", [word.at, word.data])
        return await self._store.track(stream, member, seconds=self._life)

    def _spread(self, stream: str, news: News) -> None:
        self._hub.tell(_TOPIC + stream, encode_news(news))

    def _key(self, member_id: str) -> Key:
        return Key(member_id, self.instance)

    async def _keep(self) -> None:
        while self._mine:
            await asyncio.sleep(self._life / 3)
            await _in_turns(self._renew(*place, word) for place, word in tuple(self._mine.items()))

    async def _renew(self, stream: str, member_id: str, word: Word) -> None:
        try:
            new = await self._say(stream, member_id, word)
            if (stream, member_id) not in self._mine:
                # Gone meanwhile, and this has brought the word back.
                await self._store.untrack(stream, f"{self.instance} {member_id}")
                return
        except TokentapeError as error:
            self._complain(error)
            return
        # Again, for whoever has not heard it the first time.
        self._spread(stream, News(self._key(member_id), "join" if new else "here", word))

    # Those whom it follows

    async def members(self, stream: str) -> list[Member]:
        """Who is present, in the order of arrival; asks the store."""
        found: dict[str, dict[str, Word]] = {}
        for key, word in (await self._look_up(stream)).items():
            found.setdefault(key.member_id, {})[key.instance] = word
        return merged(found)

    def follow(self, stream: str, tell: Callable[[Change], None]) -> None:
        """Calls back at each change from now on; who is there already is not told."""
        self._views[stream] = Membership(tell)
        self._hub.hear(_TOPIC + stream, partial(self._hear, stream))
        self._look_at([stream])

    def unfollow(self, stream: str) -> None:
        """Ends a `follow`; without effect when there is none."""
        if self._views.pop(stream, None) is not None:
            self._due.pop(stream, None)
            self._hub.forget(_TOPIC + stream)

    def following(self, stream: str) -> bool:
        """Whether a stream is followed."""
        return stream in self._views

    def known(self, stream: str) -> list[Member]:
        """Who is known to be present on a stream that is followed."""
        view = self._views.get(stream)
        return view.members() if view is not None else []

    def _hear(self, stream: str, record: bytes) -> None:
        try:
            news = decode_news(record)
        except msgspec.DecodeError as error:
            _log.warning("news of who is on %s cannot be read: %s", stream, error)
            return
        view = self._views[stream]
        view.hear(news)
        if view:
            self._look_later()

    def _look_at(self, streams: Iterable[str]) -> None:
        self._due.update(dict.fromkeys(streams))
        if self._looker is None or self._looker.done():
            self._looker = asyncio.get_running_loop().create_task(self._look_at_due(), name="tokentape-roster")

    async def _look_at_due(self) -> None:
        while self._due:
            due, self._due = self._due, {}
            await _in_turns(self._look(stream) for stream in due)
        if self._worth_looking():
            self._look_later()

    def _look_later(self) -> None:
        # A timer and no task: most channels have watchers, and no members.
        if self._next is None and not self._closed:
            self._next = asyncio.get_running_loop().call_later(self._look_seconds, self._look_again)

    def _look_again(self) -> None:
        self._next = None
        if streams := self._worth_looking():
            self._look_at(streams)

    def _worth_looking(self) -> list[str]:
        return [stream for stream, view in self._views.items() if view or not view.looked]

    async def _look(self, stream: str) -> None:
        view = self._views.get(stream)
        if view is None:
            return
        found = None
        view.begin_look()
        try:
            found = await self._look_up(stream)
            self._complained = False
        except TokentapeError as error:
            self._complain(error)
        finally:
            if self._views.get(stream) is view:
                view.end_look(found)

    def _complain(self, error: TokentapeError) -> None:
        # Once, and not for each stream every few seconds.
        if not self._complained:
            self._complained = True
            _log.warning("who is present cannot be kept up to date: %s", error)

    async def _look_up(self, stream: str) -> dict[Key, Word]:
        found: dict[Key, Word] = {}
        for member in await self._store.members(stream):
            instance, _, member_id = member.id.partition(" ")
            found[Key(member_id, instance)] = Word(*member.data)
        return found

    async def aclose(self) -> None:
        """Lets go of everybody who came through this process."""
        self._closed = True
        if self._next is not None:
            self._next.cancel()
        tasks = [task for task in (self._keeper, self._looker) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _in_turns(self._let_go(*place) for place in tuple(self._mine))
        for stream in tuple(self._views):
            self.unfollow(stream)

    async def _let_go(self, stream: str, member_id: str) -> None:
        try:
            await self.untrack(stream, member_id)
        except TokentapeError as error:
            _log.warning("%s could not be told that somebody has left: %s", stream, error)

    @property
    def _store(self) -> Presence:
        if isinstance(self._hub.store, Presence):
            return self._hub.store
        raise BadRequest("This store cannot keep presence.")


async def _in_turns(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Carries out all of it, some at once."""
    rest: Iterator[Coroutine[Any, Any, None]] = iter(work)
    while some := list(islice(rest, AT_ONCE)):
        await asyncio.gather(*some)
