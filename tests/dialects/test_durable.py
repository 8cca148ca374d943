"""The wire forms of the Durable Streams protocol."""

import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.cursor import MAX_OFFSET
from tokentape.core.errors import InvalidCursor
from tokentape.core.sse import SseDecoder
from tokentape.dialects.durable import (
    CURSOR_STEP,
    FIRST_INTERVAL,
    INTERVAL,
    Position,
    control_event,
    cursor,
    data_event,
    essence,
    form_of,
)

NOW = 1_795_262_400.0
CURRENT = int(NOW - FIRST_INTERVAL) // INTERVAL


@given(st.lists(st.integers(0, MAX_OFFSET), min_size=2))
def test_offsets_sort_as_text(offsets):
    texts = [str(Position(offset, "k3f9x2ma")) for offset in offsets]
    assert sorted(texts) == [str(Position(offset, "k3f9x2ma")) for offset in sorted(offsets)]
    assert [Position.parse(text) for text in texts] == [Position(offset, "k3f9x2ma") for offset in offsets]
    assert not set(",&=?/") & set("".join(texts))


@given(st.text())
def test_nothing_else_is_an_offset(text):
    with pytest.raises(InvalidCursor) as refused:
        Position.parse(text)
    assert len(refused.value.message) < 300


@pytest.mark.parametrize("text", ["9" * 16 + "_a", "0" * 15 + "1_" + "0" * 16, "0" * 17 + "_a", "1_a", "", "-1", "now"])
def test_these_are_none(text):
    with pytest.raises(InvalidCursor):
        Position.parse(text)


def test_the_cursor_counts_intervals():
    assert cursor(NOW, None) == str(CURRENT)
    assert cursor(NOW + INTERVAL, None) == str(CURRENT + 1)
    for ignored in ("", "x", "-5", "9" * 30, "١٢٣"):
        assert cursor(NOW, ignored) == str(CURRENT)


@given(st.integers(0, 10**12))
def test_a_cursor_never_comes_back_to_a_client_that_has_it(asked):
    answered = int(cursor(NOW, str(asked)))
    if asked >= CURRENT:
        assert 1 <= answered - asked <= CURSOR_STEP
    else:
        assert answered == CURRENT > asked


def read(blocks: bytes) -> list[tuple[str, str]]:
    return [(event.event, event.data) for event in SseDecoder().receive_data(blocks)]


@given(st.lists(st.text()))
def test_text_comes_out_as_it_went_in_but_for_its_line_ends(pieces):
    whole = "".join(pieces).encode("utf-8", "replace")
    [(kind, data)] = read(data_event("text", [whole])) or [("data", "")]
    assert kind == "data"
    assert data == whole.decode().replace("\r\n", "\n").replace("\r", "\n")


@given(st.lists(st.binary()))
def test_bytes_come_out_as_they_went_in(pieces):
    events = read(data_event("binary", pieces))
    assert b64decode(events[0][1] if events else "") == b"".join(pieces)


def test_messages_come_as_one_array():
    [(kind, data)] = read(data_event("json", [b'{"a":1}', b"2"]))
    assert (kind, json.loads(data)) == ("data", [{"a": 1}, 2])


def test_a_control_event_says_where_to_go_on_and_whether_to():
    at = Position(7, "k3f9x2ma")
    [(kind, data)] = read(control_event(at, "5", current=False, closed=False))
    assert (kind, json.loads(data)) == ("control", {"streamNextOffset": str(at), "streamCursor": "5"})
    [(_, data)] = read(control_event(at, "5", current=True, closed=True))
    assert json.loads(data) == {"streamNextOffset": str(at), "upToDate": True, "streamClosed": True}


def test_forms_follow_the_content_type():
    kinds = {
        "application/json; charset=utf-8": "json",
        "TEXT/Plain": "text",
        "application/ndjson": "binary",
        "x/y": "binary",
    }
    assert {kind: form_of(kind) for kind in kinds} == kinds
    assert essence("Application/JSON ; a=b") == "application/json"
