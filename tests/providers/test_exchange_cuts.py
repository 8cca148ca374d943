"""An exchange byte by byte, without a connection: what a response means does not depend on how it is cut."""

import itertools

from exchanging import Told
from hypothesis import given
from hypothesis import strategies as st

from tokentape.providers.exchange import Exchange

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Wire:
    """What an exchange sees of a connection, without one."""

    def __init__(self) -> None:
        self.transport = self.protocol = self
        self.kept: list[str] = []

    def is_closing(self) -> bool:
        return False

    def set_protocol(self, protocol) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        pass

    def connection_lost(self, exc) -> None:
        pass

    def close(self) -> None:
        self.kept.append("closed")

    def release(self) -> None:
        self.kept.append("released")


def heard(pieces) -> tuple:
    told, wire = Told(), Wire()
    exchange = told.exchange = Exchange(wire, told)
    for piece in pieces:
        if wire.kept:
            break
        exchange.data_received(piece)
    if not wire.kept:
        exchange.connection_lost(None)
    return *told.summary, wire.kept


HEADS = [
    OK,
    CHUNKED,
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.0 404 No\r\nX: 1\r\nX: 2\r\n\r\n",
]
TAILS = [b"5\r\nhello\r\n", b"3;ext=1\r\nabc\r\n", b"0\r\n\r\n", b"0\r\nT: 1\r\n\r\n", b"junk", b"\n"]


@given(
    st.lists(st.sampled_from(HEADS), min_size=1, max_size=2),
    st.lists(st.sampled_from(TAILS), max_size=5),
    st.lists(st.integers(0, 500), max_size=8),
)
def test_a_response_means_the_same_however_it_is_cut(heads, tails, places):
    stream = b"".join(heads + tails)
    whole = heard([stream])
    assert len(whole[3]) == 1
    # Surplus in the same read closes the connection; later it would be noticed in the pool.
    for pieces in ([bytes([b]) for b in stream], [stream[a:b] for a, b in itertools.pairwise(cuts(stream, places))]):
        cut = heard(pieces)
        assert cut[:4] == whole[:4]
        assert cut[4] == whole[4] or (cut[4], whole[4]) == (["released"], ["closed"])


def cuts(stream: bytes, places: list[int]) -> list[int]:
    return sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
