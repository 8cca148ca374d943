"""Requests to one server: addresses, the credential, and answers as values or typed errors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec

from tokentape.client.errors import Unreachable
from tokentape.client.wire import http_error
from tokentape.core.errors import ProtocolError, SetupError
from tokentape.core.events import check_stream_name

T = TypeVar("T")

CONNECT_TIMEOUT: Final = 10.0
"""Seconds until a connection stands."""
ANSWER_TIMEOUT: Final = 30.0
"""Seconds until an answer begins: `stop` may wait for a provider, everything else is quick."""
MAX_ANSWER: Final = 67_108_864
"""Bytes of one answer that is kept in memory."""
RUNS: Final = "runs/"
"""Prefix of the streams that belong to one run each (PROTOCOL.md §2.1)."""

BROKEN: Final = (aiohttp.ClientError, OSError, TimeoutError)
"""What a connection that fails or breaks raises."""

_PATH_SAFE: Final = "/~:@+"


def run_of(stream: str) -> str | None:
    """The run whose own view this stream name is, None for a channel."""
    return stream.removeprefix(RUNS) if stream.startswith(RUNS) else None


def events_path(stream: str) -> str:
    """The route on which a stream is watched; raises `InvalidName`."""
    name = quote(check_stream_name(stream), safe=_PATH_SAFE)
    return f"/v1/{name}/events" if run_of(stream) is not None else channel_path(stream, "events")


def channel_path(name: str, what: str) -> str:
    """A route of a channel; raises `InvalidName`."""
    return f"/v1/channels/{quote(check_stream_name(name), safe=_PATH_SAFE)}/{what}"


def run_path(run: str) -> str:
    """The route of a run, whatever somebody passed for its id."""
    return f"/v1/runs/{quote(run, safe='')}"


class Http:
    """A pool of connections to one server. `url` may have a path, where a tape is mounted."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        if not _is_address(self.url):
            raise SetupError(f"{url!r} is not the address of a server. Give one like 'http://127.0.0.1:8000'.")
        if token is not None and not is_header_value(token):
            raise SetupError("The token has characters that no token has: a line end, perhaps. (It is not shown here.)")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The pool, opened when first needed."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT)
            # Watches last, and must not wait for one another.
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers)
        return self._session

    async def aclose(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def address(self, path: str, params: Mapping[str, str] | None = None) -> str:
        """The address of a route; `path` is quoted already."""
        return f"{self.url}{path}?{urlencode(params)}" if params else self.url + path

    async def call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        params: Mapping[str, str | int | None] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """One request and its answer as `answer`; parameters that are None are left out.

        Raises the error that the server's `code` names, `Unreachable`, or `ProtocolError` for an answer that
        no tokentape server gives.
        """
        given = {name: str(value) for name, value in (params or {}).items() if value is not None}
        sent = dict(headers or {})
        data = None
        if body is not None:
            data = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        status, content = await self._exchange(method, self.address(path, given), data, sent)
        if status >= 400:
            raise http_error(status, content)
        try:
            return msgspec.json.decode(content, type=answer)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ProtocolError(f"{self.url}{path} is not an address of tokentape: {error}") from None

    async def _exchange(
        self, method: str, address: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT, sock_read=ANSWER_TIMEOUT)
        try:
            async with self.session.request(
                method,
                address,
                data=data,
                headers=headers,
                timeout=timeout,
                # aiohttp calls an empty body an octet-stream.
                skip_auto_headers=("Content-Type",),
            ) as response:
                return response.status, await read_all(response)
        except BROKEN as error:
            raise self.unreachable(error) from None

    def unreachable(self, error: BaseException) -> Unreachable:
        """What to tell of a connection that failed or broke."""
        return Unreachable(f"Cannot reach {self.url}: {_reason(error)}.")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return whole and not parts.query and not parts.fragment


def is_header_value(text: str) -> bool:
    """Whether a text can be sent in a header: printable ASCII without blanks."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection broke in the middle of an answer"
    # aiohttp's own text names the host again, and asyncio's the address: the system's is enough.
    cause = getattr(error, "os_error", error)
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return os.strerror(cause.errno)
    return str(getattr(cause, "strerror", None) or cause) or type(error).__name__


async def read_all(response: aiohttp.ClientResponse) -> bytes:
    """The body, when it is not larger than `MAX_ANSWER`; raises `ProtocolError`."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            response.close()
            raise ProtocolError(f"The answer is longer than {MAX_ANSWER} bytes.")
    return bytes(body)
