"""The simulator's side of Chat Completions; checked with the `openai` SDK as its client. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from tokentape.core.errors import BadRequest
from tokentape.providers.base import Generation, Part
from tokentape.providers.simulation import Options
from tokentape.server.simulate.wire import Asked, event, read_messages, read_options

_OTHER_FIELDS: Final = frozenset({"model", "messages", "stream", "stream_options", "simulated"})
_REFUSALS: Final = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: {key}."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Access is not allowed for key {key}."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}
_DEFAULT: Final = ("server_error", None, "The server had an error while processing your request.")


def read_request(body: Mapping[str, Any], header: str, defaults: Mapping[str, Any]) -> Asked:
    """Understands a request; raises `BadRequest`."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter")
    messages = read_messages(body)
    name, simulated = read_options(defaults, model, header, body)
    parameters = {field: value for field, value in body.items() if field not in _OTHER_FIELDS and value is not None}
    stream_options = body.get("stream_options") or {}
    return Asked(
        generation=Generation(model=name, messages=messages, parameters=parameters, simulated=simulated),
        options=Options.read(simulated),
        stream=body.get("stream") is True,
        usage=isinstance(stream_options, dict) and stream_options.get("include_usage") is True,
    )


def refusal(status: int, key: str, message: str = "") -> bytes:
    """The body of an error. Like some real ones, a 401 tells the key that it got."""
    kind, code, text = _REFUSALS.get(status, _DEFAULT)
    error = {"message": message or text.format(key=key), "type": kind, "param": None, "code": code}
    return msgspec.json.encode({"error": error})


def models(names: Iterable[str], now: int) -> bytes:
    """The answer to `GET /v1/models`."""
    data = [{"id": name, "object": "model", "created": now, "owned_by": "tokentape"} for name in names]
    return msgspec.json.encode({"object": "list", "data": data})


class ChatWire:
    """One answer (see `wire.Wire`)."""

    def __init__(self, asked: Asked, *, token: str, now: int) -> None:
        self._usage = asked.usage
        self._head = {"id": f"chatcmpl-{token}", "created": now, "model": asked.generation.model}
        self._calls: dict[str, int] = {}

    def begin(self) -> bytes:
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def say(self, parts: Iterable[Part]) -> bytes:
        return b"".join(map(self._part, parts))

    def oddity(self, fault: str) -> bytes:
        if fault == "null-content":
            return self._chunk({"content": None})
        return event({**self._head, "object": "chat.completion.chunk", "choices": []})

    def fail(self) -> bytes:
        return event({"error": {"message": _DEFAULT[2], "type": "server_error", "param": None, "code": None}})

    def end(self, finish: str, usage: Mapping[str, int], *, mark: bool) -> bytes:
        written = self._chunk({}, finish)
        if self._usage:
            head = {**self._head, "object": "chat.completion.chunk"}
            written += event({**head, "choices": [], "usage": _counts(usage)})
        return written + b"data: [DONE]\n\n" if mark else written

    def document(self, parts: Iterable[Part], finish: str, usage: Mapping[str, int]) -> bytes:
        said = list(parts)
        message: dict[str, Any] = {"role": "assistant", "content": _text(said, "token") or None, "refusal": None}
        if thought := _text(said, "reasoning"):
            message["reasoning_content"] = thought
        calls = [part.data for part in said if part.type == "tool_call"]
        if calls:
            message["tool_calls"] = [
                {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
                for c in calls
            ]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return msgspec.json.encode(
            {**self._head, "object": "chat.completion", "choices": [choice], "usage": _counts(usage)}
        )

    def _part(self, part: Part) -> bytes:
        match part.type:
            case "token":
                return self._chunk({"content": part.data})
            case "reasoning":
                return self._chunk({"reasoning_content": part.data})
            case "tool_call_delta":
                return self._call(part.data)
            case _:
                return b""

    def _call(self, data: Mapping[str, Any]) -> bytes:
        written = b""
        index = self._calls.setdefault(data["id"], len(self._calls))
        if "name" in data:
            function = {"name": data["name"], "arguments": ""}
            begun = {"index": index, "id": data["id"], "type": "function", "function": function}
            written = self._chunk({"tool_calls": [begun]})
        return written + self._chunk({"tool_calls": [{"index": index, "function": {"arguments": data["arguments"]}}]})

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        return event({**chunk, "usage": None} if self._usage else chunk)


def _text(parts: Iterable[Part], kind: str) -> str:
    return "".join(part.data for part in parts if part.type == kind)


def _counts(usage: Mapping[str, int]) -> dict[str, Any]:
    asked, said = usage["input_tokens"], usage["output_tokens"]
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.get("reasoning_tokens", 0), "audio_tokens": 0},
    }
