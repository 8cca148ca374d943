"""What was taken back on channels, for whoever reads only a part of the past: a rewind may come long after it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from tokentape.core.events import decode_event
from tokentape.core.transcript import REWIND, rewound
from tokentape.stores.base import Store, StreamInfo

MAX_CHANNELS: Final = 1000
"""Channels of which it is known what was taken back."""
MAX_KNOWN: Final = 1000
"""Rewinds that are known of one; where there are more, they are looked for each time."""
_BEGINNING: Final = b'{"type":"%b",' % REWIND.encode()


class _Known(msgspec.Struct, frozen=True):
    """The rewinds after `low` up to `high`: offsets, and from where each takes back."""

    epoch: str
    low: int
    high: int
    marks: dict[int, float]


class Rewinds:
    """Finds rewinds in the log, and looks at each part of it once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def after(self, info: StreamInfo, offset: int) -> list[float]:
        """From where the rewinds after this offset take back, in no order."""
        known = self._known.get(info.name)
        if known is None or known.epoch != info.epoch:
            known = _Known(info.epoch, info.last, info.last, {})
        low, high = min(offset, known.low), max(info.last, known.high)
        earlier = await self._find(info, low, known.low)
        later = await self._find(info, known.high, high)
        known = _Known(info.epoch, low, high, earlier | known.marks | later)
        self._known.pop(info.name, None)
        if len(known.marks) <= MAX_KNOWN:
            self._known[info.name] = known
        if len(self._known) > MAX_CHANNELS:
            self._known.popitem(last=False)
        return [from_ for place, from_ in known.marks.items() if place > offset]

    async def _find(self, info: StreamInfo, after: int, upto: int) -> dict[int, float]:
        marks: dict[int, float] = {}
        after = max(after, info.first - 1)
        while after < upto:
            page = await self._store.read(info.name, after, max_records=min(upto - after, 10_000))
            if not page.records:
                break
            for place, record in page.records:
                if record.startswith(_BEGINNING) and (from_ := rewound(decode_event(record))) is not None:
                    marks[place] = from_
            after = page.records[-1][0]
        return marks
