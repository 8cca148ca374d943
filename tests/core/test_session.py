from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.core.session import TRANSITIONS, Action, Input, State, step

# What cannot happen, spelt out, so that whoever adds a state or an input has to decide about each pair.
IMPOSSIBLE = {
    (State.REPLAY, Input.FLUSHED),
    (State.LIVE, Input.CAUGHT_UP),
    (State.LIVE, Input.FLUSHED),
    (State.DRAINING, Input.CAUGHT_UP),
    (State.DRAINING, Input.BEHIND),
    (State.DRAINING, Input.GONE),
    (State.DRAINING, Input.ENDED),
}
OPEN = [state for state in State if state is not State.CLOSED]


def test_every_input_of_every_open_state_is_decided():
    assert set(TRANSITIONS) | IMPOSSIBLE == set(product(OPEN, Input))
    assert not set(TRANSITIONS) & IMPOSSIBLE


@pytest.mark.parametrize(("state", "event"), TRANSITIONS)
def test_a_step_is_what_the_table_says(state, event):
    assert step(state, event) == TRANSITIONS[state, event]


@pytest.mark.parametrize(("state", "event"), sorted(IMPOSSIBLE, key=str))
def test_an_impossible_input_is_an_error_that_names_it(state, event):
    with pytest.raises(RuntimeError, match=f"{state.name}.*{event.name}"):
        step(state, event)


@pytest.mark.parametrize("event", Input)
def test_closed_absorbs_everything(event):
    assert step(State.CLOSED, event) == (State.CLOSED, Action.NONE)


def test_p4_a_clean_end_comes_only_after_the_last_event_was_written():
    finishing = {(state, event) for (state, event), (_, action) in TRANSITIONS.items() if action is Action.FINISH}
    assert finishing == {(State.DRAINING, Input.FLUSHED)}


def test_every_other_way_out_is_an_abort():
    for (state, event), (after, action) in TRANSITIONS.items():
        closes = after is State.CLOSED
        assert closes == (action in (Action.FINISH, Action.ABORT)), (state, event)


@pytest.mark.parametrize("state", OPEN)
def test_a_lost_connection_closes_from_anywhere(state):
    assert step(state, Input.LOST) == (State.CLOSED, Action.ABORT)


@given(st.lists(st.sampled_from(Input), max_size=40))
def test_no_story_joins_twice_or_finishes_without_its_end(story):
    state, joined, ended = State.REPLAY, False, False
    closings = 0
    for event in story:
        if (state, event) in IMPOSSIBLE:
            continue
        before = state
        state, action = step(state, event)
        if action is Action.JOIN:
            assert not joined
            joined = True
        if before is State.LIVE:
            joined = joined and state is State.LIVE
        ended = ended or (event is Input.ENDED and before is not State.CLOSED)
        assert action is not Action.FINISH or ended
        closings += action in (Action.FINISH, Action.ABORT)
    assert closings == (state is State.CLOSED)
    assert joined == (state is State.LIVE)
