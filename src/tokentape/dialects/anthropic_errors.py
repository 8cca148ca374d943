"""Errors in the words of Anthropic's API: as the event in a stream, and as the document of an answer.

Source: Anthropic's API reference, "Errors". Its SDKs choose an exception by the HTTP status, and tell its `type`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class FailureDocument(NamedTuple):
    """What is said of an answer that failed, and the status that it has when nothing else was said before."""

    type: str
    message: str
    status: int
    retryable: bool = False


TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "invalid_request_error",
    410: "not_found_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""By HTTP status; everything else is `api_error`."""

_STATUSES: Final[Mapping[str, int]] = {
    "provider_timeout": 504,
    "provider_rate_limited": 429,
    "provider_overloaded": 529,
    "provider_refused": 400,
}
"""By the code of a run's `error`; everything else is a 500."""


def failure_of(code: str, message: str, *, retryable: bool = False) -> FailureDocument:
    """A run's failure, by the code of its `error` event."""
    status = _STATUSES.get(code, 500)
    return FailureDocument(TYPES.get(status, "api_error"), message, status, retryable)


def document(kind: str, message: str, request_id: str) -> dict[str, Any]:
    """The body of an answer that is an error."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}


RESTARTED: Final = FailureDocument(
    "api_error", "The answer was begun again, which this format cannot say: watch it from its start.", 500, True
)
LOST: Final = FailureDocument("api_error", "The record of this answer ends before the answer does.", 500)
