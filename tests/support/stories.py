"""Events of a run as they could have been recorded, for property tests of dialects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tokentape.core.events import Event, encode_event
from tokentape.core.merge import Entry

RUN = "r_1"

_text = st.text(max_size=8)
_json = st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9) | st.text(max_size=3), max_size=2)


def placed(events: Sequence[tuple[str, Any]], *, first: int = 1, gap: int = 1) -> list[Entry]:
    """Events of the run `RUN` as entries; with a `gap` others speak in between."""
    made = [
        Event(type=kind, run=RUN, data=data, at=1_700_000_000_000 + place) for place, (kind, data) in enumerate(events)
    ]
    return [Entry(first + place * gap, encode_event(event), event) for place, event in enumerate(made)]


@st.composite
def _call(draw: st.DrawFn) -> list[tuple[str, Any]]:
    identity, name = "call_?", draw(st.sampled_from(["look", "add"]))
    pieces = draw(st.lists(_text, max_size=3))
    deltas: list[tuple[str, Any]] = [("tool_call_delta", {"id": identity, "arguments": piece}) for piece in pieces]
    if deltas:
        deltas[0] = ("tool_call_delta", {**deltas[0][1], "name": name})
    whole = ("tool_call", {"id": identity, "name": name, "arguments": "".join(pieces) or "{}"})
    result = [("tool_result", {"id": identity, "output": draw(_json)})] if draw(st.booleans()) else []
    return [*deltas, whole, *result]


_speech = st.lists(st.tuples(st.just("token"), _text) | st.tuples(st.just("reasoning"), _text), min_size=1, max_size=5)
_aside = st.lists(st.tuples(st.sampled_from(["status", "metadata", "app:note"]), _json), min_size=1, max_size=2)


def _named(event: tuple[str, Any], place: int) -> tuple[str, Any]:
    kind, data = event
    return (kind, {**data, "id": f"call_{place}"}) if kind.startswith("tool_") else event


@st.composite
def answers(draw: st.DrawFn, *, resets: bool = False) -> list[Entry]:
    """A whole run: `start`, text, reasoning, tool calls, asides, maybe an error, `done`."""
    parts = draw(st.lists(_speech | _call() | _aside, max_size=5))
    events = [_named(event, place) for place, part in enumerate(parts) for event in part]
    if resets and events and draw(st.booleans()):
        events.insert(draw(st.integers(0, len(events))), ("reset", {"reason": "restarted"}))
    failed = draw(st.booleans())
    ending: list[tuple[str, Any]] = []
    if failed:
        ending.append(("error", {"code": "provider_cut", "message": "It broke.", "retryable": True}))
    reason = "error" if failed else draw(st.sampled_from(["stop", "length", "tool_calls", "stopped", "interrupted"]))
    ending.append(("done", {"reason": reason, "usage": {"input_tokens": 3, "output_tokens": 7}}))
    start = ("start", {"message_id": "m_1", "model": "gpt", "provider": "openai"})
    return placed([start, *events, *ending], gap=draw(st.sampled_from([1, 3])))
