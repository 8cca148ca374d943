"""The shared part of providers that are reached over HTTP: one request, its time-outs, and its stream as parts.

Laws (tests/providers/test_http.py, tests/faults/test_provider_faults.py):
- the bytes of an answer go from the socket to the decoder in the chunks in which they came, with one small step each;
- whoever closes the stream, or is cancelled in it, has cut the connection when that returns;
- memory is bounded by the caps below, whatever comes;
- no error, log line or repr holds a key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from math import inf
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import aiohttp
import msgspec

from tokentape.core.errors import ProtocolError
from tokentape.providers.base import (
    PROVIDER_CUT,
    PROVIDER_PROTOCOL,
    PROVIDER_REFUSED,
    PROVIDER_TIMEOUT,
    PROVIDER_UNREACHABLE,
    Part,
    ProviderError,
    Timeouts,
)
from tokentape.providers.deadline import Deadline
from tokentape.providers.decoding import AnswerDecoder
from tokentape.providers.documents import Documents
from tokentape.providers.failures import Failures

_log = logging.getLogger(__name__)

MAX_LINE: Final = 1_048_576
"""Bytes of one line, and of one event, of a stream."""
MAX_COMPLAINT: Final = 65_536
"""Bytes that are read of the body of a refusal."""
COMPLAINT_WAIT: Final = 5.0
"""Seconds for that body."""
TRAILER_WAIT: Final = 5.0
"""Seconds to wait, when the answer is complete, for the usage and the end mark that should follow."""
DRAIN_WAIT: Final = 0.25
"""Seconds to wait, after the end mark, for the end of the response: with it the connection can be used again."""
POOL: Final = 1000
"""Connections to one provider at a time; each generation takes one."""
READ_BUFFER: Final = 65_536
"""Bytes that the HTTP client holds of one response before it stops reading from the socket (it allows itself twice
as much)."""

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

    async def stream(
        self, write: Callable[[], bytes], decoder: AnswerDecoder, timeouts: Timeouts
    ) -> AsyncGenerator[Sequence[Part], None]:
        """Posts what `write` gives and yields what the answer brings; raises `ProviderError`, as `write` may."""
        clock = _Clock(timeouts)
        response = await self._open(write(), timeouts, clock)
        answer = _Answer(response, decoder, clock, self._failures)
        try:
            await self._check(response)
            while not decoder.ended:
                if parts := await answer.receive():
                    yield parts
            if decoder.error is not None:
                raise decoder.error
            await _drain(response)
        finally:
            answer.abort()

    async def aclose(self) -> None:
        """Closes the pool; another request opens a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # The request

    async def _open(self, body: bytes, timeouts: Timeouts, clock: _Clock) -> aiohttp.ClientResponse:
        session = self._session or self._connect()
        limit = aiohttp.ClientTimeout(total=None, connect=timeouts.connect or None)
        until = min(clock.first, clock.total)
        try:
            async with asyncio.timeout_at(until if until < inf else None):
                return await session.post(self._url, data=BytesIO(body), timeout=limit, allow_redirects=False)
        except aiohttp.ConnectionTimeoutError:
            raise self._failures.error(
                f"did not accept a connection within {timeouts.connect:g} s", PROVIDER_TIMEOUT
            ) from None
        except TimeoutError:
            raise clock.too_late(self._failures) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._raise_unreachable(error)

    def _connect(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=POOL),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_NO_LIMIT,
            auto_decompress=False,
            trust_env=False,
            proxy=self._proxy,
            read_bufsize=READ_BUFFER,
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

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        plain = encoding == "identity"
        if response.status != 200:
            said = await _complaint(response) if plain else b""
            raise self._failures.refused(response.status, response.headers, said)
        if not plain:
            what = f"compressed its answer ({encoding[:20]!r}), which it was asked to send as it is"
            raise self._failures.error(what, PROVIDER_PROTOCOL)
        if response.content_type == "application/json":
            raise self._failures.document(await _complaint(response))


class _Answer:
    """One response being read."""

    def __init__(
        self, response: aiohttp.ClientResponse, decoder: AnswerDecoder, clock: _Clock, failures: Failures
    ) -> None:
        self._response = response
        self._decoder = decoder
        self._clock = clock
        self._failures = failures
        self._documents = Documents(MAX_LINE, MAX_LINE)
        self._deadline = Deadline(self._cut)
        self._due = clock.first
        self._taken = False
        self._complete = False

    async def receive(self) -> Sequence[Part]:
        """What the next chunk brings, which may be nothing."""
        if self._taken:
            self._taken = False
            self._due = self._clock.next(complete=self._decoder.complete)
        self._deadline.set(min(self._due, self._clock.total))
        try:
            parts = self._decode(await self._response.content.readany())
        except (ProtocolError, aiohttp.ClientError, OSError) as error:
            if not self._decoder.complete:
                raise self._failure(error) from None
            parts = self._decoder.receive_eof()
        if parts or self._decoder.complete is not self._complete:
            # While the run is busy with the parts, no time counts against the provider but the total.
            self._deadline.set(self._clock.total)
            self._taken = True
            self._complete = self._decoder.complete
        return parts

    def abort(self) -> None:
        """Ends it: cuts the connection at once, unless the response was read to its end."""
        self._deadline.cancel()
        self._cut()

    def _decode(self, chunk: bytes) -> Sequence[Part]:
        if chunk:
            return self._decoder.receive(self._documents.receive_data(chunk))
        self._documents.receive_eof()
        return self._decoder.receive_eof()

    def _failure(self, error: Exception) -> ProviderError:
        if isinstance(error, ProtocolError):
            return self._failures.error(f"went past a limit: {error.message}", PROVIDER_PROTOCOL)
        if self._deadline.expired:
            return self._clock.too_late(self._failures)
        _log.warning("a provider's stream broke: %s: %s", type(error).__name__, self._failures.clean(str(error)))
        return self._failures.error("broke the connection before its answer was complete", PROVIDER_CUT)

    def _cut(self) -> None:
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        # Wakes whoever waits for the next chunk, with an error.
        self._response.close()


class _Clock:
    """The time-outs of one answer as times of the loop, which is monotonic; `inf` is without that bound."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._time = asyncio.get_running_loop().time
        now = self._time()
        self.first = now + (timeouts.first_token or inf)
        self.total = now + (timeouts.total or inf)
        self._between = timeouts.between_tokens or inf
        self._begun = False

    def next(self, *, complete: bool) -> float:
        """When the next part must have come, now that there was one."""
        self._begun = True
        return self._time() + (min(self._between, TRAILER_WAIT) if complete else self._between)

    def too_late(self, failures: Failures) -> ProviderError:
        """Says which time-out has run out."""
        if self._time() >= self.total:
            what = f"did not finish its answer within {self._timeouts.total:g} s"
        elif self._begun:
            what = f"sent no further token within {self._timeouts.between_tokens:g} s"
        else:
            what = f"sent no token within {self._timeouts.first_token:g} s"
        return failures.error(what, PROVIDER_TIMEOUT)


async def _complaint(response: aiohttp.ClientResponse) -> bytes:
    """The body of a refusal, as much of it as comes soon and is not too long."""
    body = bytearray()
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(COMPLAINT_WAIT):
            while len(body) < MAX_COMPLAINT and (chunk := await response.content.readany()):
                body += chunk
    return bytes(body[:MAX_COMPLAINT])


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Reads on to the end of the response, if it is near: that gives the connection back to the pool."""
    if response.content.is_eof():
        return
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(DRAIN_WAIT):
            while await response.content.readany():
                pass


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
