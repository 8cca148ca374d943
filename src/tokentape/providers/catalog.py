"""The models that can be asked for, by name, and the providers behind them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tokentape.core.errors import ModelNotFound, SetupError
from tokentape.providers.base import Checking, Generation, Part, Provider, Timeouts
from tokentape.providers.configuration import (
    SIMULATED,
    CatalogConfig,
    Kind,
    ModelConfig,
    ProviderConfig,
    configured,
    discover,
)
from tokentape.providers.simulated import SimulatedProvider

if TYPE_CHECKING:
    from tokentape.providers.anthropic import AnthropicProvider
    from tokentape.providers.openai import OpenAIProvider

MAX_NAME: Final = 200
"""Characters of a model's name in a request."""
_PLAIN: Final = (
    ("openai", re.compile(r"(?:gpt|chatgpt)-.+|o[0-9].*")),
    ("anthropic", re.compile(r"claude-.+")),
)
"""Names that say by themselves whose they are."""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model as it is listed. `groq:*` stands for every model of an open provider."""

    name: str
    provider: str
    model: str
    """Its name at the provider."""
    default: bool


class ResolvedModel(msgspec.Struct, kw_only=True):
    """A model with the provider to ask, and how. Not frozen only because `runs.service.Model` wants it so."""

    name: str
    provider: Provider
    model: str
    timeouts: Timeouts
    retries: int
    max_live: int = 0
    """How many runs may be at this provider at a time; 0 is without that bound."""


class Catalog:
    """The configured models. Providers are made when they are first asked for, one per address and key."""

    def __init__(self, config: CatalogConfig) -> None:
        """Raises `SetupError` for a default or a fallback that is not there."""
        self._config = config
        self._providers: dict[ProviderConfig, Provider] = {}
        self._check(config.default, "`models.default`")
        for model in config.models.values():
            for name in model.fallback:
                self._check(name, f"`fallback` of [models.{model.name}]")
        owners = {model.provider for model in config.models.values()} | {*config.providers.values()}
        for kind in {owner.kind for owner in owners} - {SIMULATED}:
            _over_http(kind)  # now, and not while everybody waits for the first request

    def resolve(self, name: str) -> tuple[ResolvedModel, ...]:
        """A model and its fallbacks, in order; without a name the default one. Raises `ModelNotFound`.

        A fallback's own fallbacks do not count.
        """
        asked = name or self._config.default
        first = self._find(asked)
        if first is None:
            raise ModelNotFound(f"There is no model {asked!r:.80}. There are: {', '.join(self._known())}.")
        rest = (self._find(fallback) for fallback in first.fallback)
        return tuple(self._resolved(model) for model in (first, *rest) if model is not None)

    def models(self) -> list[ModelInfo]:
        """What can be asked for, the default first, then by name."""
        default = self._config.default
        listed = [
            ModelInfo(name=model.name, provider=model.provider.name, model=model.model, default=model.name == default)
            for model in self._config.models.values()
        ]
        if default not in self._config.models and (model := self._find(default)) is not None:
            listed.append(ModelInfo(name=default, provider=model.provider.name, model=model.model, default=True))
        listed += [
            ModelInfo(name=f"{provider.name}:*", provider=provider.name, model="*", default=False)
            for provider in self._config.providers.values()
            if provider.open
        ]
        return sorted(listed, key=lambda info: (not info.default, info.name))

    async def aclose(self) -> None:
        """Closes the providers' connections."""
        providers, self._providers = self._providers, {}
        for provider in providers.values():
            await provider.aclose()

    def _check(self, name: str, where: str) -> None:
        if self._find(name) is None:
            raise SetupError(f"{where} names {name!r:.80}. There are: {', '.join(self._known())}.")

    def _known(self) -> list[str]:
        return [info.name for info in self.models()]

    def _find(self, name: str) -> ModelConfig | None:
        model = self._config.models.get(name)
        if model is not None:
            return model
        if len(name) > MAX_NAME or not name.isprintable():
            return None
        owner, colon, rest = name.partition(":")
        if not colon or owner not in self._config.providers:
            owner, rest = next((owner for owner, pattern in _PLAIN if pattern.fullmatch(name)), ""), name
        provider = self._config.providers.get(owner)
        if provider is None or not provider.open or not rest:
            return None
        return ModelConfig(name=name, provider=provider, model=rest)

    def _resolved(self, model: ModelConfig) -> ResolvedModel:
        provider = self._providers.get(model.provider)
        if provider is None:
            provider = self._providers[model.provider] = _make(model.provider)
        if model.parameters or model.simulated:
            provider = _Preset(provider, model.parameters, model.simulated)
        return ResolvedModel(
            name=model.name,
            provider=provider,
            model=model.model,
            timeouts=model.timeouts,
            retries=model.retries,
            max_live=model.provider.max_live,
        )


@cache
def _over_http(kind: Kind) -> type[AnthropicProvider | OpenAIProvider]:
    """Loaded when it is configured, and not before: an HTTP client takes longer than all the rest of a server."""
    if kind == "anthropic":
        from tokentape.providers.anthropic import AnthropicProvider  # noqa: PLC0415 - see above

        return AnthropicProvider
    from tokentape.providers.openai import OpenAIProvider  # noqa: PLC0415 - see above

    return OpenAIProvider


def _make(config: ProviderConfig) -> Provider:
    if config.kind == SIMULATED:
        return SimulatedProvider()
    return _over_http(config.kind)(
        name=config.name,
        base_url=config.base_url,
        api_key=config.api_key,
        headers=dict(config.headers),
        proxy=config.proxy,
    )


class _Preset:
    """A provider with a model's default parameters; what a request sets goes before them."""

    def __init__(self, provider: Provider, parameters: dict[str, Any], simulated: dict[str, Any]) -> None:
        self.name = provider.name
        self._provider = provider
        self._parameters = parameters
        self._simulated = simulated

    def check(self, generation: Generation) -> None:
        if isinstance(self._provider, Checking):
            self._provider.check(self._completed(generation))

    def generate(self, generation: Generation, timeouts: Timeouts) -> AsyncGenerator[Sequence[Part], None]:
        return self._provider.generate(self._completed(generation), timeouts)

    def _completed(self, generation: Generation) -> Generation:
        return msgspec.structs.replace(
            generation,
            parameters={**self._parameters, **generation.parameters},
            simulated={**self._simulated, **generation.simulated},
        )

    async def aclose(self) -> None:
        """The catalog closes the provider itself."""


__all__ = ["Catalog", "CatalogConfig", "ModelInfo", "ResolvedModel", "configured", "discover"]
