"""Whether a watcher got exactly what is on the tape: evidence event by event, and a digest to compare by eye."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from tokentape.core.merge import Entry, merge


class Finding(NamedTuple):
    """What one watcher received. `lost` and `repeated` count recorded events; `digest` is of the merged transcript."""

    events: int
    lost: int
    repeated: int
    digest: str

    @property
    def whole(self) -> bool:
        """Whether nothing is missing and nothing came twice."""
        return self.lost == self.repeated == 0


def audit(tape: Sequence[Entry], received: Sequence[Entry], *, repeated: int = 0) -> Finding:
    """Holds what was received against the whole tape, which is not merged.

    An event stands for all that lies between the one before and its own offset. It counts for them only when it
    is, byte for byte, what merging them gives. `repeated` are those that the client itself has turned away.
    """
    first = tape[0].offset if tape else 1
    covered = place = 0
    for entry in received:
        end = entry.offset - first + 1
        if end <= place:
            repeated += 1
            continue
        stretch = tape[place:end]
        if [merged.record for merged in merge(stretch)] == [entry.record]:
            covered += len(stretch)
        place = end
    return Finding(len(received), len(tape) - covered, repeated, digest(received))


def digest(entries: Sequence[Entry]) -> str:
    """SHA-256 of the transcript: of the events in their most merged form, with their offsets.

    However a watcher's stream was merged on the way, this form is the same (laws of `tokentape.core.merge`).
    """
    lines = (b"%d %b\n" % (entry.offset, entry.record) for entry in merge(entries))
    return hashlib.sha256(b"".join(lines)).hexdigest()
