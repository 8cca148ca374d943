"""Errors as OpenAI's APIs say them, in the body of a refusal and in mid-stream.

Source: OpenAI's API reference, "Error codes". The SDKs choose the class of their exception by the HTTP status, and
raise `APIError` for an `error` object in a stream.
"""

from __future__ import annotations

from typing import Any, Final

from tokentape.dialects.story import Failure, Finish

_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_STATUSES: Final = {
    "provider_rate_limited": 429,
    "provider_refused": 400,
    "provider_overloaded": 503,
    "provider_timeout": 504,
    "internal_error": 500,
    "store_unavailable": 503,
    "interrupted": 503,
}
"""The HTTP status of a run that failed before anybody was told a word; others are 502, the model's side."""

INTERRUPTED: Final = Failure(
    "interrupted", "The server that was writing this answer went away: it is not complete.", retryable=True
)
RESTARTED: Final = Failure(
    "restarted",
    "This answer was begun again, and what was shown of it is void. Read it from its start.",
    retryable=True,
)


def failure_of(finish: Finish) -> Failure | None:
    """What went wrong, in a run that did not come to an end of its own or by request."""
    if finish.reason == "interrupted":
        return finish.failure or INTERRUPTED
    if finish.reason == "error":
        return finish.failure or Failure("internal_error", "The run failed.", retryable=False)
    return None


def status_of(failure: Failure) -> int:
    """The HTTP status of a whole answer that failed."""
    return _STATUSES.get(failure.code, 502)


def error_object(message: str, code: str, *, status: int, param: str | None = None) -> dict[str, Any]:
    """The value of `error`."""
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    return {"message": message, "type": kind, "param": param, "code": code}


def failure_object(failure: Failure) -> dict[str, Any]:
    """The value of `error` for a run that failed."""
    return error_object(failure.message, failure.code, status=status_of(failure))
