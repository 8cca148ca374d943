"""How a model is to answer, in OpenAI's names: the same in a run's request and in what OpenAI's clients send."""

from __future__ import annotations

from typing import Any, Final

import msgspec


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters that go to the provider as they are; what is null is not sent."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None

    def parameters(self) -> dict[str, Any]:
        """Those that the caller set."""
        return {name: value for name in PARAMETERS if (value := getattr(self, name)) is not None}


PARAMETERS: Final = Sampling.__struct_fields__
