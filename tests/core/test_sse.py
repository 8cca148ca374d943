from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.errors import InvalidEvent, ProtocolError
from tokentape.core.sse import ServerSentEvent, SseDecoder, comment, encode_sse

MIB = 1_048_576
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.text("a\r\n \0:\u2028\u0085\ufeffé👩", max_size=20)
fields = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=20)


def decode_with(decoder: SseDecoder, chunks: Iterable[bytes]) -> list[ServerSentEvent]:
    return [event for chunk in chunks for event in decoder.receive_data(chunk)]


def decode(*chunks: bytes) -> list[ServerSentEvent]:
    return decode_with(SseDecoder(), chunks)


def data_of(*chunks: bytes) -> list[str]:
    return [event.data for event in decode(*chunks)]


def peak_memory(decoder: SseDecoder, chunks: Iterable[bytes]) -> int:
    """Bytes that decoding took at its highest, until it was refused; the chunks themselves are not counted."""

    def feed() -> None:
        for chunk in chunks:
            decoder.receive_data(chunk)

    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            feed()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Encoding


def test_an_event_is_its_fields_and_a_blank_line():
    assert encode_sse(b'{"a":1}') == b'data: {"a":1}\n\n'
    assert encode_sse("Hi", id="k3f9-2") == b"id: k3f9-2\ndata: Hi\n\n"
    assert encode_sse("Hi", event="ping", retry=2500, id="7") == b"retry: 2500\nevent: ping\nid: 7\ndata: Hi\n\n"
    assert encode_sse("") == b"data: \n\n"


def test_data_is_split_at_line_ends_and_nowhere_else():
    assert encode_sse("a\rb\nc\r\nd\n") == b"data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"
    assert encode_sse("a\u2028b\u0085c\x0bd\x0c") == b"data: " + "a\u2028b\u0085c\x0bd\x0c".encode() + b"\n\n"


@given(texts, st.none() | fields, st.none() | fields, st.none() | st.integers(0, 10**15 - 1))
def test_any_text_comes_back_with_its_line_ends_as_lf(data, identity, event, retry):
    (decoded,) = decode(encode_sse(data, id=identity, event=event, retry=retry))
    assert decoded == ServerSentEvent(
        data=data.replace("\r\n", "\n").replace("\r", "\n"), event=event or "message", id=identity or "", retry=retry
    )


@given(texts, texts, texts)
def test_one_event_is_one_event_and_forges_no_field(data, identity, event):
    try:
        block = encode_sse(data, id=identity, event=event)
    except InvalidEvent:
        assert set("\r\n\0") & set(identity + event)
        return
    assert [(e.id, e.event) for e in decode(block)] == [(identity, event or "message")]


@pytest.mark.parametrize("mark", ["\r", "\n", "\r\n", "\0"])
@pytest.mark.parametrize("field", ["id", "event"])
def test_line_ends_and_nul_in_a_field_are_refused(field, mark):
    with pytest.raises(InvalidEvent, match=rf"The {field} .* holds a CR, LF or NUL"):
        encode_sse("x", **{field: f"a{mark}data: forged"})
    with pytest.raises(InvalidEvent, match="comment"):
        comment(f"a{mark}data: forged")


@pytest.mark.parametrize("arguments", [{"data": "\ud800"}, {"data": "x", "id": "\ud800"}, {"data": "x", "retry": -1}])
def test_what_has_no_wire_form_is_refused(arguments):
    with pytest.raises(InvalidEvent):
        encode_sse(**arguments)


def test_a_comment_is_a_heartbeat_that_no_client_sees():
    assert comment("hb") == b": hb\n\n"
    assert decode(comment("hb"), comment(), encode_sse("x"), comment("hb")) == [ServerSentEvent(data="x")]


# Decoding: the examples and the rules of the standard


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_line_end_ends_a_line(end):
    assert data_of(b"data: YHOO\ndata: +2\ndata: 10\n\ndata: x\n\n".replace(b"\n", end)) == ["YHOO\n+2\n10", "x"]


def test_line_ends_may_be_mixed():
    assert data_of(b"data: a\rdata: b\r\ndata: c\n\r\r\ndata: d\n\r") == ["a\nb\nc", "d"]


def test_a_cr_ends_its_line_without_waiting_for_what_follows():
    decoder = SseDecoder()
    assert [e.data for e in decoder.receive_data(b"data: a\r\r")] == ["a"]
    assert decoder.receive_data(b"\n") == []
    assert [e.data for e in decoder.receive_data(b"data: b\r\n\r\n")] == ["b"]


def test_a_crlf_is_one_line_end_also_where_a_chunk_ends_within_it():
    assert data_of(b"data: a\r", b"\ndata: b\r", b"", b"\n\r", b"\n") == ["a\nb"]
    assert data_of(b"data: a\r", b"data: b\n\n") == ["a\nb"]


def test_only_the_first_space_after_the_colon_is_dropped():
    assert data_of(b"data:test\n\ndata: test\n\ndata:  test\n\n") == ["test", "test", " test"]


def test_an_empty_data_line_makes_an_event_and_a_block_without_one_does_not():
    assert data_of(b"data\n\ndata\ndata\n\ndata:") == ["", "\n"]
    assert data_of(b"event: x\nid: 1\n\n\n\n: c\n\n") == []


def test_a_type_is_for_its_own_block_only():
    assert [e.event for e in decode(b"event: add\ndata: 1\n\ndata: 2\n\nevent: x\n\ndata: 3\n\n")] == [
        "add",
        "message",
        "message",
    ]


def test_an_id_stays_in_force_until_the_next():
    events = decode(b"data: a\n\nid: 1\ndata: b\n\ndata: c\n\nid\ndata: d\n\nid: 2\n\ndata: e\n\n")
    assert [e.id for e in events] == ["", "1", "1", "", "2"]


def test_an_id_with_nul_is_ignored():
    assert [e.id for e in decode(b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n")] == ["1", "1"]


def test_p2_the_id_to_resume_with_is_that_of_the_last_complete_block():
    decoder = SseDecoder()
    decoder.receive_data(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert decoder.last_event_id == "1"
    decoder.receive_data(b"\n")
    assert decoder.last_event_id == "2"


@pytest.mark.parametrize(
    ("value", "retry"),
    [(b"0", 0), (b"2500", 2500), (b"007", 7)]
    + [(bad, None) for bad in (b"", b"-1", b"+1", b"1.5", b"1e3", b"1 ", b"\xd9\xa1", b"9" * 16, b"9" * 10_000)],
)
def test_a_retry_is_digits(value, retry):
    decoder = SseDecoder()
    (event,) = decoder.receive_data(b"retry: " + value + b"\ndata: x\n\n")
    assert event.retry == decoder.retry == retry


def test_a_retry_counts_also_in_a_block_without_data_and_belongs_to_its_block():
    decoder = SseDecoder()
    events = decoder.receive_data(b"retry: 5\n\ndata: x\n\n")
    assert decoder.retry == 5
    assert [e.retry for e in events] == [None]


@pytest.mark.parametrize("line", [b"Data: x", b"data : x", b" data: x", b"datas: x", b"dat", b"\0data: x", b"ID: 1"])
def test_a_field_that_is_not_known_is_ignored(line):
    assert decode(line + b"\ndata: y\n\n") == [ServerSentEvent(data="y")]


def test_one_byte_order_mark_at_the_start_is_ignored():
    bom = "\ufeff".encode()
    assert data_of(bom + b"data: a\n\n" + bom + b"data: b\n\n") == ["a"]
    assert data_of(bom + bom + b"data: a\n\n") == []
    assert data_of(bom[:1], bom[1:2], bom[2:] + b"data: a\n\n") == ["a"]
    assert data_of(b"data: " + bom + b"\n\n") == ["\ufeff"]


def test_text_is_exact_where_a_chunk_ends_within_a_character():
    assert data_of(b"data: \xf0\x9f", b"\x91\xa9\n", b"\n") == ["👩"]


def test_bytes_that_are_not_utf8_are_replaced():
    events = decode(b"event: \xff\nid: \xc3\ndata: a\xe2\x80\ndata: \xa8\n\n")
    assert events == [ServerSentEvent(data="a\ufffd\n\ufffd", event="\ufffd", id="\ufffd")]


def test_separators_of_other_standards_are_text():
    assert data_of("data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\n\n".encode()) == [
        "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg"
    ]


@pytest.mark.parametrize("stream", [b"", "\ufeff".encode(), b"\n", b"\r"])
def test_a_stream_of_nothing_does_not_break_off(stream):
    decoder = SseDecoder()
    assert decoder.receive_data(stream) == []
    assert decoder.receive_eof() is False


@pytest.mark.parametrize(
    ("rest", "broken"),
    [
        (b"", False),
        (b": hb\n", False),
        (b": hb\n\n", False),
        (b"data: b", True),
        (b"data: b\n", True),
        (b"data: b\r", True),
        (b"dat", True),
    ],
)
def test_p4_an_incomplete_block_at_the_end_is_discarded_and_told(rest, broken):
    decoder = SseDecoder()
    assert [e.data for e in decoder.receive_data(b"data: a\n\n" + rest)] == ["a"]
    assert decoder.receive_eof() is broken


# Caps


def test_a_line_may_be_as_long_as_the_cap():
    decoder = SseDecoder(max_line=10)
    assert [e.data for e in decoder.receive_data(b"data: 1234\n\ndata: 5\n\n")] == ["1234", "5"]
    for line in (b"data: 12345\n", b"data: 12345", b": 123456789"):
        with pytest.raises(ProtocolError, match="longer than 10 bytes"):
            SseDecoder(max_line=10).receive_data(line)
        with pytest.raises(ProtocolError, match="longer than 10 bytes"):
            SseDecoder(max_line=10).receive_data(b"\n" + line)


def test_a_byte_order_mark_counts_as_a_part_of_its_line_however_it_comes():
    for chunks in ([b"\xef\xbb\xbfdata: 1\n"], [b"\xef", b"\xbb\xbfdata: 1", b"\n"]):
        with pytest.raises(ProtocolError, match="longer than 9 bytes"):
            decode_with(SseDecoder(max_line=9), chunks)


def test_the_data_of_an_event_may_be_as_long_as_the_cap():
    decoder = SseDecoder(max_event=5)
    assert [e.data for e in decoder.receive_data(b"data: 12345\n\ndata: 12\ndata: 45\n\n")] == ["12345", "12\n45"]
    for lines in (b"data: 123456\n", b"data:123\ndata:45\n", b"data:1234\ndata\ndata\n"):
        with pytest.raises(ProtocolError, match="longer than 5 bytes"):
            SseDecoder(max_event=5).receive_data(lines)


def test_the_events_before_a_fault_come_first_and_the_fault_stays():
    decoder = SseDecoder(max_line=20)
    assert [e.data for e in decoder.receive_data(b"data: a\n\n" + b"x" * 21)] == ["a"]
    for call in (lambda: decoder.receive_data(b"data: b\n\n"), decoder.receive_eof, decoder.receive_eof):
        with pytest.raises(ProtocolError, match="longer than 20 bytes"):
            call()


@pytest.mark.parametrize("size", [1000, 65_536, 64 * MIB])
def test_a_line_over_the_cap_is_refused_without_growing_memory(size):
    # The line end makes it two lines, which is where a decoder might copy.
    chunk = b"\n" + b"x" * size if size > MIB else b"x" * size
    assert peak_memory(SseDecoder(), (chunk for _ in range(100_000))) < 3 * MIB


@pytest.mark.parametrize("line", [b"data\n", b"data:x\n", b"data: xyz\n", b"data: " + b"x" * 60_000 + b"\n"])
def test_an_event_over_the_cap_is_refused_without_growing_memory(line):
    # As much for a line of one byte as for one of many: twice the cap, and what one chunk of lines takes.
    chunk = line * max(1, 4096 // len(line))
    decoder = SseDecoder(max_event=MIB // 4)
    assert peak_memory(decoder, (chunk for _ in range(100_000))) < MIB


def test_fields_that_repeat_are_not_kept():
    decoder = SseDecoder(max_event=100)
    field = b"x" * 50_000
    chunk = b"event: %b\nid: %b\n: %b\nother: %b\n" % (field, field, field, field)
    ending = (b"data: " + b"x" * 101 + b"\n",)
    assert peak_memory(decoder, (*(chunk for _ in range(500)), *ending)) < 1 * MIB


def cpu_seconds(decoder: SseDecoder, chunks: Iterable[bytes]) -> float:
    started = time.process_time()
    for chunk in chunks:
        decoder.receive_data(chunk)
    return time.process_time() - started


# Linear work is about a second of these; to copy or search the buffer at each step would be some 10^12 bytes: minutes.


def test_a_long_line_that_comes_byte_by_byte_is_not_searched_again():
    decoder = SseDecoder(max_line=2 * MIB)
    assert cpu_seconds(decoder, (b"x" for _ in range(MIB + MIB // 2))) < 20
    decoder.receive_data(b"\n\ndata: still works\n")
    assert [e.data for e in decoder.receive_data(b"\n")] == ["still works"]


def test_the_lines_of_a_long_event_are_not_joined_again():
    lines = b"data: x\n" * 1000
    decoder = SseDecoder()
    assert cpu_seconds(decoder, (lines for _ in range(1000))) < 20
    assert [len(e.data) for e in decoder.receive_data(b"\n")] == [1_999_999]
