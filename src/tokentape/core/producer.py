"""Producer dedupe: what makes a repeated append harmless, as one pure rule that every store applies.

A producer numbers its appends 0, 1, 2, … within an epoch of its own (a restart of the producer takes the
next epoch; it has nothing to do with the epoch of a stream). A store remembers per (stream, producer id)
the last accepted pair, and asks:

    known       incoming                        decision
    ────────    ────────────────────────────    ─────────────────────────────────────────────────────
    nothing     any epoch, seq 0                new
    nothing     any epoch, seq > 0              SequenceConflict, expected 0
    (e, s)      epoch < e                       StaleProducer, epoch e: a successor is at work
    (e, s)      epoch = e, seq ≤ s              duplicate: a success, nothing is appended
    (e, s)      epoch = e, seq = s + 1          new
    (e, s)      epoch = e, seq > s + 1          SequenceConflict, expected s + 1: something was lost
    (e, s)      epoch > e, seq 0                new: the predecessor is fenced off from now on
    (e, s)      epoch > e, seq > 0              SequenceConflict, expected 0

After "new", and only then, the store remembers (epoch, seq), for the `MAX_PRODUCERS` that wrote last: whoever may write
could make up any number of names. One that was forgotten is new again. These are the rules of the Durable Streams
protocol, "Producers".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tokentape.core.errors import SequenceConflict, StaleProducer

MAX_PRODUCERS: Final = 1000
"""Producers of one stream that are remembered at least; at most twice as many are kept."""


class ProducerState(NamedTuple):
    """The last append accepted from one producer on one stream."""

    epoch: int
    seq: int


def admit(known: ProducerState | None, epoch: int, seq: int) -> bool:
    """Whether an append is new (True) or a repetition of an accepted one (False).

    `known` is None when the producer is new to the stream. Raises `StaleProducer` with the `epoch` in
    force, or `SequenceConflict` with `expected` and `received`, and for a new epoch that does not begin at 0 the
    `epoch` in force; see the table of this module.
    """
    if known is not None and epoch < known.epoch:
        raise StaleProducer(
            f"producer epoch {epoch} is over: epoch {known.epoch} is in force. Start again with a higher epoch.",
            epoch=known.epoch,
        )
    if known is not None and epoch == known.epoch:
        if seq <= known.seq:
            return False
        expected = known.seq + 1
    else:
        expected = 0
    if seq != expected:
        raise out_of_turn(epoch, seq, expected=expected, known=None if known is None else known.epoch)
    return True


def out_of_turn(epoch: int, seq: int, *, expected: int, known: int | None) -> SequenceConflict:
    """The refusal of a sequence number; `known` is the epoch in force, None for a producer that is new."""
    details = {"expected": expected, "received": seq}
    if known is not None and known < epoch:
        details["epoch"] = known
    return SequenceConflict(
        f"sequence number {seq} of producer epoch {epoch} is out of turn: {expected} comes next.", **details
    )
