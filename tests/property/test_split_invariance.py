"""How bytes are cut into chunks changes nothing: whole = byte by byte = random splits = a model that sees it all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tokentape.core.errors import ProtocolError
from tokentape.core.sse import ServerSentEvent, SseDecoder

PIECES = [
    *(b"\n", b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"data: ", b"data:", b"data", b"data: {}\n\n"),
    *(b"event: ", b"event", b"id: ", b"id: 7\n", b"id", b"retry: ", b"retry: 12\n", b": ", b":", b" "),
    *(b"x", b"0", b"\0", b"[DONE]", b"data: [DONE]\r\n\r\n", b"\xff", b"\xe2", b"\x80\xa8"),
    *("\ufeff".encode(), "é".encode(), "👩".encode(), "\u2028".encode(), "\u0085".encode()),
]
streams = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=40).map(b"".join)


class Outcome(NamedTuple):
    events: list[ServerSentEvent]
    last_event_id: str
    retry: int | None
    broken: bool | None
    fault: str | None


def play(chunks: Sequence[bytes], *, max_line: int = 1000, max_event: int = 1000) -> Outcome:
    decoder = SseDecoder(max_line, max_event)
    events: list[ServerSentEvent] = []
    broken, fault = None, None
    try:
        for chunk in chunks:
            events += decoder.receive_data(chunk)
        broken = decoder.receive_eof()
    except ProtocolError as error:
        fault = error.message
    return Outcome(events, decoder.last_event_id, decoder.retry, broken, fault)


def model(stream: bytes) -> Outcome:
    """The standard, read literally, over the whole stream."""
    *lines, rest = re.split("\r\n|\r|\n", stream.decode("utf-8", "replace").removeprefix("\ufeff"))
    events: list[ServerSentEvent] = []
    retry: int | None = None
    last_event_id, identity, event, own_retry, data = "", "", "", None, ""
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            last_event_id = identity
            if data != "":
                events.append(ServerSentEvent(data=data[:-1], event=event or "message", id=identity, retry=own_retry))
            event, own_retry, data = "", None, ""
        elif name == "event":
            event = value
        elif name == "data":
            data += value + "\n"
        elif name == "id" and "\0" not in value:
            identity = value
        elif name == "retry" and re.fullmatch("[0-9]{1,15}", value):
            retry = own_retry = int(value)
    return Outcome(events, last_event_id, retry, rest != "" or data != "", None)


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


def byte_by_byte(stream: bytes) -> list[bytes]:
    return [stream[place : place + 1] for place in range(len(stream))]


@settings(max_examples=300, deadline=None)
@given(streams, st.lists(st.integers(0, 200), max_size=12))
@example("\ufeff".encode() + b"data: a\r\n\r\n\rid: 1\r\rdata: \xf0\x9f\x91\xa9\n\n", [1, 2, 12, 13, 30])
def test_a_stream_means_the_same_however_it_is_cut(stream, places):
    expected = model(stream)
    assert play([stream]) == expected
    assert play(byte_by_byte(stream)) == expected
    assert play(cut(stream, places)) == expected


@settings(max_examples=300, deadline=None)
@given(streams, st.lists(st.integers(0, 200), max_size=12), st.integers(1, 12), st.integers(1, 12))
def test_a_fault_comes_at_the_same_place_however_the_stream_is_cut(stream, places, max_line, max_event):
    expected = play([stream], max_line=max_line, max_event=max_event)
    assert play(byte_by_byte(stream), max_line=max_line, max_event=max_event) == expected
    assert play(cut(stream, places), max_line=max_line, max_event=max_event) == expected
    # And it is never a different story: what was handed out before the fault is what the model has, too.
    assert model(stream).events[: len(expected.events)] == expected.events
