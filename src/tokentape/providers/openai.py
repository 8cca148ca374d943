"""OpenAI's Chat Completions, and everybody who speaks that format: vLLM, Ollama, LM Studio, Groq, OpenRouter, Azure."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from tokentape.providers.base import Generation, Part, Sink, Timeouts
from tokentape.providers.failures import Failures
from tokentape.providers.http import Upstream, at_path, encode_body
from tokentape.providers.openai_stream import ChatDecoder
from tokentape.providers.secret import Redactor, Secret

BASE_URL: Final = "https://api.openai.com/v1"
_OWN_HOSTS: Final = (".openai.com", ".openai.azure.com", ".services.ai.azure.com")
"""Where `max_tokens` is deprecated, and refused by the reasoning models; elsewhere its successor is often unknown."""
_OURS: Final = frozenset({"model", "messages", "stream", "stream_options", "n"})


class OpenAIProvider:
    """One base URL and key (see `base.Provider` and `base.Pushing`)."""

    def __init__(
        self,
        *,
        name: str = "openai",
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
        sent = {} if api_key is None else {"Authorization": f"Bearer {api_key.reveal()}"}
        sent |= {header: value.reveal() for header, value in given.items()}
        self._upstream = Upstream(at_path(base_url, "/chat/completions"), sent, self._failures, proxy=proxy)
        host = urlsplit(base_url).hostname or ""
        self._max_tokens = "max_completion_tokens" if f".{host}".endswith(_OWN_HOSTS) else "max_tokens"

    def generate(self, generation: Generation, timeouts: Timeouts) -> AsyncGenerator[Sequence[Part], None]:
        """Runs one attempt."""
        return self._upstream.stream(lambda: self._body(generation), ChatDecoder(self._failures), timeouts)

    async def push(self, generation: Generation, timeouts: Timeouts, sink: Sink) -> None:
        """Runs one attempt (see `base.Pushing`)."""
        await self._upstream.push(lambda: self._body(generation), ChatDecoder(self._failures), timeouts, sink)

    async def aclose(self) -> None:
        """Closes pooled connections."""
        await self._upstream.aclose()

    def _body(self, generation: Generation) -> bytes:
        fields: dict[str, Any] = {name: v for name, v in generation.parameters.items() if name not in _OURS}
        if "max_tokens" in fields:
            fields[self._max_tokens] = fields.pop("max_tokens")
        return encode_body(
            {
                "model": generation.model,
                "messages": generation.messages,
                "stream": True,
                "stream_options": {"include_usage": True},
                **fields,
            },
            self._failures,
        )
