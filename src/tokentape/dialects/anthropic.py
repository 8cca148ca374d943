"""Anthropic's Messages API: a run as its event stream, or as one message.

Source: Anthropic's API reference ("Create a Message", "Streaming messages"), and what its SDKs accept. What the format
cannot say is left out: results of tools (the caller's turn), `status`, `metadata` and an application's own events. A
thinking block has an empty signature: the tape has none, and `anthropic_request` takes such a block back as nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from tokentape.core.merge import Entry
from tokentape.dialects.anthropic_errors import LOST, RESTARTED, FailureDocument, failure_of
from tokentape.dialects.base import Told
from tokentape.dialects.foreign import ForeignSse
from tokentape.dialects.story import (
    NOTHING,
    Begin,
    Block,
    Close,
    Finish,
    Grow,
    Open,
    Reset,
    Step,
    Story,
    tell,
)

ID_PREFIX: Final = "msg_"
"""Before the id of the run in the id of its message."""
STOP_REASONS: Final[Mapping[str, str]] = {"length": "max_tokens", "tool_calls": "tool_use"}
"""Every other answer has come to its end: also one that was stopped, for which the API has no word of its own."""

_json: Final = msgspec.json.Encoder()
_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'


class AnthropicSse(ForeignSse):
    """The event stream. Each event has its `event:` line, without which the SDKs pass it over."""

    name = "anthropic"

    def encode(
        self, label: str, epoch: str, entries: Sequence[Entry], state: Story | None, *, last: int | None = None
    ) -> Told:
        placed, story = tell(NOTHING if state is None else state, entries)
        blocks: list[bytes] = []
        for item in placed:
            if isinstance(item.step, Reset):
                return Told(b"".join(blocks) + _error(RESTARTED), story, over=True)
            blocks += _spell(item.step)
        if last is not None and story.finish is None:
            blocks.append(_error(LOST))
        return Told(b"".join(blocks), story)


def _spell(step: Step) -> Iterator[bytes]:
    match step:
        case Begin():
            yield _event("message_start", message=_head(step))
            yield _PING
        case Open(block):
            yield _event("content_block_start", index=block.number, content_block=_opening(block))
        case Grow(block, piece):
            yield _event("content_block_delta", index=block.number, delta=_delta(block, piece))
        case Close(block):
            if block.kind == "reasoning":
                delta = {"type": "signature_delta", "signature": ""}
                yield _event("content_block_delta", index=block.number, delta=delta)
            yield _event("content_block_stop", index=block.number)
        case Finish():
            yield from _end(step)
        case _:
            pass


def _end(finish: Finish) -> Iterator[bytes]:
    # A failure is told with the end: to a client it is the end.
    broken = breakage(finish)
    if broken is not None:
        yield _error(broken)
        return
    delta = {"stop_reason": STOP_REASONS.get(finish.reason, "end_turn"), "stop_sequence": None}
    yield _event("message_delta", delta=delta, usage=_usage(finish.usage))
    yield _event("message_stop")


def breakage(finish: Finish) -> FailureDocument | None:
    """What went wrong with an answer that has ended; None for one that is as it should be."""
    if finish.failure is not None:
        return failure_of(finish.failure.code, finish.failure.message, retryable=finish.failure.retryable)
    if finish.reason in ("error", "interrupted"):
        message = "The answer was interrupted: the server that wrote it went away."
        return failure_of(finish.reason, message if finish.reason == "interrupted" else "The answer failed.")
    return None


def message(story: Story) -> dict[str, Any]:
    """A whole answer as one message."""
    assert story.begin is not None
    assert story.finish is not None
    finish = story.finish
    return {
        **_head(story.begin),
        "content": [_whole(block) for block in finish.blocks if block.kind == "tool" or block.text],
        "stop_reason": STOP_REASONS.get(finish.reason, "end_turn"),
        "usage": {**_NO_USAGE, **_usage(finish.usage)},
    }


_NO_USAGE: Final = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}


def _head(begin: Begin) -> dict[str, Any]:
    return {
        "id": ID_PREFIX + begin.run,
        "type": "message",
        "role": "assistant",
        "model": begin.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _NO_USAGE,
    }


def _opening(block: Block) -> dict[str, Any]:
    match block.kind:
        case "text":
            return {"type": "text", "text": ""}
        case "reasoning":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool":
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}


def _delta(block: Block, piece: str) -> dict[str, Any]:
    match block.kind:
        case "text":
            return {"type": "text_delta", "text": piece}
        case "reasoning":
            return {"type": "thinking_delta", "thinking": piece}
        case "tool":
            return {"type": "input_json_delta", "partial_json": piece}


def _whole(block: Block) -> dict[str, Any]:
    match block.kind:
        case "text":
            return {"type": "text", "text": block.text}
        case "reasoning":
            return {"type": "thinking", "thinking": block.text, "signature": ""}
        case "tool":
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": _input(block.text)}


def _input(arguments: str) -> Any:
    try:
        return msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return {}  # of a call that was stopped in its middle


def _usage(usage: Mapping[str, Any]) -> dict[str, int]:
    """Counts in the API's words: what was read from its cache is no part of `input_tokens` there."""
    asked, said = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    cached = min(_count(usage.get("cached_input_tokens")), asked)
    counts = {"input_tokens": asked - cached, "output_tokens": said}
    return {**counts, "cache_read_input_tokens": cached} if cached else counts


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _error(failure: FailureDocument) -> bytes:
    return _event("error", error={"type": failure.type, "message": failure.message})


def _event(kind: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _json.encode({"type": kind, **members}))


sse: Final = AnthropicSse()
