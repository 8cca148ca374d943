"""The laws of the client's session, named in its docstring."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.client.errors import Unreachable
from tokentape.client.session import (
    STEADY,
    TRANSITIONS,
    Begun,
    Connect,
    Deliver,
    Ended,
    Fail,
    Finish,
    Item,
    Lost,
    Opened,
    Patience,
    Refused,
    Retry,
    Session,
    Signal,
    State,
    Wait,
    Waited,
)
from tokentape.core.backoff import Backoff
from tokentape.core.cursor import Cursor
from tokentape.core.errors import NotFound, ProtocolError
from tokentape.core.events import Event, encode_event

CUT = Lost(Unreachable("cut"))


def item(offset: int | None, kind: str = "token", data: Any = "x", *, epoch: str = "e1", run: str = "r_1") -> Item:
    event = Event(type=kind, run=run, data=data)
    return Item(Cursor(epoch, offset) if offset is not None else None, event, encode_event(event))


def ready(cursor: str, outcome: str = "replayed") -> Item:
    return item(None, "ready", {"outcome": outcome, "cursor": cursor})


def play(session: Session, *signals: Signal, now: float = 0, random: float = 0.5) -> list[Any]:
    return [session.step(signal, now=now, random=random) for signal in signals]


def playing(**options: Any) -> Session:
    session = Session("start", **options)
    assert play(session, Begun(), Opened(), ready("e1-0")) == [Connect("start"), None, Deliver(ready("e1-0"))]
    return session


def test_resumes_after_the_last_item_delivered():
    session = playing()
    play(session, item(1), item(4), CUT)
    assert play(session, Waited()) == [Connect(Cursor("e1", 4))]


def test_resumes_where_the_view_began_when_no_event_came():
    session = Session("now")
    play(session, Begun(), Opened(), ready("e1-17", "live"), CUT)
    assert play(session, Waited()) == [Connect(Cursor("e1", 17))]


def test_asks_again_as_at_first_when_nothing_came_at_all():
    session = Session("snapshot")
    play(session, Begun(), Opened(), CUT)
    assert play(session, Waited()) == [Connect("snapshot")]


def test_ephemeral_events_do_not_move_the_position():
    session = playing()
    assert play(session, item(3), item(None, "chat:typing")) == [Deliver(item(3)), Deliver(item(None, "chat:typing"))]
    assert session.position == Cursor("e1", 3)


def test_what_was_delivered_is_not_delivered_again():
    session = playing()
    assert play(session, item(3), item(2), item(3), item(4)) == [Deliver(item(3)), None, None, Deliver(item(4))]
    assert session.repeated == 2


def test_another_epoch_needs_an_announcement():
    session = playing()
    play(session, item(3))
    (lost,) = play(session, item(4, epoch="e2"))
    assert isinstance(lost, Wait)
    assert isinstance(lost.error, ProtocolError)
    assert play(session, Waited()) == [Connect(Cursor("e1", 3))]


def test_gone_starts_over_in_the_new_epoch():
    session = playing()
    play(session, item(3))
    gone = ready("e2-0", "gone")
    assert play(session, gone, item(1, epoch="e2")) == [Deliver(gone), Deliver(item(1, epoch="e2"))]
    assert session.position == Cursor("e2", 1)


@pytest.mark.parametrize("data", [{}, {"cursor": "?"}, {"cursor": None}, "live", None])
def test_a_ready_without_a_cursor_is_a_broken_connection(data):
    session = Session("start")
    play(session, Begun(), Opened())
    (lost,) = play(session, item(None, "ready", data))
    assert isinstance(lost, Wait)
    assert isinstance(lost.error, ProtocolError)


def test_a_clean_end_before_the_terminal_event_is_a_lost_connection():
    session = playing(run="r_1")
    (lost,) = play(session, CUT)
    assert isinstance(lost, Wait)
    assert not session.over


def test_the_end_ends_it():
    session = playing()
    assert play(session, Ended(), item(9), CUT) == [Finish(), None, None]
    assert session.state is State.ENDED


def test_done_of_its_own_run_ends_it():
    session = playing(run="r_1")
    done = item(5, "done", {"reason": "stop"})
    assert play(session, done) == [Deliver(done)]
    assert session.state is State.ENDED


def test_done_does_not_end_a_channel_nor_the_view_of_another_run():
    for options in ({}, {"run": "r_2"}):
        session = playing(**options)
        play(session, item(5, "done", {"reason": "stop"}))
        assert not session.over


def test_nothing_to_come_ends_it_before_it_opened():
    session = Session("start")
    assert play(session, Begun(), Ended()) == [Connect("start"), Finish()]


def test_a_refusal_fails_at_once():
    session = playing()
    refused = NotFound("no such stream")
    assert play(session, Refused(refused)) == [Fail(refused)]
    assert session.state is State.FAILED


def test_the_first_connection_is_not_tried_again_unless_asked_to():
    assert play(Session("start"), Begun(), CUT, random=0)[1] == Fail(CUT.error)
    patient = Session("start", patience=Patience(first=60))
    assert isinstance(play(patient, Begun(), CUT)[1], Wait)


def test_patience_ends():
    session = playing(patience=Patience(again=100), backoff=Backoff(base=1, cap=1))
    assert isinstance(play(session, CUT, now=1000)[0], Wait)
    for moment in (1050, 1099):
        assert isinstance(play(session, Waited(), CUT, now=moment)[1], Wait)
    assert play(session, Waited(), CUT, now=1099.5) == [Connect(Cursor("e1", 0)), Fail(CUT.error)]


def test_progress_renews_patience_and_backoff():
    session = playing(patience=Patience(again=100), backoff=Backoff(base=1, cap=64))
    assert play(session, CUT, now=0, random=1) == [Wait(1, CUT.error)]
    assert play(session, Waited(), CUT, now=10, random=1)[1] == Wait(2, CUT.error)
    play(session, Waited(), Opened(), item(1), now=90)
    assert play(session, CUT, now=90, random=1) == [Wait(1, CUT.error)]
    assert isinstance(play(session, Waited(), CUT, now=180)[1], Wait)


def test_a_server_that_accepts_and_cuts_is_not_hammered():
    session = playing(backoff=Backoff(base=1, cap=64))
    delays = []
    for _ in range(4):
        (wait,) = play(session, CUT, random=1)
        delays.append(wait.seconds)
        play(session, Waited(), Opened(), ready("e1-0", "live"))
    assert delays == [1, 2, 4, 8]


def test_a_steady_connection_without_events_counts_as_good():
    session = playing(backoff=Backoff(base=1, cap=64))
    play(session, CUT, Waited(), now=0)
    play(session, Opened(), now=10)
    assert play(session, CUT, now=10 + STEADY, random=1) == [Wait(1, CUT.error)]


def test_the_pause_that_the_server_asks_for_is_a_floor():
    session = playing(backoff=Backoff(base=1))
    assert play(session, Retry(7), CUT, random=0) == [None, Wait(7, CUT.error)]
    busy = Lost(Unreachable("busy"), retry_after=9)
    assert play(session, Waited(), busy, random=0)[1] == Wait(9, busy.error)


def test_signals_out_of_turn_are_a_fault_of_the_caller():
    with pytest.raises(RuntimeError, match="IDLE watch cannot get Item"):
        play(Session("start"), item(1))


def test_the_table_leaves_no_way_out_of_an_end():
    assert not {state for state, _ in TRANSITIONS} & {State.ENDED, State.FAILED}


TEXT = [f"{offset} " for offset in range(1, 31)]


def connection(begin: int, random: Random) -> list[Signal]:
    """What a faithful server sends from a position, merged at random, up to a cut at random."""
    signals: list[Signal] = [Opened(), ready(f"e1-{begin}")]
    while begin < len(TEXT):
        last = random.randint(begin + 1, len(TEXT))
        signals.append(item(last, data="".join(TEXT[begin:last])))
        begin = last
    signals.append(item(len(TEXT) + 1, "done", {"reason": "stop"}))
    whole = random.random() < 0.2
    return signals if whole else [*signals[: random.randrange(len(signals))], CUT]


@given(st.randoms())
def test_any_sequence_of_cuts_delivers_each_token_once(random):
    session = Session("start", run="r_1", patience=Patience(first=1e9, again=1e9))
    text = ""
    signals: list[Signal] = [Begun()]
    while not session.over:
        match session.step(signals.pop(0), now=0, random=0):
            case Connect(position):
                signals = connection(position.offset if isinstance(position, Cursor) else 0, random)
            case Wait():
                signals = [Waited()]
            case Deliver(Item(Cursor(), Event(type="token", data=str(piece)), _)):
                text += piece
    assert text == "".join(TEXT)
