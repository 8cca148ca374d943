"""Transactions: what is decided in short is what `decide` would say."""

import pytest

from tokentape.stores.base import Append, Fence, StreamConfig
from tokentape.stores.log import Transaction, decide
from tokentape.stores.memory import _Stream
from tokentape.stores.retention import Clock

CLOCK = Clock(lambda: 1.0, lambda: 1.0)
FENCE = Fence("lease", 1)


@pytest.mark.parametrize("fence", [None, FENCE])
@pytest.mark.parametrize("records", [[b"1"], [b"1", b"2", b"3"]])
def test_p1_an_append_that_only_adds_is_decided_alike(records: list[bytes], fence: Fence | None) -> None:
    stream = _Stream("s", StreamConfig(), CLOCK)
    transaction = Transaction({"s": stream}.get, {FENCE})
    append = Append(stream="s", records=records, fence=fence)
    for _ in range(2):
        decision = decide(stream, append, {FENCE})
        assert isinstance(decision, tuple)
        answer, change = decision
        assert change is not None
        assert transaction.append([append], {"s": stream}) == [answer]
        assert transaction.changes[-1] == (change.stream, change.first, change.records)
    assert stream.tail.records == []
    transaction.take_back()
    assert (stream.last, transaction.changes) == (0, [])


def test_p1_what_is_no_bytes_leaves_nothing_behind() -> None:
    stream = _Stream("s", StreamConfig(), CLOCK)
    transaction = Transaction({"s": stream}.get, set())
    with pytest.raises(TypeError, match="records are bytes, not str"):
        transaction.append([Append(stream="s", records=[b"1", "2"])], {"s": stream})  # type: ignore[list-item]
    assert (stream.last, transaction.changes) == (0, [])
