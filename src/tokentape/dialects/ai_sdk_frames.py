"""The frames of the AI SDK's `WebSocketChatTransport` (version 7): JSON text, each with a `type` and a `requestId`.

Up come `send`, `resume` and `abort`; down go `start`, `chunk`, `end`, `error` and `no-active`. Source: the transport
itself, `ui/websocket-chat-transport.ts` of ai 7.0.173. It ends the whole connection at a frame that it does not know,
and at a chunk whose `sequence` is not one more than the last; answers to requests that it has given up it passes over.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from tokentape.core.errors import ProtocolError, TooLarge

MAX_FRAME: Final = 1_048_576
"""Bytes of one request: the whole chat comes with each."""
MAX_SEQUENCE: Final = 2**53 - 1

RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

_json: Final = msgspec.json.Encoder()


class _Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=str.lower):
    request: RequestId = msgspec.field(name="requestId")


class Send(_Frame, frozen=True, kw_only=True):
    """Answer this chat; `body` is what a transport adds for the application."""

    id: str
    messages: list[dict[str, Any]]
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    message: str | None = msgspec.field(name="messageId", default=None)
    headers: dict[str, str] = {}
    body: dict[str, Any] = {}

    def as_body(self) -> dict[str, Any]:
        """The same as it would come over HTTP."""
        chat = {"id": self.id, "messages": self.messages, "trigger": self.trigger, "messageId": self.message}
        return {**self.body, **chat}


class Resume(_Frame, frozen=True, kw_only=True):
    """Tell the answer to this chat, from its beginning or from after a chunk."""

    id: str
    last: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQUENCE)] | None = msgspec.field(name="lastSequence", default=None)
    headers: dict[str, str] = {}


class Abort(_Frame, frozen=True, kw_only=True):
    """Cancel an earlier request."""


Frame = Send | Resume | Abort
_decoder: Final = msgspec.json.Decoder[Frame](Frame)


def decode(text: str) -> Frame:
    """Reads a frame of a client; raises `ProtocolError`, and `TooLarge`."""
    if len(text) > MAX_FRAME:
        raise TooLarge(f"A frame has {MAX_FRAME} bytes at most.")
    try:
        frame: Frame = _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(f"This is no frame of a chat: {str(error)[:200]}") from None
    return frame


def start(request: str) -> bytes:
    """A `resume` has found something."""
    return _told("start", request)


def end(request: str) -> bytes:
    """There are no more chunks."""
    return _told("end", request)


def no_active(request: str) -> bytes:
    """A `resume` has found nothing."""
    return _told("no-active", request)


def error(request: str, message: str) -> bytes:
    """The request has failed, and its stream ends with this."""
    return _json.encode({"type": "error", "requestId": request, "errorText": message})


def chunk_head(request: str) -> bytes:
    """What each chunk of a request begins with; see `chunk`."""
    return b'{"type":"chunk","requestId":%b,"sequence":' % _json.encode(request)


def chunk(head: bytes, sequence: int, content: bytes) -> bytes:
    """One chunk, as it was encoded for all."""
    return b'%b%d,"chunk":%b}' % (head, sequence, content)


def _told(kind: str, request: str) -> bytes:
    return _json.encode({"type": kind, "requestId": request})
