from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.errors import SequenceConflict, StaleProducer
from tokentape.core.producer import ProducerState, admit

KNOWN = ProducerState(epoch=3, seq=7)


@pytest.mark.parametrize(
    ("known", "epoch", "seq", "new"),
    [
        (None, 0, 0, True),
        (None, 9, 0, True),
        (KNOWN, 3, 8, True),
        (KNOWN, 3, 7, False),
        (KNOWN, 3, 0, False),
        (KNOWN, 4, 0, True),
        (KNOWN, 9, 0, True),
    ],
)
def test_an_append_in_turn_is_new_and_a_repeated_one_is_not(known, epoch, seq, new):
    assert admit(known, epoch, seq) is new


@pytest.mark.parametrize("seq", [0, 7, 8, 100])
def test_an_older_epoch_is_stale_and_is_told_the_one_in_force(seq):
    with pytest.raises(StaleProducer) as caught:
        admit(KNOWN, 2, seq)
    assert caught.value.details == {"epoch": 3}


@pytest.mark.parametrize(
    ("known", "epoch", "seq", "expected"),
    [(None, 0, 1, 0), (None, 5, 7, 0), (KNOWN, 3, 9, 8), (KNOWN, 4, 1, 0), (KNOWN, 4, 8, 0)],
)
def test_a_gap_is_a_conflict_that_names_what_comes_next(known, epoch, seq, expected):
    with pytest.raises(SequenceConflict) as caught:
        admit(known, epoch, seq)
    before = {"epoch": 3} if known is not None and epoch > known.epoch else {}
    assert caught.value.details == {"expected": expected, "received": seq, **before}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=60))
def test_whatever_is_sent_each_epoch_is_accepted_once_in_order_and_never_after_a_later_one(attempts):
    known = None
    accepted = []
    for epoch, seq in attempts:
        try:
            new = admit(known, epoch, seq)
        except (SequenceConflict, StaleProducer):
            continue
        if new:
            known = ProducerState(epoch, seq)
            accepted.append(known)
        else:
            assert ProducerState(epoch, seq) in accepted
    assert accepted == sorted(set(accepted))
    for epoch in {state.epoch for state in accepted}:
        seqs = [state.seq for state in accepted if state.epoch == epoch]
        assert seqs == list(range(len(seqs)))
