from __future__ import annotations

from starlette.requests import Request

from tokentape.server.retries import KEPT_SECONDS, claim, digest_of, lose
from tokentape.stores.memory import MemoryStore


def asked(count: str = "0", **headers: str) -> Request:
    sent = {"x-stainless-retry-count": count, **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()]
    return Request({"type": "http", "method": "POST", "path": "/v1/x", "query_string": b"", "headers": raw})


async def test_only_a_repeat_gets_a_lost_run_and_only_once():
    async with MemoryStore() as store:
        await lose(store, "d", "r_1")
        assert await claim(store, asked("0"), "d") is None
        assert await claim(store, asked("x"), "d") is None
        assert await claim(store, asked("1"), "other") is None
        assert await claim(store, asked("1", idempotency_key="k"), "d") is None
        assert await claim(store, asked("1"), "d") == "r_1"
        assert await claim(store, asked("1"), "d") is None


async def test_of_equal_questions_that_were_lost_the_last_one_counts():
    async with MemoryStore() as store:
        await lose(store, "d", "r_1")
        await lose(store, "d", "r_2")
        assert await claim(store, asked("2"), "d") == "r_2"


async def test_what_was_lost_is_forgotten_in_time():
    now = 0.0
    async with MemoryStore(now=lambda: now) as store:
        await lose(store, "d", "r_1", now=lambda: now)
        now = KEPT_SECONDS + 1
        assert await claim(store, asked("1"), "d") is None


def test_what_was_asked_and_by_whom_makes_the_difference():
    digests = {
        digest_of(asked(), {"a": 1}),
        digest_of(asked(), {"a": 2}),
        digest_of(asked(authorization="Bearer x"), {"a": 1}),
    }
    assert len(digests) == 3
    assert digest_of(asked("1"), {"a": 1, "b": 2}) == digest_of(asked("2"), {"b": 2, "a": 1})
