"""Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final

from tokentape.providers.anthropic_request import Unsendable, to_request
from tokentape.providers.anthropic_stream import MessagesDecoder
from tokentape.providers.base import PROVIDER_REFUSED, Generation, Part, Sink, Timeouts
from tokentape.providers.failures import Failures
from tokentape.providers.http import Upstream, at_path, encode_body
from tokentape.providers.secret import Redactor, Secret

BASE_URL: Final = "https://api.anthropic.com"
VERSION: Final = "2023-06-01"
"""Of the API; the only one since then."""


class AnthropicProvider:
    """One base URL and key (see `base.Provider` and `base.Pushing`)."""

    def __init__(
        self,
        *,
        name: str = "anthropic",
        base_url: str = BASE_URL,
        api_key: Secret | None = None,
        headers: Mapping[str, Secret] | None = None,
        proxy: str = "",
    ) -> None:
        """`headers` are sent with each request, and may replace the standard ones."""
        self.name = name
        given = {header.title(): value for header, value in (headers or {}).items()}
        secrets = [*given.values()] if api_key is None else [api_key, *given.values()]
        self._failures = Failures(name, Redactor(secrets))
        sent = {"Anthropic-Version": VERSION}
        if api_key is not None:
            sent["X-Api-Key"] = api_key.reveal()
        sent |= {header: value.reveal() for header, value in given.items()}
        self._upstream = Upstream(at_path(base_url, "/v1/messages"), sent, self._failures, proxy=proxy)

    def generate(self, generation: Generation, timeouts: Timeouts) -> AsyncGenerator[Sequence[Part], None]:
        """Runs one attempt."""
        return self._upstream.stream(lambda: self._body(generation), MessagesDecoder(self._failures), timeouts)

    async def push(self, generation: Generation, timeouts: Timeouts, sink: Sink) -> None:
        """Runs one attempt (see `base.Pushing`)."""
        await self._upstream.push(lambda: self._body(generation), MessagesDecoder(self._failures), timeouts, sink)

    async def aclose(self) -> None:
        """Closes pooled connections."""
        await self._upstream.aclose()

    def _body(self, generation: Generation) -> bytes:
        try:
            request = to_request(generation)
        except Unsendable as error:
            raise self._failures.error(f"cannot be sent this request: {error}", PROVIDER_REFUSED) from None
        return encode_body(request, self._failures)
