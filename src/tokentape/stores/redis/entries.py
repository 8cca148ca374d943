"""An append on its way to Redis, and what came back as what the caller gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tokentape.core.cursor import MAX_OFFSET
from tokentape.core.errors import (
    BadRequest,
    CursorGone,
    Fenced,
    SequenceConflict,
    StaleProducer,
    StoreUnavailable,
    StreamClosed,
    TokentapeError,
)
from tokentape.core.producer import out_of_turn
from tokentape.stores.base import Append, Appended
from tokentape.stores.log import not_found

# What a script answers first; common.lua has the same list.
OK: Final = 0
DUPLICATE: Final = 1
NOT_FOUND: Final = 2
GONE: Final = 3
FENCED: Final = 4
STALE: Final = 5
OUT_OF_TURN: Final = 6
CLOSED: Final = 7
SEQUENCE: Final = 8
UNSURE: Final = 9
FUTURE: Final = 10
TRIMMED: Final = 11
FAILED: Final = 12
LATER: Final = 13


class Entry:
    """One entry of a batch on its way to Redis and back."""

    __slots__ = ("append", "index", "lease_ends", "result", "size")

    def __init__(self, append: Append) -> None:
        for record in append.records:
            if type(record) is not bytes:  # anything else would come back as something else
                raise TypeError(f"records are bytes, not {type(record).__name__}")
        self.append = append
        self.size = sum(map(len, append.records))
        self.result: Appended | TokentapeError | None = self._judge()
        self.index = 0
        self.lease_ends: int | None = None
        """When its lease ends, where that had to be looked up on another node."""

    def _judge(self) -> TokentapeError | None:
        append = self.append
        if append.keys is not None and len(append.keys) != len(append.records):
            return BadRequest(
                f"{len(append.keys)} keys were given for {len(append.records)} records: one each is needed."
            )
        if append.producer is not None and not 0 <= max(append.producer[1:]) <= MAX_OFFSET:
            return BadRequest(f"{max(append.producer[1:])} is too large for a producer's epoch or sequence number.")
        return None

    def settle(self, answer: Any) -> None:
        """Takes the script's answer."""
        if answer[0] == OK:
            _, epoch, first, last, closed, *offsets = answer
            self.result = Appended(
                epoch.decode(),
                first,
                last,
                bool(closed),
                offsets if self.append.keys is not None else range(first, last + 1),
            )
        elif answer[0] == DUPLICATE:
            _, epoch, first, last, closed, seq = answer
            offsets = (0,) * len(self.append.records)
            self.result = Appended(epoch.decode(), first, last, bool(closed), offsets, duplicate=True, seq=seq)
        else:
            self.result = refusal(self.append, answer)


def refusal(append: Append, answer: Sequence[Any]) -> TokentapeError:
    """Why an append was refused."""
    name, code = append.stream, answer[0]
    if code == NOT_FOUND:
        return not_found(name)
    if code == GONE:
        epoch = answer[1].decode()
        return CursorGone(
            f"Stream {name!r} was made anew: its epoch is {epoch!r}, not {append.epoch!r}.", reason="epoch"
        )
    if code == FENCED:
        assert append.fence is not None
        return Fenced(f"Lease {append.fence.lease!r} was lost: another writer may own {name!r} now. Stop writing.")
    if code == CLOSED:
        return StreamClosed(f"Stream {name!r} is closed at offset {answer[1]}.", last=answer[1])
    if code == SEQUENCE:
        last = answer[1].decode()
        return SequenceConflict(f"{append.sequence!r} is not greater than {last!r}, the last one of {name!r}.")
    if code == UNSURE:
        return StoreUnavailable(
            f"The connection to Redis was lost. Whether this append to {name!r} was done is not known: read the stream."
        )
    assert append.producer is not None
    _, epoch, seq = append.producer
    if code == STALE:
        return StaleProducer(
            f"producer epoch {epoch} is over: epoch {answer[1]} is in force. Start again with a higher epoch.",
            epoch=answer[1],
        )
    assert code == OUT_OF_TURN, f"append.lua answered {code}"
    return out_of_turn(epoch, seq, expected=answer[1], known=answer[2] if len(answer) > 2 else None)
