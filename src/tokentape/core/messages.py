"""The messages of the native WebSocket protocol, `tokentape.v1`: JSON text, one object each.

Up come requests, told apart by `op`; each bears an `id`, and is answered once, by `ack` or `error` with that
id. Down come also the events of the subscriptions: `ready`, `event`, `end`. What a request's strings mean
(names of streams, positions, types of events) is for whoever carries it out, as with HTTP.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from tokentape.core.cursor import MAX_OFFSET
from tokentape.core.errors import BadRequest, ProtocolError, TokentapeError, TooLarge

SUBPROTOCOL: Final = "tokentape.v1"
MAX_MESSAGE: Final = 1_048_576
"""Bytes of one request."""

RequestId = Annotated[str, msgspec.Meta(max_length=64)] | Annotated[int, msgspec.Meta(ge=-MAX_OFFSET, le=MAX_OFFSET)]
"""The client's own name for a request; integers as far as JavaScript holds them exactly."""


class _Tagged(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag=str.lower):
    id: RequestId


class Subscribe(_Tagged, frozen=True, kw_only=True):
    """Watch a stream; acknowledged with how the view begins. `position` is `from` on the wire."""

    stream: str
    position: str | None = msgspec.field(name="from", default=None)
    """`start`, `now`, `snapshot` or a cursor; without it a run from its start, a channel from now, as over SSE."""
    merge: bool = True


class Unsubscribe(_Tagged, frozen=True, kw_only=True):
    stream: str


class Publish(_Tagged, frozen=True, kw_only=True):
    """Record one event on a channel, or with `persist` false only show it. `event_id` makes it idempotent."""

    stream: str
    type: str
    data: Any
    event_id: str | None = None
    persist: bool = True


class Start(_Tagged, frozen=True, kw_only=True):
    """Start a run; `request` is the body of `POST /v1/runs`."""

    request: dict[str, Any]


class Stop(_Tagged, frozen=True, kw_only=True):
    run: str
    reason: str | None = None


class Presence(_Tagged, frozen=True, kw_only=True):
    stream: str
    action: Literal["track", "update", "untrack", "list"]
    member: str | None = None
    data: Any = None


class History(_Tagged, frozen=True, kw_only=True):
    """Read the past of a stream; `before` and `after` are cursors, exclusive."""

    stream: str
    before: str | None = None
    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    order: Literal["newest", "oldest"] = "newest"
    view: Literal["events", "messages"] = "events"


class Auth(_Tagged, frozen=True, kw_only=True):
    """Go on with another token, before the old one expires."""

    token: str


class Ping(_Tagged, frozen=True, kw_only=True):
    pass


Request = Subscribe | Unsubscribe | Publish | Start | Stop | Presence | History | Auth | Ping


class _Head(msgspec.Struct, frozen=True):
    op: Any = None
    id: Any = None


OPERATIONS: Final = tuple(kind.__name__.lower() for kind in get_args(Request))
"""Every `op` that may come up."""

_requests: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)
_heads: Final = msgspec.json.Decoder(_Head)
_json: Final = msgspec.json.Encoder()
_MAX_ECHO: Final = 200
"""Characters of a refusal that may come from the message: enough to see the fault, too few to be abused."""


def decode_request(message: str | bytes, *, max_bytes: int = MAX_MESSAGE) -> Request:
    """Reads one request.

    Raises `TooLarge` over `max_bytes`; `ProtocolError` for what is no request at all (not UTF-8, not JSON,
    too deeply nested, no valid `id`, an unknown `op`), and `BadRequest` for one whose fields are wrong, with
    the path of the field. `request_id` of the error is the request's id, where that could be read.
    """
    text = _utf8(message, max_bytes)
    try:
        return _requests.decode(text)
    except msgspec.ValidationError as error:
        raise _refusal(text, str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(f"This message is not JSON: {error}.") from None


def request_id(fault: TokentapeError) -> RequestId | None:
    """The id of the request that `decode_request` refused with this error, where it could be read."""
    return fault.details.get("request")


def ack(request: RequestId, data: dict[str, Any]) -> bytes:
    """The answer to a request that was carried out; records go into `data` as `msgspec.Raw`, not encoded again."""
    return _json.encode({"op": "ack", "id": request, "data": data})


def error(request: RequestId | None, fault: TokentapeError) -> bytes:
    """The answer to a request that was refused, or to a message that is none (without an id)."""
    body = fault.as_dict()
    body.pop("request", None)  # it is the `id` of this very message
    return _json.encode({"op": "error", "id": request, "error": body})


def event_message(stream: str, cursor: str | None, record: bytes) -> bytes:
    """An event of a subscription: the record as it is stored; without a cursor when it is not stored."""
    if cursor is None:
        return b'{"op":"event","stream":%b,"event":%b}' % (_json.encode(stream), record)
    return b'{"op":"event","stream":%b,"cursor":%b,"event":%b}' % (_json.encode(stream), _json.encode(cursor), record)


def ready_message(stream: str, data: dict[str, Any]) -> bytes:
    """How a view begins, or that it starts over in mid-subscription; `data` is `Ready.as_dict()`."""
    return _json.encode({"op": "ready", "stream": stream, "data": data})


def end_message(stream: str, cursor: str) -> bytes:
    """A view has come to its end, and with it the subscription: everything up to `cursor` was sent."""
    return _json.encode({"op": "end", "stream": stream, "cursor": cursor})


def _utf8(message: str | bytes, max_bytes: int) -> bytes:
    # A character has at least one byte, so this bounds the work that comes next.
    if len(message) <= max_bytes:
        try:
            text = message.encode() if isinstance(message, str) else str(message, "utf-8").encode()
        except (UnicodeEncodeError, UnicodeDecodeError) as error:
            raise ProtocolError(f"This message is not UTF-8: {error.reason}.") from None
        if len(text) <= max_bytes:
            return text
    raise TooLarge(f"This message has more than {max_bytes} bytes.")


def _refusal(text: bytes, reason: str) -> BadRequest:
    reason = reason[:_MAX_ECHO]
    try:
        head = _heads.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return ProtocolError(f"This message is not a request: {reason}.")
    details = _read_id(head.id)
    if not isinstance(head.op, str):
        return ProtocolError(f"This message is not a request: {reason}.", **details)
    if head.op not in OPERATIONS:
        operations = ", ".join(OPERATIONS)
        return ProtocolError(f"{head.op[:40]!r} is not an operation. `op` is one of {operations}.", **details)
    if not details:
        return ProtocolError(f"This {head.op} request cannot be answered: {reason}.")
    return BadRequest(f"This {head.op} request is wrong: {reason}.", **details)


def _read_id(value: Any) -> dict[str, RequestId]:
    try:
        return {"request": msgspec.convert(value, RequestId)}
    except msgspec.ValidationError:
        return {}
