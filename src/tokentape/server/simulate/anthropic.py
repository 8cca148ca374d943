"""The simulator's side of Anthropic's Messages API; checked with the `anthropic` SDK as its client. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from tokentape.core.errors import BadRequest
from tokentape.providers.base import Generation, Part
from tokentape.providers.simulation import Options
from tokentape.server.simulate.wire import Asked, event, read_messages, read_options

_OTHER_FIELDS: Final = frozenset({"model", "messages", "system", "stream", "simulated"})
_REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_REFUSALS: Final = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "invalid x-api-key: {key}"),
    403: ("permission_error", "The key {key} may not use this resource."),
    404: ("not_found_error", "The model does not exist."),
    413: ("request_too_large", "The request exceeds the maximum size."),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    529: ("overloaded_error", "Overloaded"),
}
_DEFAULT: Final = ("api_error", "Internal server error")
_RELEASED: Final = "1970-01-01T00:00:00Z"
"""The API's own word for an unknown date."""


def read_request(body: Mapping[str, Any], header: str, defaults: Mapping[str, Any]) -> Asked:
    """Understands a request; raises `BadRequest`."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("model: Field required")
    if not isinstance(body.get("max_tokens"), int):
        raise BadRequest("max_tokens: Field required")
    messages = read_messages(body)
    if any(message["role"] not in ("user", "assistant") for message in messages):
        raise BadRequest("messages: the role of a message must be `user` or `assistant`")
    if system := body.get("system"):
        messages = [{"role": "system", "content": system}, *messages]
    name, simulated = read_options(defaults, model, header, body)
    parameters = {field: value for field, value in body.items() if field not in _OTHER_FIELDS and value is not None}
    return Asked(
        generation=Generation(model=name, messages=messages, parameters=parameters, simulated=simulated),
        options=Options.read(simulated),
        stream=body.get("stream") is True,
    )


def refusal(status: int, key: str, message: str = "") -> bytes:
    """The body of an error. Like some real ones, a 401 tells the key that it got."""
    kind, text = _REFUSALS.get(status, _DEFAULT)
    error = {"type": kind, "message": message or text.format(key=key)}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": None})


def models(names: Iterable[str]) -> bytes:
    """The answer to `GET /v1/models`."""
    data = [
        {"type": "model", "id": name, "display_name": name, "created_at": _RELEASED, "lifecycle": "active"}
        for name in names
    ]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return msgspec.json.encode({"data": data, "has_more": False, **ends})


class MessagesWire:
    """One answer (see `wire.Wire`)."""

    def __init__(self, asked: Asked, usage: Mapping[str, int], *, token: str) -> None:
        self._message: dict[str, Any] = {
            "id": f"msg_{token}",
            "type": "message",
            "role": "assistant",
            "model": asked.generation.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _counts(usage["input_tokens"], 1),
        }
        self._index = -1
        self._open = ""
        """What kind of block, or which call, is being written."""

    def begin(self) -> bytes:
        return self._event("message_start", message=self._message) + self._event("ping")

    def say(self, parts: Iterable[Part]) -> bytes:
        return b"".join(map(self._part, parts))

    def oddity(self, fault: str) -> bytes:
        return self._event("ping" if fault == "null-content" else "yet_to_be_invented")

    def fail(self) -> bytes:
        return self._event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def end(self, finish: str, usage: Mapping[str, int], *, mark: bool) -> bytes:
        delta = {"stop_reason": _REASONS[finish], "stop_sequence": None}
        counted = {"output_tokens": usage["output_tokens"]}
        written = self._close() + self._event("message_delta", delta=delta, usage=counted)
        return written + self._event("message_stop") if mark else written

    def document(self, parts: Iterable[Part], finish: str, usage: Mapping[str, int]) -> bytes:
        said = list(parts)
        content: list[dict[str, Any]] = []
        if thought := "".join(part.data for part in said if part.type == "reasoning"):
            content.append({"type": "thinking", "thinking": thought, "signature": "simulated"})
        if text := "".join(part.data for part in said if part.type == "token"):
            content.append({"type": "text", "text": text})
        for call in (part.data for part in said if part.type == "tool_call"):
            arguments = msgspec.json.decode(call["arguments"])
            content.append({"type": "tool_use", "id": _tool_id(call), "name": call["name"], "input": arguments})
        counted = _counts(usage["input_tokens"], usage["output_tokens"])
        return msgspec.json.encode(
            {**self._message, "content": content, "stop_reason": _REASONS[finish], "usage": counted}
        )

    def _part(self, part: Part) -> bytes:
        match part.type:
            case "token":
                block = {"type": "text", "text": ""}
                return self._delta("text", block, {"type": "text_delta", "text": part.data})
            case "reasoning":
                block = {"type": "thinking", "thinking": "", "signature": ""}
                return self._delta("thinking", block, {"type": "thinking_delta", "thinking": part.data})
            case "tool_call_delta":
                identity = _tool_id(part.data)
                call: dict[str, Any] = {
                    "type": "tool_use",
                    "id": identity,
                    "name": part.data.get("name", ""),
                    "input": {},
                }
                delta = {"type": "input_json_delta", "partial_json": part.data["arguments"]}
                return self._delta(identity, call, delta)
            case _:
                return b""

    def _delta(self, kind: str, block: Mapping[str, Any], delta: Mapping[str, Any]) -> bytes:
        written = b""
        if self._open != kind:
            written = self._close()
            self._open = kind
            self._index += 1
            written += self._event("content_block_start", index=self._index, content_block=block)
        return written + self._event("content_block_delta", index=self._index, delta=delta)

    def _close(self) -> bytes:
        if not self._open:
            return b""
        written = b""
        if self._open == "thinking":
            delta = {"type": "signature_delta", "signature": "simulated"}
            written = self._event("content_block_delta", index=self._index, delta=delta)
        self._open = ""
        return written + self._event("content_block_stop", index=self._index)

    def _event(self, kind: str, **fields: Any) -> bytes:
        return event({"type": kind, **fields}, kind)


def _tool_id(call: Mapping[str, Any]) -> str:
    return "toolu_" + str(call["id"]).removeprefix("call_")


def _counts(asked: int, said: int) -> dict[str, int]:
    return {
        "input_tokens": asked,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": said,
    }
