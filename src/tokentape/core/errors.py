"""The one error tree of tokentape; each class fixes its code, HTTP status and whether a retry can help.

    TokentapeError
    ├── BadRequest                  400 bad_request
    │   ├── InvalidCursor           400 invalid_cursor
    │   ├── InvalidEvent            400 invalid_event
    │   ├── InvalidName             400 invalid_name
    │   └── ProtocolError           400 protocol_error      bytes that are not SSE, WebSocket or JSON as they should be
    ├── TooLarge                    413 too_large
    ├── Unauthorized                401 unauthorized
    ├── Forbidden                   403 forbidden
    │   └── StaleProducer           403 stale_producer      a producer's epoch is older than the one in force
    ├── NotFound                    404 not_found
    │   ├── StreamNotFound          404 stream_not_found
    │   ├── RunNotFound             404 run_not_found
    │   ├── ModelNotFound           404 model_not_found
    │   └── AdminOff                404 admin_off           the admin API is not on
    ├── Conflict                    409 conflict
    │   ├── StreamExists            409 stream_exists       it exists with another configuration
    │   ├── StreamClosed            409 stream_closed
    │   ├── SequenceConflict        409 sequence_conflict   a gap in a producer's, or a step back in a writer's sequence
    │   ├── Fenced                  409 fenced              the lease was lost: another writer owns the stream
    │   ├── RunConflict             409 run_conflict        an idempotency key or a replacement used twice, differently
    │   └── CrowdBusy               409 crowd_busy          another crowd is still watching
    ├── CursorGone                  410 gone                a cursor that can no longer be served exactly
    ├── TooMany                     429 too_many            a limit of this server, retry later
    ├── ProviderError               502 provider_error      the model's side failed (subcodes in providers/base.py)
    ├── StoreUnavailable            503 store_unavailable   the store cannot be reached or cannot write now
    │   └── StoreFull               507 store_full
    ├── ShuttingDown                503 shutting_down
    └── SetupError                  500 setup_error         cannot work as configured; the CLI exits 2

A message says what was wrong, with the value, and what to do. It is safe to show to the caller:
secrets, paths and tracebacks belong in the log.
"""

from __future__ import annotations

from typing import Any, ClassVar


class TokentapeError(Exception):
    """Something went wrong in a way that has a stable code."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def as_dict(self) -> dict[str, Any]:
        """The error as the `data` of an `error` event or the `error` of a WebSocket answer."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable, **self.details}


class BadRequest(TokentapeError):
    code = "bad_request"
    status = 400


class InvalidCursor(BadRequest):
    code = "invalid_cursor"


class InvalidEvent(BadRequest):
    code = "invalid_event"


class InvalidName(BadRequest):
    code = "invalid_name"


class ProtocolError(BadRequest):
    code = "protocol_error"


class TooLarge(TokentapeError):
    code = "too_large"
    status = 413


class Unauthorized(TokentapeError):
    code = "unauthorized"
    status = 401


class Forbidden(TokentapeError):
    code = "forbidden"
    status = 403


class StaleProducer(Forbidden):
    """Details: `epoch`, the producer epoch in force."""

    code = "stale_producer"


class NotFound(TokentapeError):
    code = "not_found"
    status = 404


class StreamNotFound(NotFound):
    code = "stream_not_found"


class RunNotFound(NotFound):
    code = "run_not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class AdminOff(NotFound):
    code = "admin_off"


class Conflict(TokentapeError):
    code = "conflict"
    status = 409


class StreamExists(Conflict):
    code = "stream_exists"


class StreamClosed(Conflict):
    """Details: `last`, the final offset."""

    code = "stream_closed"


class SequenceConflict(Conflict):
    """Details: `expected` and `received` for a producer's sequence; `epoch`, the one in force before a new one."""

    code = "sequence_conflict"


class Fenced(Conflict):
    code = "fenced"


class RunConflict(Conflict):
    code = "run_conflict"


class CrowdBusy(Conflict):
    code = "crowd_busy"


class CursorGone(TokentapeError):
    """Details: `reason`, one of `epoch`, `future`, `trimmed`, `deleted`."""

    code = "gone"
    status = 410


class TooMany(TokentapeError):
    code = "too_many"
    status = 429
    retryable = True


class ProviderError(TokentapeError):
    """The model's side failed. `subcode` names how; `retry_after` is in seconds, when the provider said so."""

    code = "provider_error"
    status = 502

    def __init__(
        self,
        message: str,
        *,
        subcode: str = "provider_error",
        retryable: bool = False,
        retry_after: float | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.subcode = subcode
        self.can_retry = retryable
        self.retry_after = retry_after

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.subcode, "message": self.message, "retryable": self.can_retry, **self.details}


class StoreUnavailable(TokentapeError):
    code = "store_unavailable"
    status = 503
    retryable = True


class StoreFull(StoreUnavailable):
    code = "store_full"
    status = 507


class ShuttingDown(TokentapeError):
    code = "shutting_down"
    status = 503
    retryable = True


class SetupError(TokentapeError):
    code = "setup_error"
