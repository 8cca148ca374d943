from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core import messages
from tokentape.core.cursor import MAX_OFFSET, Cursor
from tokentape.core.errors import (
    BadRequest,
    CursorGone,
    ProtocolError,
    StreamNotFound,
    TokentapeError,
    TooLarge,
)
from tokentape.core.events import Event, encode_event
from tokentape.core.messages import (
    Auth,
    History,
    Ping,
    Presence,
    Publish,
    Start,
    Stop,
    Subscribe,
    Unsubscribe,
    decode_request,
    request_id,
)
from tokentape.core.resume import Ready

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.text(), json_values, max_size=4)
ids = st.text(max_size=64) | st.integers(-MAX_OFFSET, MAX_OFFSET)
requests = st.one_of(
    st.builds(Subscribe, id=ids, stream=st.text(), position=st.none() | st.text(), merge=st.booleans()),
    st.builds(Unsubscribe, id=ids, stream=st.text()),
    st.builds(
        Publish,
        id=ids,
        stream=st.text(),
        type=st.text(),
        data=json_values,
        event_id=st.none() | st.text(),
        persist=st.booleans(),
    ),
    st.builds(Start, id=ids, request=objects),
    st.builds(Stop, id=ids, run=st.text(), reason=st.none() | st.text()),
    st.builds(
        Presence,
        id=ids,
        stream=st.text(),
        action=st.sampled_from(["track", "update", "untrack", "list"]),
        member=st.none() | st.text(),
        data=json_values,
    ),
    st.builds(
        History,
        id=ids,
        stream=st.text(),
        before=st.none() | st.text(),
        after=st.none() | st.text(),
        limit=st.integers(1, 1000),
        order=st.sampled_from(["newest", "oldest"]),
        view=st.sampled_from(["events", "messages"]),
    ),
    st.builds(Auth, id=ids, token=st.text()),
    st.builds(Ping, id=ids),
)


def request(**members: Any) -> str:
    return json.dumps(members)


# Up


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (request(op="subscribe", id=1, stream="a/b"), Subscribe(id=1, stream="a/b", position=None, merge=True)),
        (
            request(op="subscribe", id="x", stream="a", **{"from": "k3f9-7"}, merge=False),
            Subscribe(id="x", stream="a", position="k3f9-7", merge=False),
        ),
        (request(op="unsubscribe", id=2, stream="a"), Unsubscribe(id=2, stream="a")),
        (
            request(op="publish", id=3, stream="a", type="chat:typing", data=None),
            Publish(id=3, stream="a", type="chat:typing", data=None, event_id=None, persist=True),
        ),
        (
            request(op="publish", id=3, stream="a", type="a:b", data={"x": [1]}, event_id="e", persist=False),
            Publish(id=3, stream="a", type="a:b", data={"x": [1]}, event_id="e", persist=False),
        ),
        (request(op="start", id=4, request={"model": "simulated"}), Start(id=4, request={"model": "simulated"})),
        (request(op="stop", id=5, run="r_1"), Stop(id=5, run="r_1", reason=None)),
        (request(op="presence", id=6, stream="a", action="list"), Presence(id=6, stream="a", action="list")),
        (
            request(op="presence", id=6, stream="a", action="track", member="ann", data={"name": "Ann"}),
            Presence(id=6, stream="a", action="track", member="ann", data={"name": "Ann"}),
        ),
        (
            request(op="history", id=7, stream="a"),
            History(id=7, stream="a", before=None, after=None, limit=50, order="newest", view="events"),
        ),
        (request(op="auth", id=8, token="t"), Auth(id=8, token="t")),
        (request(op="ping", id=9), Ping(id=9)),
        (request(id=9, later=True, op="ping", more={"x": [1]}), Ping(id=9)),
    ],
)
@pytest.mark.parametrize("form", [str, str.encode], ids=["text", "bytes"])
def test_a_request_is_read_with_its_defaults(text, expected, form):
    assert decode_request(form(text)) == expected


@given(requests)
def test_any_request_reads_back_as_it_was_written(value):
    assert decode_request(msgspec.json.encode(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "hello",
        '{"op":"ping","id":1} x',
        '{"op":"ping","id":1,}',
        '{"op":"ping","id":NaN}',
        "{'op':'ping'}",
        "\ufeff" + '{"op":"ping","id":1}',
        b'{"op":"ping","id":1,"x":"\xff"}',
        b"\xff\xfe",
        b'{"op":"auth","id":1,"token":"\xed\xa0\x80"}',
        '{"op":"auth","id":1,"token":"\ud800"}',
        '{"op":"auth","id":1,"token":"\\ud800"}',
        '{"op":"publish","id":1,"stream":"a","type":"a:b","data":' + "[" * 100_000,
        '{"op":"publish","id":1,"stream":"a","type":"a:b","data":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"op":"frob","id":1,"x":' + '{"a":' * 100_000,
        '{"x":' + "[" * 100_000 + "]" * 100_000 + ',"op":"ping","id":1}',
        "[" * 100_000,
    ],
)
def test_what_is_not_json_is_a_protocol_error_without_an_id(text):
    with pytest.raises(ProtocolError) as caught:
        decode_request(text)
    assert request_id(caught.value) is None
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("text", "says", "identity"),
    [
        ("null", "Expected `object`", None),
        ("[]", "Expected `object`", None),
        ('"ping"', "Expected `object`", None),
        ("{}", "`op`", None),
        ('{"op":"ping"}', "`id`", None),
        ('{"op":"ping","id":null}', r"`\$.id`", None),
        ('{"op":"ping","id":true}', r"`\$.id`", None),
        ('{"op":"ping","id":1.5}', r"`\$.id`", None),
        ('{"op":"ping","id":[1]}', r"`\$.id`", None),
        (request(op="ping", id="x" * 65), r"`\$.id`", None),
        (request(op="ping", id=MAX_OFFSET + 1), r"`\$.id`", None),
        (request(op="ping", id=-MAX_OFFSET - 1), r"`\$.id`", None),
        ('{"id":1}', "`op`", 1),
        ('{"op":7,"id":1}', r"`\$.op`", 1),
        ('{"op":null,"id":1}', r"`\$.op`", 1),
        ('{"op":["ping"],"id":1}', r"`\$.op`", 1),
        ('{"op":"frob","id":"a1"}', "'frob' is not an operation.*subscribe, unsubscribe, publish, start, stop", "a1"),
        ('{"op":"Ping","id":1}', "'Ping' is not an operation", 1),
        (request(op="x" * 100_000, id=1), "is not an operation", 1),
    ],
)
def test_what_is_no_request_is_a_protocol_error_that_says_where(text, says, identity):
    with pytest.raises(ProtocolError, match=says) as caught:
        decode_request(text)
    assert request_id(caught.value) == identity
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (request(op="subscribe", id=1), "subscribe request is wrong: .*`stream`"),
        (request(op="subscribe", id=1, stream=5), r"Expected `str`, got `int` - at `\$.stream`"),
        (request(op="subscribe", id=1, stream="a", **{"from": 17}), r"at `\$.from`"),
        (request(op="subscribe", id=1, stream="a", merge="yes"), r"at `\$.merge`"),
        (request(op="publish", id=1, stream="a", type="a:b"), "`data`"),
        (request(op="publish", id=1, stream="a", data=1), "`type`"),
        (request(op="publish", id=1, stream="a", type="a:b", data=1, persist=0), r"at `\$.persist`"),
        (request(op="start", id=1, request=[]), r"at `\$.request`"),
        (request(op="stop", id=1, run=None), r"at `\$.run`"),
        (request(op="presence", id=1, stream="a", action="join"), r"'join' - at `\$.action`"),
        (request(op="presence", id=1, stream="a", action="x" * 100_000), "presence"),
        (request(op="history", id=1, stream="a", limit=0), r"at `\$.limit`"),
        (request(op="history", id=1, stream="a", limit=1001), r"at `\$.limit`"),
        (request(op="history", id=1, stream="a", limit="5"), r"at `\$.limit`"),
        (request(op="history", id=1, stream="a", order="random"), r"at `\$.order`"),
        ('{"op":"publish","id":1,"stream":"a","type":"a:b","data":1e999}', r"at `\$.data`"),
    ],
)
def test_a_request_with_a_wrong_field_is_a_bad_request_with_its_path_and_id(text, says):
    with pytest.raises(BadRequest, match=says) as caught:
        decode_request(text)
    assert type(caught.value) is BadRequest
    assert request_id(caught.value) == 1
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("form", [str, str.encode], ids=["text", "bytes"])
def test_a_message_over_the_cap_is_too_large_and_measured_in_bytes(form):
    text = '{"op":"auth","id":1,"token":"' + "é" * 10 + '"}'
    size = len(text.encode())
    assert decode_request(form(text), max_bytes=size) == Auth(id=1, token="é" * 10)
    for cap in (size - 1, len(text), 3):
        with pytest.raises(TooLarge, match=f"more than {cap} bytes"):
            decode_request(form(text), max_bytes=cap)


@given(
    st.text(st.characters())
    | st.binary()
    | st.text('{}[]":,0aop\\u\ud800\n', max_size=30)
    | json_values.map(json.dumps)
)
def test_no_message_raises_anything_but_what_can_be_answered(message):
    with suppress(BadRequest, TooLarge):
        decode_request(message, max_bytes=50)


@given(st.sampled_from(messages.OPERATIONS), st.dictionaries(st.sampled_from(["stream", "data", "limit"]), json_values))
def test_whatever_else_is_wrong_the_id_is_kept(operation, members):
    members |= {"op": operation, "id": "mine"}
    try:
        identity = decode_request(json.dumps(members)).id
    except BadRequest as error:
        identity = request_id(error)
    assert identity == "mine"


# Down


def test_a_request_that_was_carried_out_is_acknowledged_with_its_id():
    record = encode_event(Event(type="token", data="Hi"))
    data = {"events": [{"cursor": "k3f9-1", "event": msgspec.Raw(record)}]}
    assert messages.ack("a1", data) == (
        b'{"op":"ack","id":"a1","data":{"events":[{"cursor":"k3f9-1","event":{"type":"token","data":"Hi"}}]}}'
    )


@pytest.mark.parametrize("fault", [StreamNotFound("There is no 'a'."), CursorGone("Gone.", reason="trimmed")])
def test_a_request_that_was_refused_is_answered_with_the_error(fault):
    assert json.loads(messages.error(7, fault)) == {"op": "error", "id": 7, "error": fault.as_dict()}


@pytest.mark.parametrize(
    ("text", "identity"), [('{"op":"frob","id":"a1"}', "a1"), ('{"op":"stop","id":0}', 0), ("{", None)]
)
def test_a_message_that_was_refused_is_answered_with_the_id_that_could_be_read(text, identity):
    with pytest.raises(TokentapeError) as caught:
        decode_request(text)
    answer = json.loads(messages.error(request_id(caught.value), caught.value))
    assert answer["id"] == identity
    assert set(answer["error"]) == {"code", "message", "retryable"}


@given(
    st.text(), st.none() | st.builds(Cursor, st.text(max_size=16), st.integers(0, MAX_OFFSET)), st.text(), json_values
)
def test_an_event_message_is_json_with_the_very_bytes_of_the_record(stream, cursor, kind, data):
    record = encode_event(Event(type=kind, data=data, at=5))
    message = messages.event_message(stream, None if cursor is None else str(cursor), record)
    expected = {"op": "event", "stream": stream, "event": json.loads(record)}
    if cursor is not None:
        expected["cursor"] = str(cursor)
    assert json.loads(message) == expected
    assert message.endswith(b'"event":' + record + b"}")


def test_an_event_that_is_not_stored_has_no_cursor():
    assert messages.event_message("a", None, b"{}") == b'{"op":"event","stream":"a","event":{}}'
    assert messages.event_message("a", "k3f9-3", b"{}") == b'{"op":"event","stream":"a","cursor":"k3f9-3","event":{}}'


def test_a_view_is_announced_and_ended():
    ready = Ready("gone", Cursor("k3f9", 0), "epoch")
    assert messages.ready_message("a", ready.as_dict()) == (
        b'{"op":"ready","stream":"a","data":{"outcome":"gone","cursor":"k3f9-0","reason":"epoch"}}'
    )
    assert messages.end_message("a", "k3f9-9") == b'{"op":"end","stream":"a","cursor":"k3f9-9"}'
