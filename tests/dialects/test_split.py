"""In each format: what a client assembles from any split into replay and live equals what it has from the whole.

Making an answer up takes many times as long as telling it, so every format tells each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st
from readers import READERS
from stories import answers

from tokentape.core.merge import Entry, merge
from tokentape.dialects.base import SseDialect
from tokentape.dialects.formats import FORMATS

EPOCH = "e1"
LABEL = "runs/r_1"
many = settings(max_examples=200)


def each_format() -> Iterator[SseDialect[bytes]]:
    """All of them, named as they come: the last one in the report of a failure is the one that failed."""
    for name, dialect in FORMATS.items():
        note(name)
        yield dialect


def encode(dialect: SseDialect[bytes], entries: Sequence[Entry], state: Any, *, end: bool) -> tuple[bytes, Any]:
    told = dialect.encode(LABEL, EPOCH, entries, state, last=entries[-1].offset if end else None)
    assert not told.over
    return told.content, told.state


def heard(dialect: SseDialect[bytes], text: str) -> str:
    """What can be had of a text: as lines of an event stream it has one kind of line break."""
    return re.sub("\r\n?", "\n", text) if dialect.name == "text" else text


def told(entries: Sequence[Entry]) -> tuple[str, str, list[tuple[str, str, str]], str | None]:
    """What was recorded."""
    events = [entry.event for entry in entries]
    return (
        "".join(event.data for event in events if event.type == "token"),
        "".join(event.data for event in events if event.type == "reasoning"),
        [
            (event.data["id"], event.data["name"], event.data["arguments"])
            for event in events
            if event.type == "tool_call"
        ],
        next((event.data["message"] for event in events if event.type == "error"), None),
    )


@many
@given(entries=answers())
def test_a_client_has_what_was_recorded(entries: list[Entry]) -> None:
    text, reasoning, calls, error = told(entries)
    # An answer that was interrupted has no error of its own; a format may call that one.
    interrupted = entries[-1].event.data["reason"] == "interrupted"
    for dialect in each_format():
        body, _ = encode(dialect, entries, None, end=True)
        read = READERS[dialect.name](body)
        assert read.text == heard(dialect, text)
        assert read.reasoning in (None, reasoning)
        assert read.calls is None or read.calls == calls
        assert interrupted or (read.error is not None) == (error is not None)
        assert read.ended


@st.composite
def splits(draw: st.DrawFn) -> tuple[list[Entry], list[tuple[int, bool, bool]]]:
    """An answer, and its parts: where each ends, whether it is merged, and whether a cut comes after it."""
    entries = draw(answers())
    parts, at = [], 0
    while at < len(entries):
        at += draw(st.integers(1, len(entries) - at))
        parts.append((at, draw(st.booleans()), draw(st.booleans())))
    return entries, parts


@many
@given(split=splits())
def test_a_split_anywhere_gives_the_same(split: tuple[list[Entry], list[tuple[int, bool, bool]]]) -> None:
    entries, parts = split
    for dialect in each_format():
        whole, _ = encode(dialect, entries, None, end=True)
        state: Any = None
        body, begin = b"", 0
        for end, is_merged, is_cut in parts:
            part = entries[begin:end]
            content, state = encode(dialect, merge(part) if is_merged else part, state, end=end == len(entries))
            body += content
            if dialect.stateful and is_cut and end < len(entries):
                # Back from a cut, on another instance: the state is told anew, from what is recorded.
                _, state = encode(dialect, merge(entries[:end]), None, end=False)
            begin = end
        read = READERS[dialect.name]
        assert read(body) == read(whole)


@many
@given(entries=answers(), data=st.data())
def test_a_view_that_was_cut_is_not_taken_for_a_whole_one(entries: list[Entry], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(entries) - 1))
    for dialect in each_format():
        body, _ = encode(dialect, entries[:cut], None, end=False)
        assert not READERS[dialect.name](body).ended


@many
@given(entries=answers(resets=True), data=st.data())
def test_what_was_taken_back_is_never_part_of_a_whole_answer(entries: list[Entry], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(entries) - 1))
    resets = [place for place, entry in enumerate(entries) if entry.event.type == "reset"]
    text, *_ = told(entries[resets[-1] :] if resets else entries)
    for dialect in each_format():
        first = rest = dialect.encode(LABEL, EPOCH, entries[:cut], None)
        body = first.content
        if not first.over:
            rest = dialect.encode(LABEL, EPOCH, entries[cut:], first.state, last=entries[-1].offset)
            body += rest.content
        read = READERS[dialect.name](body)
        if rest.over:
            assert read.error is not None
        else:
            assert read.text == heard(dialect, text)
