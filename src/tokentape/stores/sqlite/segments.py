"""Segments: runs of one stream's records, packed into one row each, and read by one descent of an index."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import accumulate
from typing import Final

import apsw
import msgspec

from tokentape.stores.log import Tail, fit
from tokentape.stores.retention import excess, oldest
from tokentape.stores.sqlite.head import StoredHead

SEGMENT_BYTES: Final = 32_768
"""Records of one segment, unless a single one is larger: what a reader decodes to get at one record."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[bytes]).decode


def split(stream: int, first: int, records: Sequence[bytes]) -> Iterator[tuple[int, int, int, bytes]]:
    """Rows of the `segment` table for records from offset `first` on."""
    ends = list(accumulate(map(len, records), initial=0))
    start = 0
    while start < len(records):
        end = max(start + 1, bisect_right(ends, ends[start] + SEGMENT_BYTES) - 1)
        yield stream, first + end - 1, first + start, _pack(records[start:end])
        start = end


class SegmentReader:
    """Reads pages of segments, on a connection of its own."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def fetch(self, stream: int, after: int, upto: int, *, max_bytes: int, max_records: int) -> list[bytes]:
        """The records that follow `after`, as many as fit, of the segments up to `upto`, where one ends.

        It ends before a gap when some were removed while it read, and is empty when the first one was.
        """
        page: list[bytes] = []
        with closing(self._db.execute(PAGE, (stream, after))) as rows:  # an open cursor would hold up checkpoints
            for first, packed in rows:
                start = after + len(page) + 1
                if first > start or start > upto:
                    break
                records = _unpack(packed)[start - first :]
                if page and (len(records[0]) > max_bytes or len(page) >= max_records):
                    break
                count = fit(records, max_bytes, max_records - len(page))
                page += records[:count]
                max_bytes -= sum(map(len, records[:count]))
                if count < len(records):
                    break
        return page

    def close(self) -> None:
        self._db.close()


def trim(db: apsw.Connection, head: StoredHead) -> None:
    """Moves `first` on until the stream's size bound holds; what lies in segments is removed from the file later."""
    amount = excess(head.bytes, head.config.retention.max_bytes)
    while amount > 0:
        tail = head.tail
        if head.first < tail.first:
            first, packed = db.execute(PAGE + " LIMIT 1", (head.id, head.first - 1)).get
            sizes = [len(record) for record in _unpack(packed)[head.first - first :]]
        else:
            sizes = [len(record) for record in tail.records]
        if head.first + len(sizes) > head.last:
            sizes.pop()  # the newest stays
        count, dropped = oldest(sizes, amount)
        if not count:
            return
        if head.first >= tail.first:
            head.tail = Tail(tail.first + count, tail.records[count:], closed=tail.closed)
        head.first += count
        head.bytes -= dropped
        head.trimmed = True
        amount -= dropped


PAGE: Final = "SELECT first, records FROM segment WHERE stream = ? AND last > ? ORDER BY last"
