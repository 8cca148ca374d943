"""What one process knows of the members of one stream: from news, and from looks at the store. Pure.

Laws:
- each change is told once, whether news or a look brought it;
- a look never undoes news that came while it was under way;
- who was there before the first look is known, and not told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import msgspec

from tokentape.stores.base import Member


class Change(NamedTuple):
    """What has become of a member."""

    action: Literal["join", "update", "leave"]
    member: Member


class Key(NamedTuple):
    """Whose word it is: a member, as one process knows it."""

    member_id: str
    instance: str


class Word(NamedTuple):
    """What a process says of a member: since when, in milliseconds, and the member's data."""

    at: int
    data: Any


class News(msgspec.Struct, frozen=True, array_like=True):
    """What one process tells all; `here` repeats what was said before."""

    key: Key
    action: Literal["join", "update", "leave", "here"]
    word: Word | None


encode_news: Final = msgspec.json.Encoder().encode
decode_news: Final = msgspec.json.Decoder(News).decode


class Membership:
    """The members of one stream, as they are known here."""

    def __init__(self, tell: Callable[[Change], None]) -> None:
        self._tell = tell
        self._words: dict[str, dict[str, Word]] = {}
        self.looked = False
        """Whether it is known who was there before."""
        # Those whom the first look found: known, but not told, since whoever is told here may have come after them.
        self._quiet: set[Key] = set()
        # Those who have left before it.
        self._gone: dict[str, None] = {}
        # Those of whom there was news while a look is under way.
        self._touched: set[Key] | None = None

    def __bool__(self) -> bool:
        return bool(self._words)

    def members(self) -> list[Member]:
        """Who is present, in the order in which that became known."""
        return merged(self._words)

    def hear(self, news: News) -> None:
        """Takes news."""
        key, word = news.key, news.word
        if self._touched is not None:
            self._touched.add(key)
        change = self._put(key, word)
        if not self.looked:
            # Who was there before is not known yet, so it is the news themselves that say what has changed.
            if word is None:
                if change is None:
                    self._gone[key.member_id] = None
            elif news.action == "here":
                self._quiet.add(key)
                return
            elif news.action != "leave":
                change = Change(news.action, Member(key.member_id, word.data))
        elif change is None and word is not None and news.action == "join" and key in self._quiet:
            change = Change("join", Member(key.member_id, word.data))  # the first look was ahead of the news
        self._quiet.discard(key)
        if change is not None:
            self._tell(change)

    def begin_look(self) -> None:
        """The store is about to be asked."""
        self._touched = set()

    def end_look(self, found: dict[Key, Word] | None) -> None:
        """What the store said; None when it did not answer."""
        touched, self._touched = self._touched or set(), None
        if found is None:
            return
        known = {Key(member, by) for member, said in self._words.items() for by in said}
        first, self.looked = not self.looked, True
        for key in {**dict.fromkeys(known), **found}:
            if key in touched:
                continue
            change = self._put(key, found.get(key))
            if first and key not in known:
                self._quiet.add(key)
            elif change is not None:
                self._quiet.discard(key)
                self._tell(change)
        for member_id in self._gone:
            if member_id not in self._words:
                self._tell(Change("leave", Member(member_id, None)))
        self._gone.clear()

    def _put(self, key: Key, word: Word | None) -> Change | None:
        said = self._words.get(key.member_id, {})
        before = _newest(said)
        if word is None:
            said.pop(key.instance, None)
        elif key.instance not in said or said[key.instance].at <= word.at:  # a look may have been ahead of the news
            said[key.instance] = word
        after = _newest(said)
        if said:
            self._words[key.member_id] = said
        else:
            self._words.pop(key.member_id, None)
        if before is None:
            return Change("join", Member(key.member_id, after.data)) if after is not None else None
        if after is None:
            return Change("leave", Member(key.member_id, before.data))
        return Change("update", Member(key.member_id, after.data)) if after != before else None


def merged(words: dict[str, dict[str, Word]]) -> list[Member]:
    """The members of whom there are words, each with its newest data."""
    newest = ((member_id, _newest(said)) for member_id, said in words.items())
    return [Member(member_id, word.data) for member_id, word in newest if word is not None]


def _newest(said: dict[str, Word]) -> Word | None:
    return max(said.values(), key=_at, default=None)


def _at(word: Word) -> int:
    return word.at
