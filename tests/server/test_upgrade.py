"""What is asked for in the usual way is answered as the library would; all else is left to it."""

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tokentape.server.protocols.upgrade import MAX_BYTES, MAX_HEADERS, Admitted, read_upgrade

USUAL = [
    (b"host", b"example.org"),
    (b"connection", b"keep-alive, Upgrade"),
    (b"upgrade", b"WebSocket"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-protocol", b"tokentape.v1, other"),
    (b"cookie", "a=\u00e9".encode("latin-1")),
    (b"cookie", b"b=2"),
]
TARGET = b"/v1/ws?ticket=abc%20d"


def without(*names: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in USUAL if name not in names]


def wire(headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = [b"GET %b HTTP/1.1" % TARGET, *(b"%b: %b" % header for header in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def by_the_library(headers: list[tuple[bytes, bytes]]) -> tuple[Request, ServerProtocol]:
    connection = ServerProtocol()
    connection.receive_data(wire(headers))
    [request] = connection.events_received()
    assert isinstance(request, Request)
    return request, connection


def test_the_request_is_what_the_library_would_read() -> None:
    request = read_upgrade("GET", TARGET, USUAL)
    expected, _ = by_the_library(USUAL)
    assert request is not None
    assert (request.path, list(request.headers.raw_items())) == (expected.path, list(expected.headers.raw_items()))


def test_so_is_the_answer_but_for_its_date() -> None:
    request, connection = read_upgrade("GET", TARGET, USUAL), ServerProtocol()
    assert request is not None
    Admitted.admit(connection)
    mine = connection.accept(request)
    asked, library = by_the_library(USUAL)
    theirs = library.accept(asked)
    assert mine.status_code == theirs.status_code == 101
    assert mine.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3
    assert {**dict(mine.headers), "date": ""} == {**dict(theirs.headers), "date": ""}


def test_then_it_reads_frames() -> None:
    request, connection = read_upgrade("GET", TARGET, USUAL), ServerProtocol()
    assert request is not None
    Admitted.admit(connection)
    connection.send_response(connection.accept(request))
    connection.receive_data(Frame(Opcode.TEXT, b"hello").serialize(mask=True))
    [frame] = connection.events_received()
    assert isinstance(frame, Frame)
    assert frame.data == b"hello"


@pytest.mark.parametrize("name", [b"connection", b"upgrade", b"sec-websocket-key", b"sec-websocket-version"])
def test_what_is_missing_or_there_twice_goes_the_long_way(name: bytes) -> None:
    assert read_upgrade("GET", TARGET, without(name)) is None
    assert read_upgrade("GET", TARGET, [*USUAL, (name, dict(USUAL)[name])]) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"connection", b"keep-alive"),
        (b"connection", b"upgraded"),
        (b"upgrade", b"websocket, h2c"),
        (b"upgrade", b"h2c"),
        (b"sec-websocket-version", b"8"),
        (b"sec-websocket-version", b"13, 8"),
        (b"sec-websocket-key", b""),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZR=="),  # bits past the sixteenth byte
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZSB0b28="),
        (b"sec-websocket-key", b"!GhlIHNhbXBsZSBub25jZQ=="),
    ],
)
def test_so_does_what_is_wrong(name: bytes, value: bytes) -> None:
    assert read_upgrade("GET", TARGET, [*without(name), (name, value)]) is None


def test_so_does_what_is_large_or_no_get() -> None:
    assert read_upgrade("POST", TARGET, USUAL) is None
    assert read_upgrade("GET", "/é".encode(), USUAL) is None
    assert read_upgrade("GET", TARGET, [*USUAL, (b"x", b"y" * MAX_BYTES)]) is None
    assert read_upgrade("GET", TARGET, [*USUAL, *[(b"x", b"y")] * MAX_HEADERS]) is None
