"""The shared part of providers that are reached over HTTP: one request, and its stream as parts.

aiohttp finds the address, connects (TLS, proxies) and keeps the pool; `exchange` speaks HTTP on a connection of it,
and `answer` makes parts of what comes.

Laws (tests/providers/test_http.py, tests/faults/test_provider_faults.py):
- the bytes of an answer go from the socket to the decoder in the chunks in which they came;
- whoever closes the stream, or is cancelled in it, has cut the connection when that returns;
- memory is bounded by the caps of `answer`, whatever comes;
- no error, log line or repr holds a key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from itertools import starmap
from math import inf
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

import aiohttp
import msgspec

from tokentape.providers.answer import Answer, too_late
from tokentape.providers.base import (
    PROVIDER_PROTOCOL,
    PROVIDER_REFUSED,
    PROVIDER_TIMEOUT,
    PROVIDER_UNREACHABLE,
    Pair,
    Part,
    Sink,
    Timeouts,
)
from tokentape.providers.decoding import AnswerDecoder
from tokentape.providers.failures import Failures
from tokentape.providers.intake import Intake

if TYPE_CHECKING:
    from aiohttp.connector import Connection

_log = logging.getLogger(__name__)

POOL: Final = 10_000
"""Connections to one provider at a time. Each generation takes one, and how many of those there are is for the server
to bound; this is against a leak."""

_NO_LIMIT: Final = aiohttp.ClientTimeout(total=None, sock_read=None, sock_connect=None)


class Upstream:
    """One address of a provider with its headers: requests to it share a pool of connections."""

    def __init__(self, url: str, headers: Mapping[str, str], failures: Failures, *, proxy: str = "") -> None:
        """`headers` are spelt like "Content-Type", which lets them replace the standard ones.

        `proxy` is the URL of an HTTP proxy. The environment is not asked for one: only configuration counts.
        """
        self._url = url
        self._headers = {
            "Accept": "text/event-stream",
            "Content-Type": "application/json",
            "User-Agent": "tokentape",
            **headers,
            # A compressed stream is buffered by whoever compresses it, and may unpack to any size.
            "Accept-Encoding": "identity",
        }
        self._failures = failures
        self._proxy = proxy or None
        self._session: aiohttp.ClientSession | None = None
        self._intake: Intake | None = None

    async def push(self, write: Callable[[], bytes], decoder: AnswerDecoder, timeouts: Timeouts, sink: Sink) -> None:
        """Posts what `write` gives and hands on what the answer brings; raises `ProviderError`, as `write` may."""
        answer = Answer(decoder, sink, timeouts, self._failures)
        try:
            await self._ask(answer, write(), timeouts)
            while True:
                await answer.turn()
                if answer.over:
                    break
                await sink.room()
                answer.resume()
            answer.check()
        finally:
            answer.abort()

    async def stream(
        self, write: Callable[[], bytes], decoder: AnswerDecoder, timeouts: Timeouts
    ) -> AsyncGenerator[Sequence[Part], None]:
        """The same as a generator, which reads no further before a batch has been dealt with."""
        batch = _Batch()
        answer = Answer(decoder, batch, timeouts, self._failures)
        try:
            await self._ask(answer, write(), timeouts)
            while not answer.over:
                await answer.turn()
                if batch.parts:
                    yield batch.take()
                answer.resume()
            if batch.parts:
                yield batch.take()
            answer.check()
        finally:
            answer.abort()

    async def aclose(self) -> None:
        """Closes the pool; another request opens a new one."""
        # Both before the wait: a request that comes meanwhile opens its own.
        session, self._session = self._session, None
        intake, self._intake = self._intake, None
        if session is not None:
            await session.close()
        if intake is not None:
            intake.close()

    # The request

    async def _ask(self, answer: Answer, body: bytes, timeouts: Timeouts) -> None:
        try:
            async with asyncio.timeout_at(answer.first if answer.first < inf else None):
                connection, head = await self._connect(timeouts.connect)
        except _NoConnection:
            raise self._failures.error(
                f"did not accept a connection within {timeouts.connect:g} s", PROVIDER_TIMEOUT
            ) from None
        except TimeoutError:
            total = 0 < timeouts.total <= (timeouts.first_token or inf)
            raise too_late(self._failures, timeouts, begun=False, total=total) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._raise_unreachable(error)
        try:
            answer.ask(connection, b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body), self._intake)
        except aiohttp.ClientConnectionError as error:
            self._raise_unreachable(error)

    async def _connect(self, seconds: float) -> tuple[Connection, bytes]:
        """A connection, and the head of a request for it without its length.

        What aiohttp sends and reads would cost as much as everything else that is done for a token, so a middleware
        of the request takes the connection, once aiohttp has made it, and goes away with it.
        """
        session = self._session or self._open()
        limit = aiohttp.ClientTimeout(total=None, connect=seconds or None)
        taken: list[Connection] = []

        async def take(request: aiohttp.ClientRequest, _: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            assert session.connector is not None
            for _attempt in range(2):
                try:
                    connection = await session.connector.connect(request, [], limit)
                except TimeoutError:
                    raise _NoConnection from None
                if connection.protocol is not None and not connection.protocol.should_close:
                    taken.append(connection)
                    raise _Taken(_head(request))
                connection.close()  # something came on it before anybody had asked; maybe in the pool
            raise ValueError("it speaks first")

        try:
            await session.post(self._url, middlewares=(take,))
        except _Taken as result:
            return taken[0], result.head
        except BaseException:
            for connection in taken:
                connection.close()
            raise
        raise AssertionError("aiohttp has sent a request by itself")

    def _open(self) -> aiohttp.ClientSession:
        self._intake = Intake.create()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=POOL),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_NO_LIMIT,
            trust_env=False,
            proxy=self._proxy,
        )
        return self._session

    def _raise_unreachable(self, error: Exception) -> NoReturn:
        _log.warning("a provider cannot be reached: %s: %s", type(error).__name__, self._failures.clean(str(error)))
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            raise self._failures.error(
                "has a certificate that is not trusted", PROVIDER_UNREACHABLE, retryable=False
            ) from None
        if isinstance(error, aiohttp.ClientResponseError | ValueError):
            raise self._failures.error("did not answer in HTTP", PROVIDER_PROTOCOL) from None
        raise self._failures.error("cannot be reached", PROVIDER_UNREACHABLE) from None


class _Batch:
    """A sink that is full with anything in it."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def put(self, parts: Sequence[Pair]) -> bool:
        """Takes them; no more before these are taken."""
        self.parts += starmap(Part, parts)
        return False

    def take(self) -> list[Part]:
        """What there is."""
        parts, self.parts = self.parts, []
        return parts


class _Taken(Exception):
    """A middleware has what it wanted: a connection, and this."""

    def __init__(self, head: bytes) -> None:
        self.head = head


class _NoConnection(Exception):
    """There was none in time."""


def _head(request: aiohttp.ClientRequest) -> bytes:
    """A request's first lines, with the headers that aiohttp has worked out, but for those of its body."""
    through_proxy = request.proxy is not None and not request.is_ssl()
    target = str(request.url) if through_proxy else request.url.raw_path_qs
    lines = [f"{request.method} {target} HTTP/1.1"]
    for name, value in request.headers.items():
        if name.title() not in ("Content-Length", "Transfer-Encoding"):
            lines.append(f"{name}: {value}")
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise ValueError("a header has a line end in it")
    return "\r\n".join([*lines, ""]).encode()


def at_path(base_url: str, path: str) -> str:
    """A URL below a base URL, whose query (Azure's `api-version`) stays."""
    parts = urlsplit(base_url)
    return parts._replace(path=parts.path.rstrip("/") + path, fragment="").geturl()


def encode_body(fields: Mapping[str, Any], failures: Failures) -> bytes:
    """The request as JSON; raises `ProviderError` for text that has no UTF-8 form."""
    try:
        return msgspec.json.encode(fields)
    except (TypeError, ValueError, RecursionError) as error:
        raise failures.error(f"cannot be sent this request: {error}", PROVIDER_REFUSED) from None
