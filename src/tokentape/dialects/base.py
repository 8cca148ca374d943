"""The dialect contract: entries in, what one kind of connection writes out.

Most formats cannot say an event without knowing what they said before: a block has to be opened before its first
piece, pieces are numbered, an answer ends with its whole text. What a dialect has to know is its *state*, a pure
function of the run's events up to a position. So everybody at one position shares it, like the bytes, whichever way
he came there: live, from a merged backlog, or back from a cut with nothing but his cursor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from tokentape.core.events import Event
from tokentape.core.merge import Entry
from tokentape.core.resume import Ready

Content_co = TypeVar("Content_co", covariant=True)
"""What a connection takes: bytes for SSE, a tuple of messages for a WebSocket, entries for a reader in process."""


class Told(msgspec.Struct, frozen=True):
    """What a dialect makes of some events, and its state after them.

    `over` says that its view ends here, though the run may go on: a format that cannot take back what it has shown
    says that it failed, and that is the last thing it says.
    """

    content: Any
    state: Any = None
    over: bool = False


class Dialect(Protocol[Content_co]):
    """One wire format in one framing. Pure and shared: the hub encodes once for all who watch the same way.

    `label` is the name by which the watcher asked for the stream. Implementations MUST be hashable and
    equal only to what encodes identically; module-level instances do.
    """

    name: str
    stateful: bool
    """Whether `encode` needs the state of the place where it goes on; it is None for one that is not."""
    starts_over: bool
    """Whether `ready` can say that what was shown is void (`gone`); else such a view is refused, or cut."""

    def ready(self, label: str, ready: Ready) -> Content_co:
        """The announcement with which a view opens, or starts over."""
        ...

    def encode(self, label: str, epoch: str, entries: Sequence[Entry], state: Any, *, last: int | None = None) -> Told:
        """Stored events, each with its cursor, and the state after them.

        `state` is the one before them: None at the beginning of a run. `last` is given when they are the last of a
        run's own view (there may be none), with the offset where it ends: then comes whatever the format closes with.
        """
        ...

    def ephemeral(self, label: str, event: Event) -> Content_co:
        """An event that is not stored, and so has no cursor."""
        ...

    def size(self, content: object) -> int:
        """Bytes of `content`, for buffer accounting."""
        ...


class SseDialect(Dialect[Content_co], Protocol[Content_co]):
    """A dialect for `text/event-stream`."""

    of_run: bool
    """Whether it tells one run, and has no way to tell a channel."""
    headers: Mapping[str, str]
    """Of its responses, beside those of every event stream."""

    def farewell(self, pause_ms: int) -> bytes:
        """What is said before the connection is cut because the server goes away: when to come back."""
        ...


@runtime_checkable
class Stepwise(Protocol):
    """A dialect that says one event in several steps: the ids in between are places that no cursor names."""

    def resumed(self, position: str) -> tuple[SseDialect[bytes], str]:
        """How, and from which cursor, to go on after an id of this format; others come back as they are."""
        ...
