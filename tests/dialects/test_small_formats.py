"""The small conventions: what each event becomes, and what none of them may lose (wire-formats §2)."""

from __future__ import annotations

import json
import re

import pytest
from assembled import Frame, frames
from hypothesis import given
from hypothesis import strategies as st
from reading_small import text as read_text
from stories import placed

from tokentape.core.events import Event
from tokentape.dialects import channel_events, small
from tokentape.dialects.small import chunk_websocket

EPOCH = "e1"
START = ("start", {"message_id": "m", "model": "gpt"})
DONE = ("done", {"reason": "stop", "usage": {"output_tokens": 2}})
ANSWER = placed([START, ("reasoning", "Hm"), ("token", "Hi\n"), ("status", {"a": 1}), ("token", "you"), DONE])
FAILURE = placed(
    [START, ("token", "Hi"), ("error", {"code": "c", "message": "It broke."}), ("done", {"reason": "error"})]
)


def spelled(dialect: small.TextSse | small.ContentSse | small.ChunkSse, entries: list) -> list[Frame]:
    return frames(dialect.encode("", EPOCH, entries, None).content)


def test_text_is_the_text_itself() -> None:
    assert spelled(small.text, ANSWER) == [
        Frame("message", "Hi\n", "e1-3"),
        Frame("message", "you", "e1-5"),
        Frame("done", "stop", "e1-6"),
    ]
    assert spelled(small.text, FAILURE)[-1] == Frame("error", "It broke.", "e1-4")


def test_content_has_its_three_types() -> None:
    assert [json.loads(frame.data) for frame in spelled(small.content, ANSWER)] == [
        {"type": "content", "delta": "Hi\n"},
        {"type": "content", "delta": "you"},
        {"type": "finish", "reason": "stop", "tokens": 2},
    ]
    assert json.loads(spelled(small.content, FAILURE)[-1].data) == {"type": "error", "message": "It broke."}


def test_chunk_is_the_same_in_both_framings() -> None:
    told = [json.loads(frame.data) for frame in spelled(small.chunk, ANSWER)]
    assert told == [{"type": "chunk", "content": "Hi\n"}, {"type": "chunk", "content": "you"}, {"type": "done"}]
    assert [json.loads(message) for message in chunk_websocket.encode("", EPOCH, ANSWER, None).content] == told
    assert json.loads(spelled(small.chunk, FAILURE)[-1].data) == {"type": "error", "message": "It broke."}


@pytest.mark.parametrize("dialect", [small.text, small.content, small.chunk], ids=lambda dialect: dialect.name)
def test_an_answer_that_broke_off_is_no_success(dialect: small.TextSse) -> None:
    entries = placed([START, ("token", "Hi"), ("done", {"reason": "interrupted"})])
    assert "broke off" in spelled(dialect, entries)[-1].data


@given(st.lists(st.text(alphabet="a \r\n\u0085\u2028:", min_size=1, max_size=4), min_size=1, max_size=6), st.data())
def test_no_line_break_is_lost_or_made_wherever_a_text_is_cut(pieces: list[str], data: st.DataObject) -> None:
    entries = placed([START, *(("token", piece) for piece in pieces), DONE])
    body, state, at = b"", None, 0
    while at < len(entries):
        size = data.draw(st.integers(1, len(entries) - at))
        told = small.text.encode("", EPOCH, entries[at : at + size], state)
        body, state, at = body + told.content, told.state, at + size
    assert read_text(body).text == re.sub("\r\n?", "\n", "".join(pieces))


def test_channel_events_have_names_and_say_whose_they_are() -> None:
    entries = placed([("token", "Hi"), ("chat:typing", {"who": "ann"}), ("reset", {"reason": "restarted"}), DONE])
    told = frames(channel_events.sse.encode("room", EPOCH, entries, None).content)
    assert [(frame.event, json.loads(frame.data), frame.id) for frame in told] == [
        ("ai:token", {"run": "r_1", "token": "Hi"}, "e1-1"),
        ("chat:typing", {"who": "ann"}, "e1-2"),
        ("ai:reset", {"run": "r_1", "reason": "restarted"}, "e1-3"),
        ("ai:done", {"run": "r_1", "reason": "stop", "usage": {"output_tokens": 2}}, "e1-4"),
    ]
    [typing] = frames(channel_events.sse.ephemeral("room", Event(type="chat:typing", data=1)))
    assert (typing.event, typing.data, typing.id) == ("chat:typing", "1", "")
