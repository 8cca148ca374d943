"""What a server answered, as the errors of `tokentape.core.errors`; and the one error that only a client has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tokentape.core.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    ProviderError,
    StoreUnavailable,
    TokentapeError,
    TooLarge,
    TooMany,
    Unauthorized,
)


class Unreachable(TokentapeError):
    """The server could not be reached, or the connection broke before its answer was whole."""

    code = "unreachable"
    status = 503
    retryable = True


_PROBLEM_MEMBERS: Final = frozenset({"type", "title", "status", "detail", "instance", "code", "message", "retryable"})
"""Members of RFC 9457 and of tokentape's errors; all others are the error's own details."""

_BY_STATUS: Final[Mapping[int, type[TokentapeError]]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: Unreachable,
    409: Conflict,
    413: TooLarge,
    429: TooMany,
    502: Unreachable,
    503: StoreUnavailable,
    504: Unreachable,
}
"""For answers without a code: those of a proxy, or of something that is no tokentape server."""


def _tree(root: type[TokentapeError]) -> Iterator[type[TokentapeError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


def error_from(document: Mapping[str, Any], *, status: int) -> TokentapeError:
    """The error that a problem document, or the `error` of a WebSocket answer, stands for.

    The class is chosen by `code`; without a known code, by `status`. Members beyond the standard ones
    become `details`.
    """
    code = str(document.get("code", ""))
    message = str(document.get("detail") or document.get("message") or document.get("title") or "")
    details = {str(name): value for name, value in document.items() if name not in _PROBLEM_MEMBERS}
    message = message or f"The server answered {status} without a reason."
    if code.startswith("provider_"):
        return ProviderError(message, subcode=code, retryable=bool(document.get("retryable")), **details)
    for kind in _tree(TokentapeError):
        if kind.code == code:
            return kind(message, **details)
    return _BY_STATUS.get(status, TokentapeError)(message, **details)
