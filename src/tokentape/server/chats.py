"""Chats of the Vercel AI SDK, whichever way they come: what is asked for, and which run answers now.

The chat that a run answers is kept in the run's own `metadata`, which every instance knows (`Runs.active`): so there is
no second record that could disagree with the first, and a chat is found as soon as its run is. Of several the newest
counts.
"""

from __future__ import annotations

from typing import Any

from tokentape.core.errors import BadRequest
from tokentape.dialects.ai_sdk_request import CHAT, chat_id, run_fields
from tokentape.runs import RunInfo
from tokentape.server.dropin import own_fields
from tokentape.server.services import Services


def fields_of(body: dict[str, Any]) -> dict[str, Any]:
    """What a chat asks for, as fields of a run; raises `BadRequest`."""
    own = own_fields(body)
    metadata = own.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise BadRequest("`tokentape.metadata` is an object.", path="tokentape.metadata")
    return {**run_fields(body), **own, "metadata": {**metadata, CHAT: chat_id(body)}}


async def active(services: Services, chat: str) -> RunInfo | None:
    """The run that answers a chat now."""
    found = await services.runs.active(CHAT, chat)
    return found[0] if found else None


async def stop(services: Services, chat: str) -> list[str]:
    """Stops all that answers a chat, and returns the ids of the runs."""
    found = await services.runs.active(CHAT, chat)
    for info in found:
        await services.runs.stop(info.id)
    return [info.id for info in found]
