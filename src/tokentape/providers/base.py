"""The provider contract: one generation as an asynchronous stream of small batches of parts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from tokentape.core.errors import ProviderError

# Subcodes of ProviderError: what an `error` event's `code` says.
PROVIDER_TIMEOUT = "provider_timeout"
"""Connecting, the first token, the next token or the whole took longer than its time-out."""
PROVIDER_UNREACHABLE = "provider_unreachable"
PROVIDER_RATE_LIMITED = "provider_rate_limited"
PROVIDER_OVERLOADED = "provider_overloaded"
PROVIDER_REFUSED = "provider_refused"
"""The request itself is at fault (400, 401, 403, 404, 422): a retry cannot help."""
PROVIDER_CUT = "provider_cut"
"""The stream ended, or broke, before the answer did."""
PROVIDER_PROTOCOL = "provider_protocol"
"""What came is not what the format says, or is past a size cap."""


class Part(NamedTuple):
    """One thing that a provider said: an event's type and data (design §2), without its place or its time.

    `token` str · `reasoning` str · `tool_call_delta` {id, arguments} (the first of a call also has `name`)
    · `tool_call` {id, name, arguments} once complete · `status`, `metadata` dict · `usage` {input_tokens,
    output_tokens, …} · `finish` {reason: stop|length|tool_calls}. `finish` is for the run, which makes it
    into `done`; a provider that ends without one has failed with `provider_cut`.
    """

    type: str
    data: Any


Pair = tuple[str, Any]
"""A part as a sink takes it: type and data, whether they have names or not. A tuple of a class of its own is
dearer to make than anything else that is done for a token, but to decode it."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; 0 means without that bound. On a monotonic clock."""

    connect: float = 10
    first_token: float = 60
    between_tokens: float = 60
    total: float = 1800


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """What to generate: the provider's own model name, the turns so far, and sampling parameters.

    `messages` are OpenAI-style: {role, content}, where content is text or a list of parts (text, image,
    file), and `tool_calls`/`tool_call_id` where they occur. `parameters` holds what the caller set of
    temperature, top_p, max_tokens, stop, seed, tools, tool_choice, response_format, reasoning_effort, …:
    an adapter passes on what its provider knows. `simulated` is for the simulated provider only.
    """

    model: str
    messages: Sequence[dict[str, Any]]
    parameters: dict[str, Any] = {}
    simulated: dict[str, Any] = {}


class Provider(Protocol):
    """A kind of model behind one address and key."""

    name: str
    """What `start` events and metrics call it: `openai`, `anthropic`, `simulated`, `iterator`."""

    def generate(self, generation: Generation, timeouts: Timeouts) -> AsyncGenerator[Sequence[Part], None]:
        """Runs one attempt; yields what each read from the network brought, in order, as one batch.

        Connects when first iterated. Closing the generator (`aclose`, or cancelling the task that awaits
        it) MUST close the provider's connection at once. Every failure MUST be raised as `ProviderError`, with
        `retry_after` where the provider said so. It MUST NOT retry by itself. Memory is bounded: a line or an
        event over its cap raises `provider_protocol`.
        """
        ...

    async def aclose(self) -> None:
        """Closes pooled connections."""
        ...


class Sink(Protocol):
    """Takes what a provider pushes."""

    def put(self, parts: Sequence[Pair]) -> bool:
        """Takes what one read from the network brought, in order. It MUST NOT block.

        False asks the provider to wait for `room` before it hands in more; one last batch MAY come in any case.
        What this raises ends the generation, and is raised there.
        """
        ...

    async def room(self) -> None:
        """Waits until more may come; what this raises ends the generation too."""
        ...


@runtime_checkable
class Pushing(Protocol):
    """Capability: hands its parts to a sink in the very callback that read them, so that no task wakes per token."""

    async def push(self, generation: Generation, timeouts: Timeouts, sink: Sink) -> None:
        """Runs one attempt like `Provider.generate`, with the same laws, and returns when it is complete.

        Cancelling it MUST close the provider's connection at once.
        """
        ...


@runtime_checkable
class Checking(Protocol):
    """Capability: tells before a run begins what could never work."""

    def check(self, generation: Generation) -> None:
        """Raises `BadRequest` for a request that this provider would refuse in any case."""
        ...


__all__ = [
    "PROVIDER_CUT",
    "PROVIDER_OVERLOADED",
    "PROVIDER_PROTOCOL",
    "PROVIDER_RATE_LIMITED",
    "PROVIDER_REFUSED",
    "PROVIDER_TIMEOUT",
    "PROVIDER_UNREACHABLE",
    "Checking",
    "Generation",
    "Pair",
    "Part",
    "Provider",
    "ProviderError",
    "Pushing",
    "Sink",
    "Timeouts",
]
