"""Errors as problem documents (RFC 9457), each with a stable `code`."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tokentape.core.errors import ProviderError, TokentapeError

_log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = (1, 5)
"""Seconds, from and to, that a caller is asked to wait when a retry can help; drawn, so that they come back apart."""

HTTP_CODES: Final[Mapping[int, str]] = {
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    415: "unsupported_media_type",
}
"""Codes of what only HTTP knows; all others are in `tokentape.core.errors`."""

_json: Final = msgspec.json.Encoder(enc_hook=str)


def document(status: int, members: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document; `members` has at least `code` and `detail`."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, **members}
    return Response(_json.encode(body), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def problem(error: TokentapeError) -> Response:
    """The answer to a request that failed with this error."""
    members = error.as_dict()
    members["detail"] = members.pop("message")
    headers = {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    wait = error.retry_after if isinstance(error, ProviderError) else None
    if members["retryable"]:
        headers["Retry-After"] = str(int(wait) + 1 if wait else _some_seconds())
    # The error's own details must not shadow the standard members.
    details = {name: value for name, value in members.items() if name not in ("type", "title", "status")}
    return document(error.status, details, headers=headers)


def _some_seconds() -> int:
    low, high = RETRY_AFTER
    return low + secrets.randbelow(high - low + 1)


async def on_error(_request: Request, error: Exception) -> Response:
    """For Starlette: what one of ours becomes."""
    assert isinstance(error, TokentapeError)
    return problem(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """For Starlette: what its own exceptions (no such route, no such method) become."""
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"There is no {request.scope['path'][:200]!r} here. What there is: GET /v1/openapi.json."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        detail = f"{request.method[:20]!r} is not allowed here. What is: {allowed}."
    code = HTTP_CODES.get(error.status_code, "http_error")
    return document(error.status_code, {"code": code, "detail": detail, "retryable": False}, headers=error.headers)


class Boundary:
    """The outermost middleware: whatever was not foreseen is logged under an id, and the answer has only the id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (b"x-content-type-options", b"nosniff")]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            pass
        except Exception:  # noqa: BLE001 - the last line of defence
            request_id = secrets.token_hex(8)
            _log.exception("request %s failed: %s %r", request_id, scope["method"], scope["path"])
            # One that has begun stays without its end (P4): a server sees to that when the application returns.
            if not started:
                await _internal(request_id)(scope, receive, watched)


def _internal(request_id: str) -> Response:
    detail = f"The server failed. Its log has the reason under {request_id}."
    members = {"code": TokentapeError.code, "detail": detail, "retryable": False, "request_id": request_id}
    return document(500, members)
