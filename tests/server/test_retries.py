from __future__ import annotations

from starlette.requests import Request

from tokentape.server.retries import KEPT_SECONDS, MAX_LOST, Retries, digest_of


def asked(count: str = "0", **headers: str) -> Request:
    sent = {"x-stainless-retry-count": count, **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()]
    return Request({"type": "http", "method": "POST", "path": "/v1/x", "query_string": b"", "headers": raw})


def test_only_a_repeat_gets_a_lost_run_and_only_once():
    retries = Retries()
    retries.lose("d", "r_1")
    assert retries.claim(asked("0"), "d") is None
    assert retries.claim(asked("x"), "d") is None
    assert retries.claim(asked("1"), "other") is None
    assert retries.claim(asked("1", idempotency_key="k"), "d") is None
    assert retries.claim(asked("1"), "d") == "r_1"
    assert retries.claim(asked("1"), "d") is None


def test_what_was_lost_is_forgotten_in_time_and_in_number():
    now = 0.0
    retries = Retries(now=lambda: now)
    retries.lose("d", "r_1")
    now = KEPT_SECONDS + 1
    assert retries.claim(asked("1"), "d") is None
    for place in range(MAX_LOST + 1):
        retries.lose(str(place), f"r_{place}")
    assert retries.claim(asked("1"), "0") is None
    assert retries.claim(asked("2"), str(MAX_LOST)) == f"r_{MAX_LOST}"


def test_what_was_asked_and_by_whom_makes_the_difference():
    digests = {
        digest_of(asked(), {"a": 1}),
        digest_of(asked(), {"a": 2}),
        digest_of(asked(authorization="Bearer x"), {"a": 1}),
    }
    assert len(digests) == 3
    assert digest_of(asked("1"), {"a": 1, "b": 2}) == digest_of(asked("2"), {"b": 2, "a": 1})
