"""What went wrong at a provider, as a `ProviderError`: from an HTTP status, or from an error in the stream.

Sources: OpenAI's "Error codes" guide, Anthropic's "Errors" page, RFC 9110 §10.2.3 (Retry-After).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import msgspec

from tokentape.providers.base import (
    PROVIDER_OVERLOADED,
    PROVIDER_PROTOCOL,
    PROVIDER_RATE_LIMITED,
    PROVIDER_REFUSED,
    PROVIDER_TIMEOUT,
    PROVIDER_UNREACHABLE,
    ProviderError,
)
from tokentape.providers.secret import Redactor

_GATEWAY: Final = frozenset({502, 504, 520, 521, 522, 523, 524})
"""A proxy answered because it could not reach the provider (52x are Cloudflare's)."""
_SPENT: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""OpenAI's codes for an account without money: a 429 that no waiting ends."""
_NAMED: Final = {
    "rate_limit_error": PROVIDER_RATE_LIMITED,
    "rate_limit_exceeded": PROVIDER_RATE_LIMITED,
    "requests": PROVIDER_RATE_LIMITED,
    "tokens": PROVIDER_RATE_LIMITED,
    "overloaded_error": PROVIDER_OVERLOADED,
    "api_error": PROVIDER_OVERLOADED,
    "server_error": PROVIDER_OVERLOADED,
    "internal_server_error": PROVIDER_OVERLOADED,
    "timeout_error": PROVIDER_TIMEOUT,
    "invalid_request_error": PROVIDER_REFUSED,
    "authentication_error": PROVIDER_REFUSED,
    "permission_error": PROVIDER_REFUSED,
    "billing_error": PROVIDER_REFUSED,
    "not_found_error": PROVIDER_REFUSED,
    "request_too_large": PROVIDER_REFUSED,
}
"""Error types and codes as the providers spell them. Whatever is not here, in mid-stream, is on their side."""
_FINAL: Final = frozenset({PROVIDER_REFUSED, PROVIDER_PROTOCOL})


class Complaint(NamedTuple):
    """What a provider said of an error: its own names for it, and a text."""

    message: str = ""
    kind: str = ""
    code: str = ""


def read_complaint(body: str | bytes) -> Complaint:
    """Reads the body of a refusal: OpenAI's and Anthropic's form, and the plainer ones of those who imitate them."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Complaint()
    if not isinstance(document, dict):
        return Complaint()
    return complaint_of(document.get("error", document))


def complaint_of(error: Any) -> Complaint:
    """Reads an `error` member: an object with `message`, `type` and `code`, or only a text."""
    if isinstance(error, str):
        return Complaint(error)
    if not isinstance(error, dict):
        return Complaint()
    message = error.get("message", error.get("detail"))
    kind, code = error.get("type"), error.get("code")
    return Complaint(
        message if isinstance(message, str) else "",
        kind if isinstance(kind, str) else "",
        str(code) if isinstance(code, str | int) else "",
    )


class _Document(msgspec.Struct):
    error: Any = None


class Failures:
    """Makes the errors of one provider; nothing that it says holds a secret of the provider's configuration."""

    def __init__(self, provider: str, redactor: Redactor) -> None:
        self._provider = provider
        self._redactor = redactor

    def error(
        self, what: str, subcode: str, *, retryable: bool | None = None, retry_after: float | None = None
    ) -> ProviderError:
        """An error in our own words, which follow the provider's name: "openai …"."""
        can_retry = subcode not in _FINAL if retryable is None else retryable
        return ProviderError(f"{self._provider} {what}", subcode=subcode, retryable=can_retry, retry_after=retry_after)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """An answer that is not 200."""
        complaint = read_complaint(body)
        said = self._quote(complaint)
        wait = retry_after(headers)
        match status:
            case 429:
                spent = complaint.code in _SPENT or complaint.kind in _SPENT
                return self.error(
                    f"limits the rate of requests (HTTP 429){said}",
                    PROVIDER_RATE_LIMITED,
                    retryable=not spent,
                    retry_after=None if spent else wait,
                )
            case 408:
                return self.error(f"gave up waiting for the request (HTTP 408){said}", PROVIDER_TIMEOUT)
            case _ if status in _GATEWAY:
                what = f"cannot be reached behind its gateway (HTTP {status}){said}"
                return self.error(what, PROVIDER_UNREACHABLE, retry_after=wait)
            case _ if status >= 500:
                what = f"is overloaded or failing (HTTP {status}){said}"
                return self.error(what, PROVIDER_OVERLOADED, retry_after=wait)
            case _ if status >= 400:
                return self.error(f"refused the request (HTTP {status}){said}", PROVIDER_REFUSED)
            case _ if status >= 300:
                return self.error(f"redirects elsewhere (HTTP {status}): correct its base_url", PROVIDER_REFUSED)
            case _:
                return self.error(f"answered without an answer (HTTP {status})", PROVIDER_PROTOCOL)

    def in_band(self, error: Any) -> ProviderError:
        """An error in the stream itself, after a status of 200."""
        complaint = complaint_of(error)
        subcode = _NAMED.get(complaint.kind) or _NAMED.get(complaint.code) or _by_number(complaint.code)
        return self.error(f"failed during the answer{self._quote(complaint)}", subcode)

    def document(self, body: bytes) -> ProviderError:
        """A JSON document, with a status of 200, where a stream was asked for."""
        try:
            error = msgspec.json.decode(body, type=_Document).error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            error = None
        if error is not None:
            return self.in_band(error)
        return self.error("answered with a document instead of a stream", PROVIDER_PROTOCOL)

    def clean(self, text: str) -> str:
        """Text from outside, fit for a log."""
        return self._redactor.clean(text[:4000])

    def _quote(self, complaint: Complaint) -> str:
        text = self.clean(complaint.message)
        return f": {text}" if text else ""


def _by_number(code: str) -> str:
    match code:
        case "429":
            return PROVIDER_RATE_LIMITED
        case "400" | "401" | "402" | "403" | "404" | "413" | "422":
            return PROVIDER_REFUSED
        case _:
            return PROVIDER_OVERLOADED


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` (OpenAI's) or `Retry-After`; None when neither says so.

    A date is taken relative to the answer's own `Date`, so that our clock need not agree with the provider's.
    """
    milliseconds = _number(headers.get("Retry-After-Ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("Retry-After", "")
    plain = _number(text)
    if plain is not None:
        return plain
    until = _date(text)
    if until is None:
        return None
    now = _date(headers.get("Date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _number(text: str) -> float | None:
    text = text.strip()
    if not text.isascii() or not text.replace(".", "", 1).isdigit() or len(text) > 15:
        return None
    return float(text)


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
