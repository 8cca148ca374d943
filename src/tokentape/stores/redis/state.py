"""What Redis keeps of a stream beside its records, as the scripts pack it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from tokentape.stores.base import Standing, StreamConfig, StreamInfo
from tokentape.stores.log import not_found

FIELDS: Final = ("state", "config", "created_at", "sequence")
"""Of the hash of a stream: what all appends change together, and what hardly ever changes."""

_NUMBERS: Final = struct.Struct("<11d")
"""Numbers are doubles, as in Lua, and exact up to 2^53; texts end with a zero byte."""


class State(NamedTuple):
    """The field `state`; common.lua has the same list. Moments are whole milliseconds, 0 for never."""

    first: int
    last: int
    bytes: int
    closed_at: int
    appended_at: int
    idle: int
    after_close: int
    expires_at: int
    max_bytes: int
    idle_until: int
    closed_until: int
    epoch: str
    by: str
    """Who appended last, and what that round did; see append.lua."""

    def standing(self, stream: str) -> Standing:
        """Where the stream stands."""
        return Standing(stream, self.epoch, self.last, closed=self.closed_at > 0)

    def ran_out(self, wall: int, steady: int) -> bool:
        """Whether its time was up at this moment."""
        ends = (self.idle_until, steady), (self.closed_until, steady), (self.expires_at, wall)
        return any(0 < end <= now for end, now in ends)


def unpack_state(packed: bytes) -> State:
    """From the field."""
    epoch, by, _ = packed[_NUMBERS.size :].split(b"\0")
    return State(*map(int, _NUMBERS.unpack_from(packed)), epoch.decode(), by.decode())  # type: ignore[call-arg, arg-type]


def pack_state(state: State) -> bytes:
    """As the scripts do it."""
    return _NUMBERS.pack(*state[:-2]) + b"".join(text.encode() + b"\0" for text in state[-2:])


_decode_config = msgspec.json.Decoder(StreamConfig).decode


def read_info(name: str, fields: Sequence[bytes | None]) -> tuple[StreamInfo, State]:
    """From `FIELDS` as Redis has them; raises `StreamNotFound`."""
    packed, config, created_at, sequence = fields
    if packed is None or config is None:
        raise not_found(name)
    state = unpack_state(packed)
    info = StreamInfo(
        name=name,
        epoch=state.epoch,
        config=_decode_config(config),
        first=state.first,
        last=state.last,
        bytes=state.bytes,
        closed=state.closed_at > 0,
        created_at=int(created_at or 0),
        appended_at=state.appended_at,
        closed_at=state.closed_at,
        sequence=None if sequence is None else sequence.decode(),
    )
    return info, state
