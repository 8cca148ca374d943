"""What a crowd reads does not depend on how it was cut, over either transport."""

import random

import pytest

from tokentape.core.errors import ProtocolError
from tokentape.core.frames import close_frame, frame_messages, ping_frame
from tokentape.core.messages import ack, end_message, event_message
from tokentape.core.sse import encode_chunk
from tokentape.server.crowd.pieces import MAX_REST, Pieces, SseReading, WebSocketReading

RECORDS = [b'{"type":"token","run":"r_1","data":"%d %s","at":%d}' % (n, b"x" * 70 * n, 1000 + n) for n in range(1, 8)]
READY = {"outcome": "live", "cursor": "abc-0"}


def sse() -> bytes:
    blocks = [b"id: abc-%d\ndata: %b\n\n" % (n, record) for n, record in enumerate(RECORDS, 1)]
    ready = b'data: {"type":"ready","data":{"outcome":"live","cursor":"abc-0"}}\n\n'
    chunks = [
        ready,
        blocks[0],
        b": hb\n\n",
        b"".join(blocks[1:4]),
        b"".join(blocks[4:])[:99],
        b"".join(blocks[4:])[99:],
    ]
    return b"".join(map(encode_chunk, [*chunks, b"data: [DONE]\n\n"])) + b"0\r\n\r\n"


def websocket() -> bytes:
    messages = [event_message("room", f"abc-{n}", record) for n, record in enumerate(RECORDS, 1)]
    frames = [frame_messages([ack(1, READY)]), ping_frame(b"hi"), frame_messages(messages)]
    return b"".join([*frames, frame_messages([end_message("room", "abc-7")]), close_frame(1000)])


def read(reading, data: bytes, sizes) -> tuple:
    place, pieces = 0, []
    while place < len(data):
        size = sizes()
        pieces.append(reading.feed(data[place : place + size]))
        place += size
    told = tuple(told for piece in pieces for told in piece.events)
    marks = [any(getattr(piece, name) for piece in pieces) for name in ("ready", "gone", "ended", "closed")]
    return told, b"".join(piece.content for piece in pieces), marks, [ping for piece in pieces for ping in piece.pings]


@pytest.mark.parametrize(("kind", "data"), [(SseReading, sse()), (WebSocketReading, websocket())])
def test_a_stream_is_read_alike_however_it_is_cut(kind, data):
    whole = read(kind(Pieces()), data, lambda: len(data))
    assert [told.offset for told in whole[0]] == list(range(1, 8))
    assert [told.content.partition(b":")[2].strip() for told in whole[0]] == RECORDS
    assert whole[1] == b"".join(told.content for told in whole[0])
    assert whole[2][:3] == [True, False, True]
    assert whole[3] == ([b"hi"] if kind is WebSocketReading else [])
    known = Pieces()
    assert read(kind(known), data, lambda: 1) == whole
    chance = random.Random(3)
    for _ in range(50):
        # With what the others have read, which must change nothing.
        assert read(kind(known), data, lambda: chance.randint(1, 300)) == whole


def test_the_oldest_of_what_came_says_how_late_it_is():
    pieces = [SseReading(Pieces()).feed(sse())]
    assert pieces[0].at == 1001


@pytest.mark.parametrize("kind", [SseReading, WebSocketReading])
def test_what_cannot_start_where_it_was_is_told(kind):
    ready = {"outcome": "gone", "cursor": "abc-0", "reason": "trimmed"}
    data = frame_messages([ack(1, ready)])
    if kind is SseReading:
        data = encode_chunk(b'data: {"type":"ready","data":{"outcome":"gone","cursor":"abc-0"}}\n\n')
    piece = kind(Pieces()).feed(data)
    assert (piece.ready, piece.gone) == (True, True)


@pytest.mark.parametrize("data", [b"zz\r\nnothing\r\n", encode_chunk(b"id: nonsense\ndata: {}\n\n")])
def test_what_is_no_protocol_is_refused(data):
    with pytest.raises(ProtocolError):
        SseReading(Pieces()).feed(data)


def test_what_never_ends_is_refused():
    reading = SseReading(Pieces())
    with pytest.raises(ProtocolError, match="larger"):
        reading.feed(b"%x\r\n" % (2 * MAX_REST) + bytes(MAX_REST + 1))
