"""Exchanges, with a receiver that writes down what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from upstreams import Connection, Raw, raw_upstream

from tokentape.providers.exchange import Exchange, Head
from tokentape.providers.failures import Failures
from tokentape.providers.http import Upstream
from tokentape.providers.intake import Intake
from tokentape.providers.secret import Redactor


class Told:
    """A receiver that writes down what it is told."""

    def __init__(self, *, abort_at: str = "") -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ends: list[Exception | str | None] = []
        self.began, self.over = asyncio.Event(), asyncio.Event()
        self.exchange: Exchange | None = None
        self._abort_at = abort_at

    def _maybe_abort(self, place: str) -> None:
        if place == self._abort_at and self.exchange is not None:
            self.exchange.abort()
            self.over.set()

    def head_received(self, head: Head) -> None:
        self.status, self.headers = head
        self._maybe_abort("head")

    def body_received(self, data: bytes) -> None:
        self.body += data
        self.began.set()
        self._maybe_abort("body")

    def end_received(self) -> None:
        self.ends.append("end")
        self.over.set()

    def lost(self, error: Exception | None) -> None:
        self.ends.append(error)
        self.over.set()

    @property
    def summary(self) -> tuple[Any, ...]:
        ends = [type(end) if isinstance(end, Exception) else end for end in self.ends]
        return self.status, self.headers, self.body, ends


class Pool:
    """Connections to one address, and exchanges on them."""

    def __init__(self, url: str) -> None:
        self._upstream = Upstream(url, {}, Failures("x", Redactor([])))

    async def ask(self, told: Told, body: bytes = b"?") -> Exchange:
        connection, head = await self._upstream._connect(5)
        told.exchange = Exchange(connection, told, self.intake)
        told.exchange.send(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        return told.exchange

    @property
    def intake(self) -> Intake | None:
        return self._upstream._intake

    async def told(self, **settings: Any) -> Told:
        told = Told(**settings)
        await self.ask(told)
        async with asyncio.timeout(20):
            await told.over.wait()
        return told

    async def aclose(self) -> None:
        await self._upstream.aclose()


@asynccontextmanager
async def pool(answer: Callable[[Connection], Awaitable[None]]) -> AsyncIterator[tuple[Pool, Raw]]:
    """A server that keeps its connections, and a pool of those."""
    async with raw_upstream(answer, keep_alive=True) as upstream:
        pool = Pool(upstream.url)
        try:
            yield pool, upstream
        finally:
            await pool.aclose()
