"""The session of one watch as a client sees it: connect → play → wait → connect …, until the end; a pure machine.

    state        ends by        next         what the caller does
    ─────────    ───────────    ─────────    ──────────────────────────────────────────────
    IDLE         Begun          CONNECTING   `Connect`
    CONNECTING   Opened         PLAYING
    CONNECTING   Ended          ENDED        `Finish`: nothing follows this position
    PLAYING      Item           PLAYING      `Deliver`; after a run's `done` the state is ENDED
    PLAYING      Retry          PLAYING
    PLAYING      Ended          ENDED        `Finish`
    either       Lost           WAITING      `Wait`, or FAILED and `Fail` when that has gone on for too long
    either       Refused        FAILED       `Fail`
    WAITING      Waited         CONNECTING   `Connect`

Laws (tests/client/test_session.py):
- a connection that ends before the terminal event is lost, however cleanly it ended (P4);
- each `Connect` asks for exactly what follows the last item delivered, so none is missed or repeated (P1, P2);
- an item of another epoch, unless a `ready` announced it, is a broken connection, never silently taken for the next;
- ENDED and FAILED absorb everything.

Transports translate bytes into signals (`sse`, `ws`, `poll`); whoever holds the clock, the randomness and
the socket feeds them in and carries out the actions: `watch` with asyncio.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

import msgspec

from tokentape.core.backoff import Backoff
from tokentape.core.cursor import Cursor
from tokentape.core.errors import InvalidCursor, ProtocolError, TokentapeError
from tokentape.core.events import Event
from tokentape.core.resume import From

STEADY: Final = 5.0
"""Seconds after which a connection that brought no event counts as a good one all the same."""


class Item(NamedTuple):
    """One event as it came. `cursor` is None for what is not stored, and for `ready`, which has its own in `data`.

    `record` is the event's JSON as the server sent it.
    """

    cursor: Cursor | None
    event: Event
    record: bytes


class Begun(msgspec.Struct, frozen=True):
    """Somebody wants to watch."""


class Opened(msgspec.Struct, frozen=True):
    """The server accepted; what comes next belongs to this watch."""


class Retry(msgspec.Struct, frozen=True):
    """The server asks for this pause before each reconnection, in seconds."""

    seconds: float


class Ended(msgspec.Struct, frozen=True):
    """The server says that nothing follows, ever."""


class Lost(msgspec.Struct, frozen=True):
    """The connection failed, broke or ended; another may do better. `retry_after` is in seconds."""

    error: TokentapeError
    retry_after: float = 0


class Refused(msgspec.Struct, frozen=True):
    """The server's answer would be the same the next time."""

    error: TokentapeError


class Waited(msgspec.Struct, frozen=True):
    """The time of a `Wait` is over."""


Signal = Begun | Opened | Retry | Item | Ended | Lost | Refused | Waited


class Connect(msgspec.Struct, frozen=True):
    """Open a connection that begins here."""

    position: From


class Deliver(msgspec.Struct, frozen=True):
    """Hand this to whoever watches."""

    item: Item


class Wait(msgspec.Struct, frozen=True):
    """Drop the connection, and signal `Waited` in so many seconds; `error` is what happened."""

    seconds: float
    error: TokentapeError


class Finish(msgspec.Struct, frozen=True):
    """Everything was delivered: drop the connection."""


class Fail(msgspec.Struct, frozen=True):
    """Drop the connection, and raise this."""

    error: TokentapeError


Action = Connect | Deliver | Wait | Finish | Fail


class State(Enum):
    """See the table of this module."""

    IDLE = auto()
    CONNECTING = auto()
    PLAYING = auto()
    WAITING = auto()
    ENDED = auto()
    FAILED = auto()


TRANSITIONS: Final[dict[tuple[State, type], State]] = {
    (State.IDLE, Begun): State.CONNECTING,
    (State.CONNECTING, Opened): State.PLAYING,
    (State.CONNECTING, Ended): State.ENDED,
    (State.CONNECTING, Lost): State.WAITING,
    (State.CONNECTING, Refused): State.FAILED,
    (State.PLAYING, Retry): State.PLAYING,
    (State.PLAYING, Item): State.PLAYING,
    (State.PLAYING, Ended): State.ENDED,
    (State.PLAYING, Lost): State.WAITING,
    (State.PLAYING, Refused): State.FAILED,
    (State.WAITING, Waited): State.CONNECTING,
}


class Patience(msgspec.Struct, frozen=True):
    """How long a watch goes on trying without any progress, in seconds: until it is first accepted, and after."""

    first: float = 0
    again: float = 300


class Session:
    """One watch. `run` is the id of the run whose own view this is, None for a channel."""

    def __init__(
        self,
        start: From,
        *,
        run: str | None = None,
        backoff: Backoff | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.state = State.IDLE
        self.position: From = start
        """What the next connection asks for."""
        self.reconnections = 0
        """How many times the connection was lost and tried again."""
        self.repeated = 0
        """Events that came although they had been delivered; a faithful server has none."""
        self._run = run
        self._backoff = backoff or Backoff()
        self._patience = patience or Patience()
        self._hint = 0.0
        self._attempt = 0
        self._accepted = False
        self._opened_at = 0.0
        self._failing_since: float | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will be delivered."""
        return self.state in (State.ENDED, State.FAILED)

    def step(self, signal: Signal, *, now: float, random: float) -> Action | None:
        """Takes a signal; returns what to do about it, None for nothing.

        `now` is in seconds on a monotonic clock, `random` drawn evenly from 0…1. Raises `RuntimeError` for a
        signal that cannot come in this state.
        """
        if self.over:
            return None
        try:
            state = TRANSITIONS[self.state, type(signal)]
        except KeyError:
            raise RuntimeError(f"a {self.state.name} watch cannot get {type(signal).__name__}") from None
        match signal:
            case Begun() | Waited():
                self.state = state
                return Connect(self.position)
            case Opened():
                self.state = state
                self._accepted = True
                self._opened_at = now
                return None
            case Retry(seconds):
                self._hint = seconds
                return None
            case Item():
                return self._take(signal, now, random)
            case Ended():
                self.state = state
                return Finish()
            case Lost(error, retry_after):
                return self._lose(error, retry_after, now, random)
            case Refused(error):
                self.state = state
                return Fail(error)

    def _take(self, item: Item, now: float, random: float) -> Action | None:
        cursor, event, _ = item
        if cursor is None:
            if event.type == "ready":
                try:
                    self.position = Cursor.parse(event.data["cursor"])
                except (InvalidCursor, KeyError, TypeError):
                    broken = ProtocolError("The server announced a view without a cursor.")
                    return self._lose(broken, 0, now, random)
                return Deliver(item)
        else:
            held = self.position
            if isinstance(held, Cursor):
                if cursor.epoch != held.epoch:
                    broken = ProtocolError(f"The server went from {held} to {cursor} without an announcement.")
                    return self._lose(broken, 0, now, random)
                if cursor.offset <= held.offset:
                    # All of it, also when merged, is at or before its last offset: delivered already.
                    self.repeated += 1
                    return None
            self.position = cursor
        self._progress()
        if self._run is not None and event.type == "done" and event.run == self._run:
            # What follows can only say the same: the answer is whole even if the connection breaks here.
            self.state = State.ENDED
        return Deliver(item)

    def _progress(self) -> None:
        self._attempt = 0
        self._failing_since = None

    def _lose(self, error: TokentapeError, retry_after: float, now: float, random: float) -> Action:
        if self.state is State.PLAYING and now - self._opened_at >= STEADY:
            self._progress()
        if self._failing_since is None:
            self._failing_since = now
        delay = self._backoff.delay(self._attempt, random, hint=max(retry_after, self._hint))
        patience = self._patience.again if self._accepted else self._patience.first
        if now + delay - self._failing_since >= patience:
            self.state = State.FAILED
            return Fail(error)
        self.state = State.WAITING
        self._attempt += 1
        self.reconnections += 1
        return Wait(delay, error)
