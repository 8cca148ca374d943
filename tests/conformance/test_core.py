"""The vectors of the core: event streams, cursors, merging, transcripts."""

import base64
import json

import msgspec
import pytest
from vectors import cases

from tokentape.core.cursor import Cursor
from tokentape.core.errors import InvalidCursor, ProtocolError
from tokentape.core.events import Event, encode_event
from tokentape.core.merge import Entry, merge
from tokentape.core.sse import SseDecoder
from tokentape.core.transcript import Transcript


@pytest.mark.parametrize("cut", [1, 3, 10_000])
@pytest.mark.parametrize("case", cases("sse"), ids=lambda case: case["name"])
def test_sse(case, cut):
    data = base64.b64decode(case["base64"]) if "base64" in case else case["text"].encode()
    decoder = SseDecoder(**{f"max_{name}": value for name, value in case.get("limits", {}).items()})
    events = []
    fault = False
    try:
        for start in range(0, len(data) + cut, cut):
            events += decoder.receive_data(data[start : start + cut])
    except ProtocolError:
        fault = True
    assert [{"data": event.data, "event": event.event, "id": event.id} for event in events] == case["events"]
    assert fault == case.get("fault", False)
    assert decoder.retry == case.get("retry")


@pytest.mark.parametrize("case", cases("cursors"), ids=lambda case: case["text"])
def test_cursor(case):
    if case["cursor"] is None:
        with pytest.raises(InvalidCursor):
            Cursor.parse(case["text"])
    else:
        assert Cursor.parse(case["text"])._asdict() == case["cursor"]


def offsets(case):
    return [(place + 1, msgspec.convert(event, Event)) for place, event in enumerate(case["events"])]


@pytest.mark.parametrize("case", cases("merge"), ids=lambda case: case["name"])
def test_merge(case):
    merged = merge([Entry(offset, encode_event(event), event) for offset, event in offsets(case)])
    assert [{"offset": entry.offset, "event": json.loads(entry.record)} for entry in merged] == case["merged"]


@pytest.mark.parametrize("case", cases("transcripts"), ids=lambda case: case["name"])
def test_transcript(case):
    transcript = Transcript()
    transcript.apply_all(offsets(case))
    assert json.loads(msgspec.json.encode(transcript.messages())) == case["messages"]
