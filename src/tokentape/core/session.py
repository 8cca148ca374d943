"""The session of one watcher as a table: replay → live → draining → closed.

Laws:
- a session ends cleanly (`FINISH`) only from `DRAINING`, that is after its terminal event was written (P4);
- every other way out is `ABORT`, so that no client takes a truncated answer for a whole one;
- `CLOSED` absorbs everything.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class State(Enum):
    REPLAY = auto()
    """Behind the tail: reads the store or the ring from its cursor."""
    LIVE = auto()
    """At the tail: gets each flush as it happens."""
    DRAINING = auto()
    """Its last event is written; waits until the bytes have left."""
    CLOSED = auto()


class Input(Enum):
    CAUGHT_UP = auto()
    """The cursor reached the tail's head."""
    BEHIND = auto()
    """A flush found the connection full, or the ring no longer holds what comes next."""
    GONE = auto()
    """What comes next is no longer in the store: say so, then start over from what is."""
    ENDED = auto()
    """The terminal event (or the end of a closed stream) has been written."""
    FLUSHED = auto()
    """The connection has taken every byte."""
    LOST = auto()
    """The connection is gone, or made no progress until its deadline."""
    SHUTDOWN = auto()
    """The server is going away."""


class Action(Enum):
    NONE = auto()
    JOIN = auto()
    """Join the live watchers of the tail."""
    READ = auto()
    """Leave them, and read from the cursor."""
    SNAPSHOT = auto()
    """Announce `gone` and read from the start of what is retained."""
    FINISH = auto()
    ABORT = auto()


TRANSITIONS: Final[dict[tuple[State, Input], tuple[State, Action]]] = {
    (State.REPLAY, Input.CAUGHT_UP): (State.LIVE, Action.JOIN),
    (State.REPLAY, Input.BEHIND): (State.REPLAY, Action.NONE),
    (State.REPLAY, Input.GONE): (State.REPLAY, Action.SNAPSHOT),
    (State.REPLAY, Input.ENDED): (State.DRAINING, Action.NONE),
    (State.REPLAY, Input.LOST): (State.CLOSED, Action.ABORT),
    (State.REPLAY, Input.SHUTDOWN): (State.CLOSED, Action.ABORT),
    (State.LIVE, Input.BEHIND): (State.REPLAY, Action.READ),
    (State.LIVE, Input.GONE): (State.REPLAY, Action.SNAPSHOT),
    (State.LIVE, Input.ENDED): (State.DRAINING, Action.NONE),
    (State.LIVE, Input.LOST): (State.CLOSED, Action.ABORT),
    (State.LIVE, Input.SHUTDOWN): (State.CLOSED, Action.ABORT),
    (State.DRAINING, Input.FLUSHED): (State.CLOSED, Action.FINISH),
    (State.DRAINING, Input.LOST): (State.CLOSED, Action.ABORT),
    # Its last bytes are on their way; the write deadline bounds how long that may take.
    (State.DRAINING, Input.SHUTDOWN): (State.DRAINING, Action.NONE),
}


def step(state: State, event: Input) -> tuple[State, Action]:
    """The next state and what to do; raises `RuntimeError` for an input that cannot happen in this state."""
    if state is State.CLOSED:
        return State.CLOSED, Action.NONE
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise RuntimeError(f"a {state.name} session cannot get {event.name}") from None
