"""Frames are read back by the `websockets` library, which is what clients have on the other end."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError as PeerProtocolError
from websockets.frames import Close, Frame, Opcode

from tokentape.core.frames import (
    CloseCode,
    binary_frame,
    close_frame,
    closing_reason,
    fit_reason,
    is_sendable,
    pause_of,
    ping_frame,
    pong_frame,
    should_reconnect,
    text_frame,
)


def parse(data: bytes) -> Frame:
    """Reads one frame as a client does; fails when bytes are missing or left."""
    position = 0

    def read_exact(size):
        nonlocal position
        taken = data[position : position + size]
        assert len(taken) == size
        position += size
        return taken
        yield

    reading = Frame.parse(read_exact, mask=False)
    with pytest.raises(StopIteration) as stopped:
        next(reading)
    assert position == len(data)
    frame = stopped.value.value
    frame.check()
    return frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
@pytest.mark.parametrize(("build", "opcode"), [(text_frame, Opcode.TEXT), (binary_frame, Opcode.BINARY)])
def test_a_client_reads_a_message_of_any_size(build, opcode, size):
    payload = b"x" * size
    assert parse(build(payload)) == Frame(opcode, payload)


@pytest.mark.parametrize(
    ("size", "head"),
    [(125, b"\x81\x7d"), (126, b"\x81\x7e\x00\x7e"), (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00")],
)
def test_the_length_takes_its_shortest_form(size, head):
    assert text_frame(bytes(size))[:-size] == head


@pytest.mark.parametrize(("build", "opcode"), [(ping_frame, Opcode.PING), (pong_frame, Opcode.PONG)])
def test_a_client_reads_pings_and_pongs(build, opcode):
    assert parse(build()) == Frame(opcode, b"")
    assert parse(build(b"p" * 125)) == Frame(opcode, b"p" * 125)
    with pytest.raises(ValueError, match="126 bytes"):
        build(b"p" * 126)


def test_a_close_without_a_code_is_empty():
    assert parse(close_frame()) == Frame(Opcode.CLOSE, b"")
    with pytest.raises(ValueError, match="needs a code"):
        close_frame(None, "why")


@pytest.mark.parametrize("code", CloseCode)
@pytest.mark.parametrize("reason", ["", "too slow", "é" * 61])
def test_a_client_reads_every_close_code_of_ours(code, reason):
    frame = parse(close_frame(code, reason))
    assert frame.opcode is Opcode.CLOSE
    assert Close.parse(frame.data) == Close(code, reason)


def test_the_codes_that_may_be_sent_are_those_that_a_client_accepts():
    def accepted(code):
        try:
            Close(code, "").check()
        except PeerProtocolError:
            return False
        return True

    assert [code for code in range(65_536) if is_sendable(code) != accepted(code)] == []


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_536])
def test_a_code_that_must_not_be_sent_is_refused(code):
    with pytest.raises(ValueError, match="close code"):
        close_frame(code)


@pytest.mark.parametrize("reason", ["x" * 124, "é" * 62])
def test_a_reason_is_measured_in_bytes(reason):
    with pytest.raises(ValueError, match="124 bytes"):
        close_frame(1000, reason)


@given(st.text(st.characters(), max_size=200))
@example("x" * 122 + "é")
@example("x" * 120 + "👩")
@example("\ud800" * 124)
def test_any_reason_can_be_made_to_fit(reason):
    fitted = fit_reason(reason)
    assert len(close_frame(1000, fitted)) <= 127
    well_formed = reason.encode(errors="replace").decode()
    assert well_formed.startswith(fitted)
    assert fitted == well_formed or len(fitted.encode()) > 119


def test_the_number_of_a_code_tells_whether_to_reconnect():
    reconnect = {code.name for code in CloseCode if should_reconnect(code)}
    assert reconnect == {
        "GOING_AWAY",
        "INTERNAL_ERROR",
        "SERVICE_RESTART",
        "TRY_LATER",
        "SLOW",
        "HEARTBEAT_LOST",
        "DRAINING",
    }


@pytest.mark.parametrize(
    ("code", "expected"),
    [(1005, True), (1006, True), (1014, True), (1015, True), (3000, True), (3499, True), (3500, False), (3999, False)],
)
def test_lost_connections_reconnect_and_the_terminal_range_does_not(code, expected):
    assert should_reconnect(code) is expected


@given(st.integers(0, 999_999_999), st.text())
def test_a_close_reason_bears_the_pause(pause, text):
    assert pause_of(closing_reason(pause, text)) == pause


@pytest.mark.parametrize(
    "reason", ["", "retry=", "retry=-1;", "retry=1s;", "the retry=5;", "retry=1234567890;", "retry=٣;"]
)
def test_a_reason_without_a_pause_asks_for_none(reason):
    assert pause_of(reason) is None
