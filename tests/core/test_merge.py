from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.events import Event, decode_event, encode_event
from tokentape.core.merge import Entry, entries, merge

runs = st.sampled_from(["r_1", "r_1", "r_1", "r_2", None])
calls = st.sampled_from(["c_1", "c_2"])
texts = st.text(max_size=5) | st.sampled_from(["👩", "\u200d", "👩🏽\u200d🚀", "e", "\u0301", "", "\u2028", "\r\n"])
deltas = st.fixed_dictionaries({"id": calls, "arguments": texts}, optional={"name": st.just("search")})
stories = st.lists(
    st.builds(
        Event,
        type=st.sampled_from(["token", "token", "token", "reasoning"]),
        run=runs,
        data=texts,
        id=st.sampled_from([None, None, None, "p_1"]),
        at=st.integers(1, 9),
    )
    | st.builds(Event, type=st.just("tool_call_delta"), run=runs, data=deltas, at=st.integers(1, 9))
    | st.builds(
        Event, type=st.sampled_from(["status", "reset", "done", "ai:token"]), run=runs, data=texts, at=st.just(5)
    ),
    max_size=30,
)


def tape(events: Sequence[Event], first: int = 1) -> list[Entry]:
    return [Entry(offset, encode_event(event), event) for offset, event in enumerate(events, first)]


def token(text: Any, run: str | None = "r_1", **more: Any) -> Event:
    return Event(type="token", run=run, data=text, **more)


def delta(arguments: str, call: Any = "c_1", **more: Any) -> Event:
    return Event(type="tool_call_delta", run="r_1", data={"id": call, "arguments": arguments, **more})


def assemble(items: Sequence[Entry]) -> list[Any]:
    """What a client has after each entry: texts and arguments so far, and all else as it came, in its place."""
    texts: dict[Any, str] = defaultdict(str)
    story: list[Any] = []
    for entry in items:
        event = entry.event
        if event.run is not None and event.type in ("token", "reasoning"):
            texts[event.run, event.type] += event.data
        elif event.run is not None and event.type == "tool_call_delta":
            texts[event.run, event.data["id"]] += event.data["arguments"]
            if "name" in event.data:
                story.append((event.run, "begins", event.data, dict(texts)))
        else:
            story.append((event, dict(texts)))
        if event.id is not None:
            story.append((event.id, event.data))
    return [*story, {key: text for key, text in texts.items() if text}]


@given(stories)
def test_p2_after_each_merged_entry_a_client_has_what_the_originals_up_to_its_offset_give(events):
    originals = tape(events)
    merged = merge(originals)
    for count, entry in enumerate(merged, 1):
        assert assemble(merged[:count]) == assemble(originals[: entry.offset])


@given(stories)
def test_merging_is_idempotent(events):
    once = merge(tape(events))
    assert merge(once) == once


@given(stories, st.data())
def test_merging_the_parts_and_then_the_results_gives_the_same(events, data):
    originals = tape(events)
    cut = data.draw(st.integers(0, len(originals)))
    assert merge(merge(originals[:cut]) + merge(originals[cut:])) == merge(originals)


@given(stories)
def test_p1_offsets_increase_and_the_last_is_unchanged(events):
    originals = tape(events, first=100)
    offsets = [entry.offset for entry in merge(originals)]
    assert offsets == sorted(set(offsets))
    assert offsets[-1:] == [entry.offset for entry in originals][-1:]


@given(stories)
def test_the_bytes_of_an_entry_spell_its_event(events):
    for entry in merge(tape(events)):
        assert decode_event(entry.record) == entry.event


@given(stories)
def test_merging_leaves_nothing_to_merge(events):
    merged = merge(tape(events))
    for left, right in pairwise(merged):
        assert merge([left, right]) == [left, right]


def test_a_thousand_tokens_become_one_that_bears_the_last_offset_and_time():
    merged = merge(tape([token(f"{number} ", at=number) for number in range(1000)], first=5))
    assert [(entry.offset, entry.event.at) for entry in merged] == [(1004, 999)]
    assert merged[0].event.data == "".join(f"{number} " for number in range(1000))


def test_a_record_that_stands_alone_keeps_its_very_bytes():
    # A member of a later version survives, which an event that was encoded again would lose.
    record = b'{"type":"token","run":"r_1","data":"x","new":1}'
    (entry,) = merge(entries([(7, record)]))
    assert entry.record is record


def test_the_first_delta_of_a_call_stays_intact_with_its_name():
    first = delta("", name="search")
    merged = merge(tape([first, delta('{"q":'), delta('"x"}'), delta("{}", "c_2"), delta("1")]))
    assert [entry.event for entry in merged] == [first, delta('{"q":"x"}'), delta("{}", "c_2"), delta("1")]


def test_the_runs_of_a_channel_do_not_mix():
    events = [token("a"), token("b", "r_2"), token("c"), token("d")]
    assert [e.event.data for e in merge(tape(events))] == ["a", "b", "cd"]


def test_without_a_run_nothing_merges():
    events = [token("a", None), token("b", None)]
    assert [entry.event for entry in merge(tape(events))] == events


def test_a_reset_parts_what_was_before_from_what_comes_after():
    events = [token("a"), Event(type="reset", run="r_1", data={"reason": "retry"}), token("b")]
    assert [entry.event for entry in merge(tape(events))] == events


def test_an_event_with_an_id_of_its_publisher_is_still_there():
    events = [token("a"), token("b", id="p_1"), token("c"), token("d")]
    assert [(e.event.id, e.event.data) for e in merge(tape(events))] == [(None, "a"), ("p_1", "b"), (None, "cd")]


def test_data_of_another_shape_passes_unmerged():
    odd = [
        token({"not": "text"}),
        token({"not": "text"}),
        delta("a", 1),
        delta("b", True),
        Event(type="tool_call_delta", run="r_1", data={"id": "c_1", "arguments": {}}),
        Event(type="tool_call_delta", run="r_1", data="text"),
        Event(type="tool_call_delta", run="r_1", data={"arguments": "x"}),
    ]
    assert [entry.event for entry in merge(tape(odd))] == odd


def test_nothing_merges_to_nothing():
    assert merge([]) == []
