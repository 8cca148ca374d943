"""What a request may cost: its body, its time, and its place among the others."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from tokentape.core.errors import BadRequest, TooLarge, TooMany
from tokentape.hub import Hub
from tokentape.server.config import Limits
from tokentape.server.transport import link_of

_MAX_ECHO: Final = 300
"""Characters of a refusal that may come from the request: enough to see the fault, too few to be abused."""


async def read_json(request: Request, kind: Any, limits: Limits, *, required: bool = True) -> Any:
    """Reads a JSON body as `kind`; None for an empty one that is not required.

    Raises `TooLarge`, `BadRequest` with the path of the field at fault, and HTTP's own 408 and 415.
    """
    body = await read_body(request, limits)
    if not body and not required:
        return None  # some clients name a type for what they do not send
    _check_type(request)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        where = path.strip("`") or "$"
        raise BadRequest(f"The body is wrong at {where}: {message[:_MAX_ECHO]}.", path=where[:_MAX_ECHO]) from None
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {str(error)[:_MAX_ECHO]}.") from None


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, f"This is for JSON; send 'Content-Type: application/json', not {kind[:80]!r}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "Send the body without a Content-Encoding.")


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body; raises `TooLarge`, and HTTP's own 408."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limits.max_body:
        raise _too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_deadline):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_body:
                    raise _too_large(limits)
    except TimeoutError:
        message = f"The body did not arrive within {limits.body_deadline:g} seconds."
        # Whatever comes now would be taken for the next request.
        raise HTTPException(408, message, headers={"Connection": "close"}) from None
    return bytes(body)


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(f"The body is larger than {limits.max_body} bytes.", limit=int(limits.max_body))


def check_connection(request: Request) -> None:
    """Raises `TooMany` when the server had too many connections already as this one came."""
    link = link_of(request.scope)
    if link is not None and link.crowded:
        raise TooMany("This server has too many connections; try again in a moment.")


def check_audience(hub: Hub, stream: str, limits: Limits) -> None:
    """Raises `TooMany` when a stream has as many watchers as one may have here."""
    if hub.audience(stream) >= limits.watchers_per_stream:
        raise TooMany(f"{stream!r} has {limits.watchers_per_stream} watchers here; try again in a moment.")
