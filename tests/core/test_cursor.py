from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.cursor import EPOCH_ALPHABET, EPOCH_LENGTH, MAX_OFFSET, Cursor
from tokentape.core.errors import InvalidCursor

epochs = st.text(EPOCH_ALPHABET, min_size=EPOCH_LENGTH, max_size=EPOCH_LENGTH)


@given(epochs, st.integers(0, MAX_OFFSET))
def test_a_cursor_reads_back_as_it_was_written(epoch, offset):
    cursor = Cursor(epoch, offset)
    assert Cursor.parse(str(cursor)) == cursor


def test_an_offset_padded_with_zeros_is_the_same_offset():
    assert Cursor.parse("k3f9-00000000000000000017") == Cursor("k3f9", 17)


def test_the_largest_offset_is_what_a_javascript_number_holds():
    assert Cursor.parse("k3f9-9007199254740991").offset == MAX_OFFSET
    with pytest.raises(InvalidCursor):
        Cursor.parse("k3f9-9007199254740992")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "17",
        "k3f9",
        "k3f9-",
        "-17",
        "k3f9--1",
        "k3f9-1.5",
        "k3f9-1e3",
        "k3f9-+1",
        "k3f9- 1",
        " k3f9-1",
        "k3f9-1\n",
        "k3f9-1\0",
        "K3F9-1",
        "k3f9-\u0661",  # an Arabic-Indic digit
        "k3f9-\uff11",  # a full-width one
        "k3f9-1-2",
        "k3f9_1",
        "e" * 17 + "-1",
        "k3f9-" + "9" * 21,
        "\ud800-1",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidCursor, match="is not a cursor"):
        Cursor.parse(text)


@given(st.text(st.characters()))
def test_garbage_is_refused_or_is_a_cursor_in_another_spelling(text):
    try:
        cursor = Cursor.parse(text)
    except InvalidCursor:
        return
    assert Cursor.parse(str(cursor)) == cursor


def test_a_hostile_cursor_is_not_echoed_at_length():
    with pytest.raises(InvalidCursor) as caught:
        Cursor.parse("A" * 10_240)
    assert len(caught.value.message) < 250
