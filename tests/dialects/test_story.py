from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from stories import answers, placed

from tokentape.core.merge import Entry, merge
from tokentape.dialects.story import NOTHING, Begin, Close, Finish, Grow, Open, Placed, Reset, Story, tell


def _steps(told: Sequence[Placed]) -> list[object]:
    return [item.step for item in told]


def _spelled(steps: Sequence[object]) -> list[tuple[object, ...]]:
    """What a reader knows at the end: the blocks in order, with their text and how many events they took."""
    known: dict[int, tuple[str, str, str, list[str]]] = {}
    for step in steps:
        match step:
            case Reset():
                known = {}
            case Open(block):
                known[block.number] = (block.kind, block.id, block.name, [])
            case Grow(block, piece, _):
                known[block.number][3].append(piece)
            case Close(block):
                # A call may have got its name since.
                known[block.number] = (block.kind, block.id, block.name, known[block.number][3])
            case _:
                pass
    return [(number, kind, call, name, "".join(pieces)) for number, (kind, call, name, pieces) in known.items()]


@given(answers())
def test_blocks_open_grow_and_close_in_order(entries: list[Entry]) -> None:
    told, story = tell(NOTHING, entries)
    steps = _steps(told)
    opened: list[int] = []
    open_now: set[int] = set()
    for step in steps:
        match step:
            case Open(block):
                assert block.number == len(opened)
                opened.append(block.number)
                open_now.add(block.number)
            case Grow(block, _, _):
                assert block.number in open_now
            case Close(block):
                open_now.remove(block.number)
            case _:
                pass
    assert not open_now
    assert isinstance(steps[0], Begin)
    assert isinstance(steps[-1], Finish)
    assert story.finish is steps[-1]
    assert [(b.number, b.kind, b.id, b.name, b.text) for b in story.blocks] == _spelled(steps)


@given(answers(), st.data())
def test_a_split_tells_the_same(entries: list[Entry], data: st.DataObject) -> None:
    whole, _ = tell(NOTHING, entries)
    story, parts, at = NOTHING, [], 0
    while at < len(entries):
        size = data.draw(st.integers(1, len(entries) - at))
        piece: Sequence[Entry] = entries[at : at + size]
        told, story = tell(story, merge(piece) if data.draw(st.booleans()) else piece)
        parts += told
        at += size
    assert _spelled(_steps(parts)) == _spelled(_steps(whole))
    assert _counted(parts) == _counted(whole)


def _counted(told: Sequence[Placed]) -> list[tuple[type, int]]:
    """Whatever is not a piece, with how many events had been told by then."""
    count, found = 0, []
    for item in told:
        count += item.step.merged if isinstance(item.step, Grow) else 1
        if not isinstance(item.step, Grow):
            found.append((type(item.step), count))
    return found


@given(answers(resets=True), st.data())
def test_whoever_reads_on_from_anywhere_ends_with_what_was_said_last(entries: list[Entry], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(entries)))
    _, whole = tell(NOTHING, entries)
    first, story = tell(NOTHING, entries[:cut])
    rest, story = tell(story, entries[cut:])
    assert _texts(story) == _texts(whole)
    assert _spelled(_steps([*first, *rest])) == [(b.number, b.kind, b.id, b.name, b.text) for b in story.blocks]


def _texts(story: Story) -> list[tuple[str, str, str]]:
    return [(block.kind, block.id, block.text) for block in story.blocks]


def test_what_was_void_before_is_not_told() -> None:
    entries = placed([("start", {"model": "m"}), ("token", "old"), ("reset", {"reason": "again"}), ("token", "new")])
    told, story = tell(NOTHING, entries)
    assert [type(step) for step in _steps(told)] == [Begin, Open, Grow]
    assert [block.text for block in story.blocks] == ["new"]


def test_what_was_shown_is_taken_back() -> None:
    entries = placed([("start", {"model": "m"}), ("token", "old"), ("reset", {"reason": "again"}), ("token", "new")])
    _, shown = tell(NOTHING, entries[:2])
    told, story = tell(shown, entries[2:])
    assert [type(step) for step in _steps(told)] == [Reset, Open, Grow]
    assert [block.number for block in story.blocks] == [0]


def test_a_run_that_is_met_in_its_middle_begins_all_the_same() -> None:
    told, _ = tell(NOTHING, placed([("token", "Hi")]))
    begin = told[0].step
    assert isinstance(begin, Begin)
    assert begin.run == begin.message_id == "r_1"


def test_data_that_is_not_as_it_should_be_is_told_as_a_note_or_not_at_all() -> None:
    entries = placed([("token", 7), ("tool_call_delta", "x"), ("tool_call", {"id": 3}), ("error", "x"), ("done", {})])
    _, story = tell(NOTHING, entries)
    assert story.blocks == ()
    assert story.finish is not None
    assert story.finish.reason == "stop"


def test_a_call_that_comes_whole_is_told_like_one_in_pieces() -> None:
    told, story = tell(NOTHING, placed([("tool_call", {"id": "c", "name": "add", "arguments": {"a": 1}})]))
    assert [type(step) for step in _steps(told)] == [Begin, Open, Grow, Close]
    assert [(block.name, block.text) for block in story.blocks] == [("add", '{"a":1}')]


def test_long_answers_are_no_deep_structure() -> None:
    entries = placed([("token", "x")] * 200_000)
    _, story = tell(NOTHING, entries)
    assert len(story.blocks[0].text) == 200_000
    del story
