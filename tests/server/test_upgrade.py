"""What is asked for in the usual way is answered as the library would; all else is left to it."""

from collections.abc import Generator

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

from tokentape.server.protocols.upgrade import MAX_BYTES, MAX_HEADERS, opened, read_frames, read_upgrade

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
    upgrade = read_upgrade("GET", TARGET, USUAL)
    expected, _ = by_the_library(USUAL)
    assert upgrade is not None
    assert upgrade.target == expected.path
    assert [(n.decode(), v.decode("latin-1")) for n, v in upgrade.headers] == list(expected.headers.raw_items())
    assert upgrade.subprotocols == ["tokentape.v1", "other"]


def test_so_is_the_answer_but_for_its_date() -> None:
    upgrade = read_upgrade("GET", TARGET, USUAL)
    asked, library = by_the_library(USUAL)
    theirs = library.accept(asked)
    assert upgrade is not None
    assert upgrade.accept == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3
    reader = StreamReader()
    reader.feed_data(upgrade.answer("tokentape.v1", [(b"date", b"today")]))
    [mine] = parsed(Response.parse(reader.read_line, reader.read_exact, reader.read_to_eof))
    for answer in (mine, upgrade.response()):
        assert (answer.status_code, answer.reason_phrase) == (theirs.status_code, theirs.reason_phrase)
        for name in ("Upgrade", "Connection", "Sec-WebSocket-Accept"):
            assert answer.headers.get_all(name) == theirs.headers.get_all(name)
    assert mine.headers["Sec-WebSocket-Protocol"] == "tokentape.v1"
    assert mine.headers["Date"] == "today"


def parsed(steps: Generator[None, None, Response]) -> list[Response]:
    try:
        next(steps)
    except StopIteration as stop:
        return [stop.value]
    return []


def test_then_it_reads_frames() -> None:
    connection = ServerProtocol()
    read_frames(connection)
    opened(connection)
    connection.receive_data(Frame(Opcode.TEXT, b"hello").serialize(mask=True))
    [frame] = connection.events_received()
    assert isinstance(frame, Frame)
    assert frame.data == b"hello"
    connection.send_close(1000)
    assert connection.state is State.CLOSING


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
