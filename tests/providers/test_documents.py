import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.errors import ProtocolError
from tokentape.core.sse import SseDecoder
from tokentape.providers.documents import Documents

BLOCKS = [
    b'data: {"a":1}\n\n',
    b'data: {"a":"\xe4\xba\xac"}\n\n',
    b'data: {"a":"\xff"}\n\n',
    b'event: ping\ndata: {"type":"ping"}\n\n',
    b'event: x\nevent: y\ndata: {"b":2}\n\n',
    b'id: 7\ndata: {"b":2}\n\n',
    b'data:{"c":3}\n\n',
    b'data:  {"c":3}\n\n',
    b'data: {"d":\ndata: 4}\n\n',
    b'data: {"d":\ndata: 4}\n\ndata: {}\n\n',
    b'data: {"e":5}\n\n\n',
    b"\n",
    b"\n\n",
    b": still here\n\n",
    b"retry: 5\n\n",
    b'data: {"f":\r6}\n\n',
    b'data: {"f":6}\r\n\r\n',
    b'data: {"f":6}\r\n\n',
    b'\xef\xbb\xbfdata: {"g":7}\n\n',
    b"data\n\n",
    b"data: [DONE]\n\n",
    b'data: {"unfinished":',
    b'data: {"line":1}\n',
    b"event: only\n",
    b"nonsense}\n\n",
]


def read(pieces, limit=10_000) -> tuple[list[str], bool]:
    documents, found = Documents(limit, limit), []
    for piece in pieces:
        try:
            found += documents.receive_data(piece)
        except ProtocolError:
            return texts(found), True
    return texts(found), False


def texts(documents) -> list[str]:
    return [(d if isinstance(d, str) else str(d, "utf-8", "replace")).rstrip("\n") for d in documents]


def by_the_standard(stream: bytes, limit=10_000) -> tuple[list[str], bool]:
    decoder = SseDecoder(limit, limit)
    found, failed = [], False
    for byte in stream:
        try:
            found += [event.data for event in decoder.receive_data(bytes([byte]))]
        except ProtocolError:
            failed = True
            break
    return texts(found), failed


@given(st.lists(st.sampled_from(BLOCKS), max_size=8), st.lists(st.integers(0, 400), max_size=8))
def test_what_is_read_is_what_the_standard_says_however_it_is_cut(blocks, places):
    stream = b"".join(blocks)
    expected = by_the_standard(stream)
    assert read(blocks) == expected
    assert read(blocks, 12) == by_the_standard(stream, 12)
    assert read([stream]) == expected
    bounds = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    assert read([stream[a:b] for a, b in itertools.pairwise(bounds)]) == expected


@pytest.mark.parametrize("block", [b'data: {"a":1}\n\n', b'event: x\ndata: {"a":1}\n\n', b'data: {"a":1}\n\n' * 3])
def test_whole_events_never_reach_the_decoder(block, monkeypatch):
    documents = Documents(1000, 1000)
    documents.receive_data(block)

    def unexpected(*_):
        raise AssertionError("the long way")

    monkeypatch.setattr(SseDecoder, "receive_data", unexpected)
    for _ in range(3):
        assert texts(documents.receive_data(block)) == ['{"a":1}'] * block.count(b"data")


def test_past_a_cap_nothing_is_read_any_more():
    documents = Documents(50, 50)
    assert texts(documents.receive_data(b'data: {"a":1}\n\ndata: ' + b"x" * 100 + b"\n\n")) == ['{"a":1}']
    for _ in range(2):
        with pytest.raises(ProtocolError):
            documents.receive_data(b'data: {"a":2}\n\n')
