"""The server itself: is it well, what can it do."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

import msgspec
from starlette.responses import Response

from tokentape.core.errors import ShuttingDown, StoreUnavailable, StreamNotFound
from tokentape.providers.catalog import ModelInfo
from tokentape.runs.index import RUNS_STREAM
from tokentape.server.operations import Answer, Call, Operation, answer

STORE_DEADLINE: Final = 2.0
"""Seconds in which a store that is well answers."""


class Health(msgspec.Struct, frozen=True):
    status: str


class Ready(Health, frozen=True):
    """Beside the status: how many instances are on the store, and whether they are set alike."""

    instances: int
    agree: bool


class Readiness:
    """Whether new requests should be sent here."""

    def __init__(self) -> None:
        self.draining = False


class OpenAIModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as OpenAI's SDKs know it."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    """Nobody says when."""
    owned_by: str


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The models in our words, and the same in OpenAI's."""

    models: list[ModelInfo]
    object: Literal["list"] = "list"
    data: list[OpenAIModel]


def openai_model(model: ModelInfo) -> OpenAIModel:
    return OpenAIModel(id=model.name, owned_by=model.provider)


async def _alive(_call: Call[None, None]) -> Response:
    return answer(Health("ok"))


async def _ready(call: Call[None, None]) -> Response:
    readiness: Readiness = call.request.app.state.readiness
    if readiness.draining:
        raise ShuttingDown("This server is going away.")
    try:
        async with asyncio.timeout(STORE_DEADLINE):
            await call.services.store.info(RUNS_STREAM)
    except StreamNotFound:
        pass  # an answer, too
    except TimeoutError:
        raise StoreUnavailable(f"The store has not answered within {STORE_DEADLINE:g} seconds.") from None
    instances = call.services.instances
    return answer(Ready("ready", instances.count, instances.agree))


async def _models(call: Call[None, None]) -> Response:
    models = list(call.services.catalog.models())
    return answer(ModelList(models=models, data=[openai_model(model) for model in models]))


async def _describe(call: Call[None, None]) -> Response:
    description: dict[str, Any] = call.request.app.state.openapi
    prefix = call.link("")
    return answer({**description, "servers": [{"url": prefix}]} if prefix else description)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/models",
        handle=_models,
        summary="List the configured models, in our words and in OpenAI's",
        answers={200: (Answer(description="The models", body=ModelList),)},
    ),
    Operation(
        method="GET",
        path="/v1/openapi.json",
        handle=_describe,
        summary="This description",
        answers={200: (Answer(description="OpenAPI 3.1", body=dict[str, Any]),)},
    ),
    Operation(
        method="GET",
        path="/healthz",
        handle=_alive,
        summary="Whether the process is alive",
        answers={200: (Answer(description="It is", body=Health),)},
        public=True,
    ),
    Operation(
        method="GET",
        path="/readyz",
        handle=_ready,
        summary="Whether requests should be sent here: the store answers, and the server is not going away",
        answers={200: (Answer(description="They should", body=Ready),)},
        public=True,
    ),
)
