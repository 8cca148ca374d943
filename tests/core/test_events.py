from __future__ import annotations

import json
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.errors import InvalidEvent, InvalidName
from tokentape.core.events import (
    MAX_DEPTH,
    MAX_STREAM_NAME,
    MERGEABLE,
    RUN_TYPES,
    Event,
    check_stream_name,
    check_type,
    decode_event,
    encode_event,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
events = st.builds(
    Event,
    type=st.text(max_size=20),
    run=st.none() | st.text(max_size=10),
    data=json_values,
    id=st.none() | st.text(max_size=10),
    at=st.integers(0, 2**53),
)


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


@given(events)
def test_an_event_reads_back_as_it_was_written(event):
    assert decode_event(encode_event(event)) == event


@given(events)
def test_a_record_is_one_line_of_json_that_starts_with_its_type(event):
    record = encode_event(event)
    assert b"\n" not in record
    assert b"\r" not in record
    assert next(iter(json.loads(record))) == "type"


def test_the_stored_form_is_the_wire_form():
    event = Event(type="token", run="r_1", data="Hi", at=1_730_000_000_000)
    assert encode_event(event) == b'{"type":"token","run":"r_1","data":"Hi","at":1730000000000}'
    assert encode_event(Event(type="a:b", data=None)) == b'{"type":"a:b","data":null}'


def test_members_of_later_versions_are_read_over():
    assert decode_event(b'{"type":"token","data":"x","new":[1]}') == Event(type="token", data="x")


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"token"',
        b"{}",
        b'{"type":"token"}',
        b'{"data":"x"}',
        b'{"type":1,"data":"x"}',
        b'{"type":"token","data":"x","at":"now"}',
        b'{"type":"token","data":"x"} x',
        b'{"type":"token","data":NaN}',
        b'{"type":"token","data":"\xff"}',
        b'{"type":"token","data":"\\ud800"}',
        b'{"type":"token","data":' + b"[" * 100_000,
    ],
)
def test_what_is_no_event_is_refused(record):
    with pytest.raises(InvalidEvent, match="is not an event"):
        decode_event(record)


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_else(record):
    with suppress(InvalidEvent):
        decode_event(record)


@pytest.mark.parametrize(
    "data", [object(), {(1, 2): 3}, "\ud800", {"\udfff": 1}, pytest.param(10**5000, id="5001 digits")]
)
def test_data_that_is_not_json_is_refused_with_the_type_of_the_event(data):
    with pytest.raises(InvalidEvent, match=r"'chat:typing' event is not JSON"):
        encode_event(Event(type="chat:typing", data=data))


def test_what_never_ends_is_refused():
    cycle: list = []
    cycle.append(cycle)
    for data in (cycle, nested(100_000)):
        with pytest.raises(InvalidEvent):
            encode_event(Event(type="a:b", data=data))


@pytest.mark.parametrize("data", [nested(MAX_DEPTH), {"a": nested(MAX_DEPTH)}, nested(300)])
def test_what_is_nested_too_deeply_is_refused(data):
    # The event itself is a level, too.
    with pytest.raises(InvalidEvent, match="nested"):
        encode_event(Event(type="a:b", data=data))


def test_whatever_was_recorded_can_be_read_from_deep_in_the_stack():
    record = encode_event(Event(type="a:b", data=nested(MAX_DEPTH - 1)))

    def deeper(frames):
        return deeper(frames - 1) if frames else decode_event(record)

    frames = sys.getrecursionlimit() // 2
    assert deeper(frames).data == nested(MAX_DEPTH - 1)


@pytest.mark.parametrize(
    "data",
    [
        "[{" * 5000,
        {"code": '\\"[{' * 5000},
        {"[" * 500: "{" * 500},
        [[{}] for _ in range(1000)],
        {"rows": [[1, 2], [3, 4]] * 500, "note": 'say "[" \\'},
    ],
)
def test_many_brackets_are_not_deep_ones(data):
    event = Event(type="a:b", data=data)
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize("name", [*sorted(RUN_TYPES), "ai:token", "chat:typing", "a:b:c:d", "A-1.x_y:" + "z" * 64])
def test_standard_types_and_names_with_a_colon_may_be_published(name):
    assert check_type(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "tokens",
        "Token",
        "token ",
        ":",
        "a:",
        ":b",
        "a::b",
        "a:b:c:d:e",
        "a b:c",
        "a:b\n",
        "a:b\0",
        "ä:b",
        "a:" + "b" * 65,
    ],
)
def test_other_types_are_refused(name):
    with pytest.raises(InvalidEvent, match="is not an event type"):
        check_type(name)


def test_only_standard_types_merge():
    assert MERGEABLE < RUN_TYPES


@pytest.mark.parametrize("name", ["a", "ai-chat/xyz", "runs/r_8c1", "0/_/a.b~c:d@e+f-g", "x" * MAX_STREAM_NAME])
def test_stream_names(name):
    assert check_stream_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "a/../b",
        "-a",
        "$leases",
        "a/$b",
        "a b",
        "a\n",
        "a\0b",
        "a?b",
        "a#b",
        "a%2fb",
        "a\\b",
        "a,b",
        "é",
        "x" * (MAX_STREAM_NAME + 1),
    ],
)
def test_other_stream_names_are_refused(name):
    with pytest.raises(InvalidName, match="is not a stream name"):
        check_stream_name(name)


@pytest.mark.parametrize("check", [check_type, check_stream_name])
def test_a_hostile_name_is_not_echoed_at_length(check):
    with pytest.raises((InvalidEvent, InvalidName)) as caught:
        check("?" * 100_000)
    assert len(caught.value.message) < 500
