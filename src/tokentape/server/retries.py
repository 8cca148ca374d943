"""Answers that were lost on their way to a client that asks again.

The OpenAI SDKs repeat a request when its answer does not come in time, and say so (`x-stainless-retry-count`), but send
no idempotency key. So the run whose answer was lost is remembered under what was asked, and by whom: the repeat gets
that run, and the generation is paid for once. Known is what this process has seen; a key is better, and goes first.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from tokentape.server.transport import connection_of

MAX_LOST: Final = 1024
KEPT_SECONDS: Final = 900.0
"""The SDKs wait for ten minutes by default, and for eight seconds at most before they ask again."""
_COUNT: Final = "x-stainless-retry-count"

T = TypeVar("T")


class Retries:
    """Runs whose answers were lost, by a digest of the request. Each is given out once."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._lost: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._now = now

    def lose(self, digest: str, run_id: str) -> None:
        """The answer with this run could not be given."""
        self._lost.pop(digest, None)
        self._lost[digest] = (run_id, self._now() + KEPT_SECONDS)
        if len(self._lost) > MAX_LOST:
            self._lost.popitem(last=False)

    def claim(self, request: Request, digest: str) -> str | None:
        """The run that this request asks for again; None for one that is new, or has an idempotency key."""
        count = request.headers.get(_COUNT, "0")
        if not count.isdigit() or not int(count[:9]) or "idempotency-key" in request.headers:
            return None
        run_id, until = self._lost.pop(digest, (None, 0.0))
        return run_id if until > self._now() else None


def digest_of(request: Request, fields: Mapping[str, Any]) -> str:
    """What was asked, and by whom."""
    asked = [request.url.path, request.headers.get("authorization", ""), fields]
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


async def unless_gone(request: Request, work: Awaitable[T], gone: Callable[[], None]) -> T:
    """The result of `work`, which is dropped when the client goes away; then `gone` is called.

    Raises `ClientDisconnect` then: there is nobody to answer.
    """
    task = asyncio.ensure_future(work)
    lost = False

    def lose() -> None:
        nonlocal lost
        lost = True
        task.cancel()

    connection = connection_of(request.scope, request.receive)
    withdraw = connection.when_lost(lose)
    try:
        return await task
    except asyncio.CancelledError:
        if not lost:
            task.cancel()
            raise
        gone()
        raise ClientDisconnect from None
    finally:
        withdraw()
