"""A provider that a test leads by the hand, and the catalog that knows it."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

from tokentape.core.errors import ModelNotFound, ProviderError
from tokentape.providers.base import Generation, Part, Timeouts

FINISH = Part("finish", {"reason": "stop"})


class ScriptedProvider:
    """Plays what the test puts in; an exception is raised, and the end of the script ends the stream."""

    def __init__(self, name: str = "scripted") -> None:
        self.name = name
        self.generations: list[Generation] = []
        self.closed = 0
        self._script: asyncio.Queue = asyncio.Queue()

    def say(self, *steps) -> "ScriptedProvider":
        for step in steps:
            self._script.put_nowait(step)
        return self

    async def generate(self, generation: Generation, timeouts: Timeouts):
        self.generations.append(generation)
        try:
            while True:
                step = await self._script.get()
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, Callable):
                    await step()
                    continue
                if step is None:
                    return
                yield [Part("token", step)] if isinstance(step, str) else [step]
                if step == FINISH:
                    return
        finally:
            self.closed += 1

    async def aclose(self) -> None:
        """Nothing is open."""


class ScriptedModels:
    def __init__(self, *providers: ScriptedProvider, retries: int = 2, max_live: int = 0) -> None:
        self.providers = providers
        self.options = {"timeouts": Timeouts(), "retries": retries, "max_live": max_live}

    def resolve(self, name: str):
        if name == "unknown":
            raise ModelNotFound("There is no model 'unknown'.")
        return tuple(
            SimpleNamespace(name=p.name, provider=p, model=f"{p.name}-1", **self.options) for p in self.providers
        )


def overloaded(**details) -> ProviderError:
    return ProviderError("busy", subcode="provider_overloaded", retryable=True, **details)
