"""A position in a stream: `<epoch>-<offset>`, "I have everything up to and including offset".

The epoch is drawn when a stream is created. Without it an old position could alias into a new stream
of the same name: a client that saw offset 40 of a chat that was deleted and made anew would resume at
41 of a text it never saw. With it the mismatch is explicit, and the answer is `gone`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tokentape.core.errors import InvalidCursor

MAX_OFFSET: Final = 2**53 - 1
"""The largest offset: what a JavaScript number holds exactly (Number.MAX_SAFE_INTEGER)."""

EPOCH_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
EPOCH_LENGTH: Final = 8
"""Eight characters of 32: 40 random bits, so that a re-created stream repeats an epoch once in 10^12."""

# Leading zeros are read (a zero-padded offset sorts as text), never written.
_PATTERN: Final = re.compile(r"([0-9a-z]{1,16})-([0-9]{1,20})", re.ASCII)


class Cursor(NamedTuple):
    """An immutable position; `offset` 0 is before the first record."""

    epoch: str
    offset: int

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Reads the wire form; raises `InvalidCursor` for anything else, without echoing more than 40 characters."""
        match = _PATTERN.fullmatch(text) if len(text) <= 40 else None
        offset = int(match[2]) if match else -1
        if match is None or offset > MAX_OFFSET:
            raise InvalidCursor(
                f"{text[:40]!r} is not a cursor. A cursor looks like 'k3f9-17'; use one that this server "
                "gave you, or 'start', 'now' or 'snapshot'."
            )
        return cls(match[1], offset)

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"
