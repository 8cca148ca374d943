from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.cursor import Cursor
from tokentape.core.errors import InvalidCursor
from tokentape.core.resume import Ready, locate, parse_from


@st.composite
def streams(draw):
    """The retained offsets `first`…`last` of a stream of epoch `now`; an empty one has first == last + 1."""
    last = draw(st.integers(0, 20))
    return {"epoch": "now", "first": draw(st.integers(1, last + 1)), "last": last}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("start", "start"), ("now", "now"), ("snapshot", "snapshot"), ("k3f9-17", Cursor("k3f9", 17))],
)
def test_a_place_is_named_or_is_a_cursor(text, expected):
    assert parse_from(text) == expected


@pytest.mark.parametrize("text", ["", "Start", "end", "17", "start-", "-1"])
def test_any_other_place_is_an_invalid_cursor(text):
    with pytest.raises(InvalidCursor):
        parse_from(text)


@given(streams(), st.integers(0, 25))
def test_p2_a_reader_gets_exactly_what_it_missed_or_is_told_why_not(stream, offset):
    retained = list(range(stream["first"], stream["last"] + 1))
    missed = list(range(offset + 1, stream["last"] + 1))
    ready = locate(Cursor("now", offset), **stream)
    following = list(range(ready.cursor.offset + 1, stream["last"] + 1))
    if offset > stream["last"]:
        assert (ready.outcome, ready.reason, following) == ("gone", "future", retained)
    elif set(missed) - set(retained):
        assert (ready.outcome, ready.reason, following) == ("gone", "trimmed", retained)
    else:
        assert (ready.outcome, ready.reason, following) == ("replayed" if missed else "live", None, missed)


@given(streams(), st.integers(0, 25))
def test_a_cursor_of_another_epoch_never_aliases_into_this_one(stream, offset):
    ready = locate(Cursor("old", offset), **stream)
    assert ready == Ready("gone", Cursor("now", stream["first"] - 1), "epoch")


@given(streams())
def test_now_shows_nothing_of_the_past_and_a_snapshot_all_that_is_retained(stream):
    assert locate("now", **stream) == Ready("live", Cursor("now", stream["last"]))
    assert locate("snapshot", **stream) == Ready("snapshot", Cursor("now", stream["first"] - 1))


@given(streams())
def test_the_start_of_a_trimmed_stream_is_gone_and_not_passed_off_as_the_whole(stream):
    ready = locate("start", **stream)
    assert ready == locate(Cursor("now", 0), **stream)
    assert (ready.outcome == "gone") == (stream["first"] > 1)


def test_the_announcement_names_a_reason_only_where_there_is_one():
    assert Ready("live", Cursor("k3f9", 3)).as_dict() == {"outcome": "live", "cursor": "k3f9-3"}
    assert Ready("gone", Cursor("k3f9", 0), "epoch").as_dict() == {
        "outcome": "gone",
        "cursor": "k3f9-0",
        "reason": "epoch",
    }
