"""Events with names, as channels of push services have them: `ai:token {"token"}`, `ai:done {}`, an application's own.

On a channel several runs may speak at once, so each event of a run says which: `{"run", …}`. Nothing here depends on
what was said before, so that a channel can be joined anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokentape.core.events import Event
from tokentape.core.merge import Entry
from tokentape.core.sse import encode_sse
from tokentape.dialects.base import Told
from tokentape.dialects.foreign import ForeignSse

_json: Final = msgspec.json.Encoder()
_SPOKEN: Final = frozenset({"token", "reasoning"})


class ChannelSse(ForeignSse):
    """`event: <name>`, and JSON as `data`. What the model says is `ai:…`; own events keep their names."""

    name = "channel"
    stateful = False
    of_run = False
    heeds_retry = True

    def encode(self, label: str, epoch: str, entries: Sequence[Entry], state: None, *, last: int | None = None) -> Told:
        """See `tokentape.dialects.base.Dialect`."""
        return Told(b"".join([self._block(entry.event, f"{epoch}-{entry.offset}") for entry in entries]))

    def ephemeral(self, label: str, event: Event) -> bytes:
        """The same, without an id."""
        return self._block(event, None)

    @staticmethod
    def _block(event: Event, place: str | None) -> bytes:
        if ":" in event.type:
            return encode_sse(_json.encode(event.data), id=place, event=event.type)
        return encode_sse(_json.encode(_data(event)), id=place, event=f"ai:{event.type}")


def _data(event: Event) -> dict[str, Any]:
    run = {"run": event.run} if event.run is not None else {}
    if event.type in _SPOKEN:
        return {**run, "token": event.data}
    return {**run, **event.data} if isinstance(event.data, dict) else {**run, "data": event.data}


sse: Final = ChannelSse()
