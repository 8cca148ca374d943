"""Answers that were lost on their way to a client that asks again.

The OpenAI SDKs repeat a request when its answer does not come in time, and say so (`x-stainless-retry-count`), but send
no idempotency key. So the run whose answer was lost is noted under what was asked, and by whom: the repeat gets that
run, from any instance on the store, and the generation is paid for once. A key is better, and goes first.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from tokentape.core.errors import StreamExists, StreamNotFound, TokentapeError
from tokentape.server.transport import connection_of
from tokentape.stores.base import Append, Retention, Store, StreamConfig

_log = logging.getLogger(__name__)

PREFIX: Final = "$lost/"
KEPT_SECONDS: Final = 900.0
"""The SDKs wait for eight seconds at most before they ask again; the rest is for a proxy that is slow to let go."""
_COUNT: Final = "x-stainless-retry-count"

T = TypeVar("T")


def digest_of(request: Request, fields: Mapping[str, Any]) -> str:
    """What was asked, and by whom."""
    asked = [request.url.path, request.headers.get("authorization", ""), fields]
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


async def lose(store: Store, digest: str, run_id: str, *, now: Callable[[], float] = time.time) -> None:
    """Notes that the answer with this run could not be given. Should that fail, a repeat starts a new run."""
    name = PREFIX + digest
    until = int((now() + KEPT_SECONDS) * 1000)
    try:
        with suppress(StreamExists):  # of the same question, asked twice
            await store.create(name, StreamConfig(retention=Retention(expires_at=until)))
        [answer] = await store.append([Append(stream=name, records=[msgspec.json.encode(run_id)])])
        if isinstance(answer, TokentapeError):
            raise answer
    except TokentapeError as error:
        _log.warning("a lost answer of run %s could not be noted: %s", run_id, error)


async def claim(store: Store, request: Request, digest: str) -> str | None:
    """The run that this request asks for again, given out once; None for one that is new, or has an idempotency key."""
    count = request.headers.get(_COUNT, "0")
    if not count.isdigit() or not int(count[:9]) or "idempotency-key" in request.headers:
        return None
    name = PREFIX + digest
    try:
        page = await store.read(name, 0)
        await store.delete(name)
    except StreamNotFound:
        return None
    return msgspec.json.decode(page.records[-1][1], type=str) if page.records else None


async def unless_gone(request: Request, work: Awaitable[T], gone: Callable[[], Awaitable[None]]) -> T:
    """The result of `work`, which is dropped when the client goes away; then `gone` is called.

    Raises `ClientDisconnect` then: there is nobody to answer.
    """
    task = asyncio.ensure_future(work)
    lost = False

    def lose_it() -> None:
        nonlocal lost
        lost = True
        task.cancel()

    connection = connection_of(request.scope, request.receive)
    withdraw = connection.when_lost(lose_it)
    try:
        return await task
    except asyncio.CancelledError:
        if not lost:
            raise
        await gone()
        raise ClientDisconnect from None
    finally:
        withdraw()
