"""A timeline is a fold of a run's events."""

from tokentape.core.events import Event
from tokentape.server.admin.timeline import MAX_MARKS, MAX_TRIES, Timeline


def told(*events: tuple[int, str, object]) -> Timeline:
    timeline = Timeline("m", "p")
    for offset, (at, kind, data) in enumerate(events, 1):
        timeline.apply(offset, Event(type=kind, run="r_1", data=data, at=at))
    return timeline


START = (1000, "start", {"message_id": "m", "model": "big", "provider": "one"})


def test_a_failover_a_stall_and_an_error():
    timeline = told(
        START,
        (1500, "metadata", {"failover": {"model": "small", "provider": "two", "code": "provider_overloaded"}}),
        (1700, "token", "a"),
        (4700, "token", "b"),
        (4800, "error", {"code": "provider_cut", "message": "broke off", "retryable": True}),
        (4800, "done", {"reason": "error"}),
    )
    one, two = timeline.tries
    assert (one.provider, one.model, one.outcome, one.error_code) == ("one", "big", "failed", "provider_overloaded")
    assert (one.started_at, one.ended_at, one.first_token_ms) == (1.0, 1.5, None)
    assert (two.provider, two.model, two.outcome, two.error_code) == ("two", "small", "failed", "provider_cut")
    assert (two.first_token_ms, two.ended_at) == (200, 4.8)
    assert [(mark.kind, mark.at, mark.offset) for mark in timeline.marks] == [
        ("start", 1.0, 1),
        ("first_token", 1.7, 3),
        ("stall", 1.7, None),
        ("end", 4.8, 6),
    ]
    assert timeline.marks[2].label == "3.0 s without an event"


def test_a_restart_by_another_process_is_another_try():
    timeline = told(START, (1100, "token", "a"), (1900, "reset", {"reason": "restarted"}), (1950, "token", "b"))
    assert [attempt.outcome for attempt in timeline.tries] == ["interrupted", "running"]
    assert [mark.kind for mark in timeline.marks] == ["start", "first_token", "reset", "first_token"]


def test_retries_begin_after_their_pause():
    again = {"state": "retrying", "attempt": 2, "seconds": 0.5, "code": "provider_rate_limited"}
    timeline = told(START, (1200, "status", again), (1900, "token", "a"), (1910, "done", {"reason": "stop"}))
    one, two = timeline.tries
    assert (one.ended_at, one.error_code) == (1.2, "provider_rate_limited")
    assert (two.started_at, two.first_token_ms, two.outcome) == (1.7, 200, "done")


def test_it_is_bounded_and_says_so_and_keeps_the_end():
    calls = [(1000, "tool_call", {"id": str(n), "name": "x" * 500, "arguments": ""}) for n in range(2 * MAX_MARKS)]
    timeline = told(START, *calls, (1000, "done", {"reason": "stopped", "detail": "enough"}))
    assert len(timeline.marks) == MAX_MARKS + 2
    assert [mark.kind for mark in timeline.marks[-2:]] == ["stop", "end"]
    assert max(len(mark.label) for mark in timeline.marks) == 200
    assert timeline.whole is False
    resets = [(1000, "reset", {"reason": "restarted"})] * (2 * MAX_TRIES)
    assert len(told(START, *resets).tries) == MAX_TRIES


def test_a_record_that_says_nonsense_is_passed_over():
    timeline = told((1, "start", "text"), (2, "metadata", {"failover": 3}), (3, "status", None), (4, "done", []))
    assert [mark.kind for mark in timeline.marks] == ["start", "end"]
