"""Anthropic's message stream, read as its "Streaming messages" page says."""

from __future__ import annotations

import json
from typing import Any

from assembled import Assembled, frames


def read(body: bytes) -> Assembled:
    blocks: dict[int, dict[str, Any]] = {}
    open_now: set[int] = set()
    error, ended, begun = None, False, False
    for frame in frames(body):
        event = json.loads(frame.data)
        assert frame.event == event["type"]
        assert not ended, "something follows the end"
        match event["type"]:
            case "message_start":
                assert not begun
                begun = True
            case "content_block_start":
                assert begun
                assert event["index"] == len(blocks)
                blocks[event["index"]] = {**event["content_block"], "said": ""}
                open_now.add(event["index"])
            case "content_block_delta":
                assert event["index"] in open_now
                _grow(blocks[event["index"]], event["delta"])
            case "content_block_stop":
                open_now.remove(event["index"])
            case "message_delta":
                assert not open_now
                assert event["delta"]["stop_reason"]
            case "message_stop":
                ended = True
            case "error":
                error, ended = event["error"]["message"], True
            case kind:
                assert kind == "ping"

    def said(kind: str) -> str:
        return "".join(block["said"] for block in blocks.values() if block["type"] == kind)

    calls = [(block["id"], block["name"], block["said"]) for block in blocks.values() if block["type"] == "tool_use"]
    return Assembled(said("text"), said("thinking"), calls, error, ended)


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match block["type"], delta["type"]:
        case "text", "text_delta":
            block["said"] += delta["text"]
        case "thinking", "thinking_delta":
            block["said"] += delta["thinking"]
        case "thinking", "signature_delta":
            assert delta["signature"] == ""
        case "tool_use", "input_json_delta":
            block["said"] += delta["partial_json"]
        case pair:
            raise AssertionError(pair)
