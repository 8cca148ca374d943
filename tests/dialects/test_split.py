"""In each format: what a client assembles from any split into replay and live equals what it has from the whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readers import READERS
from stories import answers

from tokentape.core.merge import Entry, merge
from tokentape.dialects.base import SseDialect
from tokentape.dialects.formats import FORMATS

EPOCH = "e1"
LABEL = "runs/r_1"
formats = pytest.mark.parametrize("dialect", FORMATS.values(), ids=FORMATS)


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


@formats
@given(entries=answers())
def test_a_client_has_what_was_recorded(dialect: SseDialect[bytes], entries: list[Entry]) -> None:
    body, _ = encode(dialect, entries, None, end=True)
    read = READERS[dialect.name](body)
    text, reasoning, calls, error = told(entries)
    assert read.text == heard(dialect, text)
    assert read.reasoning in (None, reasoning)
    assert read.calls is None or read.calls == calls
    # An answer that was interrupted has no error of its own; a format may call that one.
    interrupted = entries[-1].event.data["reason"] == "interrupted"
    assert interrupted or (read.error is not None) == (error is not None)
    assert read.ended


@formats
@given(entries=answers(), data=st.data())
def test_a_split_anywhere_gives_the_same(dialect: SseDialect[bytes], entries: list[Entry], data: st.DataObject) -> None:
    whole, _ = encode(dialect, entries, None, end=True)
    state: Any = None
    body, at = b"", 0
    while at < len(entries):
        size = data.draw(st.integers(1, len(entries) - at))
        part: Sequence[Entry] = entries[at : at + size]
        at += size
        merged = merge(part) if data.draw(st.booleans()) else part
        content, state = encode(dialect, merged, state, end=at == len(entries))
        body += content
        if dialect.stateful and at < len(entries) and data.draw(st.booleans()):
            # Back from a cut, on another instance: the state is told anew, from what is recorded.
            _, state = encode(dialect, merge(entries[:at]), None, end=False)
    read = READERS[dialect.name]
    assert read(body) == read(whole)


@formats
@given(entries=answers(), data=st.data())
def test_a_view_that_was_cut_is_not_taken_for_a_whole_one(
    dialect: SseDialect[bytes], entries: list[Entry], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(entries) - 1))
    body, _ = encode(dialect, entries[:cut], None, end=False)
    assert not READERS[dialect.name](body).ended


@formats
@given(entries=answers(resets=True), data=st.data())
def test_what_was_taken_back_is_never_part_of_a_whole_answer(
    dialect: SseDialect[bytes], entries: list[Entry], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(entries) - 1))
    first = dialect.encode(LABEL, EPOCH, entries[:cut], None)
    rest = first if first.over else dialect.encode(LABEL, EPOCH, entries[cut:], first.state, last=entries[-1].offset)
    read = READERS[dialect.name](first.content if first.over else first.content + rest.content)
    resets = [place for place, entry in enumerate(entries) if entry.event.type == "reset"]
    text, *_ = told(entries[resets[-1] :] if resets else entries)
    if rest.over:
        assert read.error is not None
    else:
        assert read.text == heard(dialect, text)
