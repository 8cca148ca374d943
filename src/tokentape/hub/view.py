"""A view: one way to see a stream. All who look the same way share the encoded bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tokentape.core.events import Event
from tokentape.core.merge import Entry, entries, merge
from tokentape.dialects.base import Dialect


class Payload(msgspec.Struct, frozen=True, gc=False):
    """Encoded events: everything of a view in (from, `last`]. `ended` says that nothing will follow, ever.

    `state` is the dialect's after them, and `count` how many were recorded, before any were merged.
    """

    content: Any
    size: int
    last: int
    ended: bool
    state: Any = None
    count: int = 0

    def after(self, taken: int) -> Payload:
        """The rest of it, for content that is bytes."""
        return Payload(self.content[taken:], self.size - taken, self.last, self.ended, self.state, self.count)


NOTHING: Final = Payload(None, 0, 0, False)


@dataclass(frozen=True, slots=True)
class View:
    """A dialect, the name that the watcher used, and for one run's own view its id.

    With `merge` a backlog is sent as few large events; without, each stored event as it was recorded.
    `framing` makes what the dialect says into what the connection carries (HTTP chunks, WebSocket frames), once
    for all who share the view.
    """

    dialect: Dialect[Any]
    label: str
    run: str | None = None
    merge: bool = True
    framing: Callable[[Any], bytes] | None = None

    @property
    def format(self) -> str:
        """What its watchers get, by name."""
        return self.dialect.name

    def entries(self, records: Iterable[tuple[int, bytes]]) -> Sequence[Entry]:
        """What records of the store are to this view; raises `InvalidEvent`."""
        return entries(records)

    def encode(
        self,
        epoch: str,
        entries: Sequence[Entry],
        state: Any,
        *,
        last: int,
        merged: bool,
        closed: bool,
        current: bool = False,  # noqa: ARG002 - for formats that tell it
    ) -> Payload:
        """Encodes what this view shows of `entries`, which follow on a place where the dialect had this state.

        `closed` says that the stream is closed at `last`; `current`, that nothing stood after it at this moment.
        """
        ended, run = closed, self.run
        if run is not None:
            for entry in entries:
                if entry.event.run != run:  # a channel has several; else this is its own stream
                    entries = [entry for entry in entries if entry.event.run == run]
                    break
            ended = ended or (bool(entries) and entries[-1].event.type == "done")
        count = len(entries)
        if merged and self.merge:
            entries = merge(entries)
        end = last if ended and run is not None else None
        told = self.dialect.encode(self.label, epoch, entries, state, last=end)
        content, size = self._framed(told.content)
        return Payload(content, size, last, ended or told.over, told.state, count)

    def ephemeral(self, event: Event) -> Payload:
        """Encodes an event that is not stored."""
        content, size = self._framed(self.dialect.ephemeral(self.label, event))
        return Payload(content, size, 0, ended=False)

    def _framed(self, content: Any) -> tuple[Any, int]:
        if self.framing is None or not content:
            return content, self.dialect.size(content)
        framed = self.framing(content)
        return framed, len(framed)
