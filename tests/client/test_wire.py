"""Bytes to signals: split-invariant, and never an item that was not sent."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.client.errors import Unreachable
from tokentape.client.session import Ended, Item, Lost, Opened, Refused, Retry, Signal
from tokentape.client.wire import PollReading, SseReading, WebSocketReading, http_answer, http_error
from tokentape.core.cursor import Cursor
from tokentape.core.errors import (
    InvalidCursor,
    InvalidEvent,
    NotFound,
    ProtocolError,
    ProviderError,
    RunConflict,
    StreamNotFound,
    TokentapeError,
    TooLarge,
    TooMany,
    Unauthorized,
)
from tokentape.core.events import Event, encode_event
from tokentape.core.merge import entries
from tokentape.core.messages import ack, end_message, error, event_message
from tokentape.core.resume import Ready
from tokentape.dialects import native

TOKEN = encode_event(Event(type="token", run="r_1", data="Zoë  \u2028 \U0001f600"))
DONE = encode_event(Event(type="done", run="r_1", data={"reason": "stop"}))
TYPING = Event(type="chat:typing", data={"who": "ann"})
READY = Ready("replayed", Cursor("e1", 0))

BODY = (
    b"retry: 1500\n\n: hb\n\n"
    + native.sse.ready("runs/r_1", READY)
    + native.sse.encode("runs/r_1", "e1", entries([(1, TOKEN)]), None).content
    + native.sse.ephemeral("runs/r_1", TYPING)
    + native.sse.encode("runs/r_1", "e1", entries([(7, DONE)]), None, last=7).content
)


def shown(cursor: str | None, record: bytes) -> Item:
    return Item(Cursor.parse(cursor) if cursor else None, msgspec.json.decode(record, type=Event), record)


READY_ITEM = shown(None, msgspec.json.encode({"type": "ready", "data": READY.as_dict()}))
SIGNALS = [
    Retry(1.5),
    READY_ITEM,
    shown("e1-1", TOKEN),
    shown(None, encode_event(TYPING)),
    shown("e1-7", DONE),
    Ended(),
]


def read(chunks: list[bytes]) -> list[Signal]:
    reading = SseReading()
    return [signal for chunk in chunks for signal in reading.receive(chunk)]


def test_sse_whole():
    assert read([BODY]) == SIGNALS


def test_sse_byte_by_byte():
    assert read([BODY[place : place + 1] for place in range(len(BODY))]) == SIGNALS


@given(st.sets(st.integers(1, len(BODY) - 1)))
def test_sse_cut_anywhere(places):
    edges = [0, *sorted(places), len(BODY)]
    assert read([BODY[begin:end] for begin, end in pairwise(edges)]) == SIGNALS


@given(st.integers(0, len(BODY)))
def test_sse_truncated_anywhere_is_a_beginning_of_the_same(place):
    signals = read([BODY[:place]])
    assert signals == SIGNALS[: len(signals)]
    assert isinstance(SseReading().eof(), Lost)


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (b"id: e1-2\ndata: {]\n\n", InvalidEvent),
        (b'id: nonsense\ndata: {"type":"token","data":"x"}\n\n', InvalidCursor),
        (b'id: e1-2\ndata: {"data":"x"}\n\n', InvalidEvent),
        (b"data: " + b"x" * 2_000_000, ProtocolError),
    ],
)
def test_sse_that_is_not_ours_is_a_lost_connection(block, error):
    (lost,) = read([block])
    assert isinstance(lost, Lost)
    assert isinstance(lost.error, error)


def websocket(*messages: bytes) -> list[Signal]:
    reading = WebSocketReading("runs/r_1")
    return [signal for message in messages for signal in reading.receive(message)]


def test_websocket():
    view = native.websocket
    label = "runs/r_1"
    signals = websocket(
        ack(1, READY.as_dict()),
        *view.encode(label, "e1", entries([(1, TOKEN)]), None).content,
        *view.ephemeral(label, TYPING),
        *view.encode(label, "e1", entries([(7, DONE)]), None, last=7).content,
    )
    assert signals == [Opened(), *SIGNALS[1:]]


def test_websocket_view_that_starts_over():
    gone = Ready("gone", Cursor("e2", 0), "epoch")
    announced = shown(None, msgspec.json.encode({"type": "ready", "data": gone.as_dict()}))
    assert websocket(ack(1, READY.as_dict()), *native.websocket.ready("runs/r_1", gone)) == [
        Opened(),
        READY_ITEM,
        announced,
    ]


def test_websocket_subscription():
    request = WebSocketReading("a/b").subscribe(Cursor("e1", 4), merge=False)
    assert msgspec.json.decode(request) == {
        "op": "subscribe",
        "id": 1,
        "stream": "a/b",
        "from": "e1-4",
        "merge": False,
    }
    assert "merge" not in msgspec.json.decode(WebSocketReading("a/b").subscribe("start", merge=True))


def test_websocket_passes_over_what_is_not_its_own():
    assert (
        websocket(
            event_message("other", "e1-1", TOKEN),
            end_message("other", "e1-1"),
            ack(2, {}),
            b'{"op":"weather","id":1}',
        )
        == []
    )


@pytest.mark.parametrize("message", [b"{", b"[]", b'{"op":1}', b'{"op":"event","stream":"runs/r_1","cursor":"e1-1"}'])
def test_websocket_message_that_is_none_is_a_lost_connection(message):
    (lost,) = websocket(message)
    assert isinstance(lost, Lost)
    assert isinstance(lost.error, ProtocolError | InvalidEvent)


def test_websocket_refusals():
    (refused,) = websocket(error(1, StreamNotFound("no")))
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, StreamNotFound)
    (lost,) = websocket(error(1, TooMany("later", retry_after=3)))
    assert isinstance(lost, Lost)
    assert lost.retry_after == 3


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011, 1012, 1013, 3000, 3499, 4000])
def test_close_codes_that_ask_to_come_back(code):
    closed = WebSocketReading("a").closed(code, "")
    assert isinstance(closed, Lost)
    assert isinstance(closed.error, Unreachable)


def test_a_close_says_when_to_come_back():
    closed = WebSocketReading("a").closed(3002, "retry=1834; the server goes away")
    assert isinstance(closed, Lost)
    assert closed.retry_after == 1.834


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 3500, 3999])
def test_close_codes_that_do_not(code):
    closed = WebSocketReading("a").closed(code, "for a reason")
    assert isinstance(closed, Refused)
    assert f"{code}: for a reason" in closed.error.message
    assert isinstance(closed.error, Unauthorized) == (code == 3500)


def polled(outcome: str, cursor: str, *events: bytes, **members: object) -> bytes:
    body = {"events": [msgspec.Raw(event) for event in events], "cursor": cursor, "outcome": outcome, "ended": False}
    return msgspec.json.encode({**body, **members})


def placed(record: bytes, cursor: str) -> bytes:
    return b'%b,"cursor":"%b"}' % (record[:-1], cursor.encode())


def announced(outcome: str, cursor: str, **members: str) -> Item:
    data = {"outcome": outcome, "cursor": cursor, **members}
    return shown(None, msgspec.json.encode({"type": "ready", "data": data}))


def test_poll_is_one_view_over_many_answers():
    reading = PollReading("now")
    assert reading.receive(polled("live", "e1-4")) == [announced("live", "e1-4")]
    assert reading.position == Cursor("e1", 4)
    typing = encode_event(TYPING)
    assert reading.receive(polled("live", "e1-5", placed(TOKEN, "e1-5"), typing)) == [
        shown("e1-5", TOKEN),
        shown(None, typing),
    ]
    assert reading.receive(polled("replayed", "e1-9", placed(DONE, "e1-9"), ended=True)) == [
        shown("e1-9", DONE),
        Ended(),
    ]
    assert reading.position == Cursor("e1", 9)


def test_poll_that_begins_with_events_begins_before_the_first():
    # Its first event may be a merged one, so nothing but the very start is certain.
    first, *_ = PollReading("start").receive(polled("replayed", "e1-9", placed(TOKEN, "e1-9")))
    assert first == announced("replayed", "e1-0")
    first, *_ = PollReading(Cursor("e1", 3)).receive(polled("replayed", "e1-9", placed(TOKEN, "e1-9")))
    assert first == announced("replayed", "e1-3")


def test_poll_that_starts_over_says_so():
    reading = PollReading(Cursor("e1", 3))
    reading.receive(polled("live", "e1-3"))
    assert reading.receive(polled("gone", "e2-2", placed(TOKEN, "e2-2"), reason="epoch")) == [
        announced("gone", "e2-0", reason="epoch"),
        shown("e2-2", TOKEN),
    ]


def test_poll_of_an_event_whose_data_looks_like_its_place():
    tricky = encode_event(Event(type="own:x", data={"cursor": "e9-9"}))
    reading = PollReading(Cursor("e1", 1))
    assert reading.receive(polled("replayed", "e1-2", placed(tricky, "e1-2")))[1] == shown("e1-2", tricky)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"cursor":"?","outcome":"live"}', b"<html>"])
def test_poll_answer_that_is_none_is_a_lost_connection(body):
    (lost,) = PollReading("start").receive(body)
    assert isinstance(lost, Lost)


def problem(kind: type[TokentapeError], **members: object) -> bytes:
    return msgspec.json.encode({"type": "about:blank", "title": "t", "detail": "d", "code": kind.code, **members})


def test_problem_documents_become_the_errors_that_their_codes_name():
    raised = http_error(409, problem(RunConflict, run="r_2"))
    assert type(raised) is RunConflict
    assert (raised.message, raised.details) == ("d", {"run": "r_2"})


def test_errors_of_the_models_side_keep_their_subcode():
    body = {"code": "provider_rate_limited", "detail": "Slow down", "retryable": True}
    raised = http_error(502, msgspec.json.encode(body))
    assert isinstance(raised, ProviderError)
    assert (raised.subcode, raised.can_retry, raised.message) == ("provider_rate_limited", True, "Slow down")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, b"<html>", NotFound),
        (401, b"", Unauthorized),
        (413, b"[1]", TooLarge),
        (502, b'{"code":"from_the_future","detail":"d"}', Unreachable),
        (418, b"{}", TokentapeError),
    ],
)
def test_answers_without_a_known_code_go_by_their_status(status, body, kind):
    assert type(http_error(status, body)) is kind


def test_answers_to_a_watch():
    assert http_answer(204, {}, b"") == Ended()
    assert isinstance(http_answer(404, {}, problem(StreamNotFound)), Refused)
    for status in (500, 502, 503):
        assert isinstance(http_answer(status, {}, b""), Lost)
    busy = http_answer(429, {"Retry-After": "12"}, problem(TooMany))
    assert isinstance(busy, Lost)
    assert busy.retry_after == 12
    dated = http_answer(503, {"Retry-After": "Fri, 21 Nov 2026 08:00:00 GMT"}, b"")
    assert isinstance(dated, Lost)
    assert dated.retry_after == 0
