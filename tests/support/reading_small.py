"""The small conventions, as the front ends read them that use them (wire-formats §2)."""

from __future__ import annotations

import json

from assembled import Assembled, frames


def text(body: bytes) -> Assembled:
    said, error, ended = "", None, False
    for frame in frames(body):
        match frame.event:
            case "done":
                ended = True
            case "error":
                error, ended = frame.data, True
            case _:
                said += frame.data
    return Assembled(said, error=error, ended=ended)


def content(body: bytes) -> Assembled:
    said, error, ended = "", None, False
    for frame in frames(body):
        event = json.loads(frame.data)
        match event["type"]:
            case "content":
                said += event["delta"]
            case "finish":
                assert event.keys() == {"type", "reason", "tokens"}
                ended = True
            case "error":
                error, ended = event["message"], True
    return Assembled(said, error=error, ended=ended)


def chunk(body: bytes) -> Assembled:
    said, error, ended = "", None, False
    for frame in frames(body):
        event = json.loads(frame.data)
        match event["type"]:
            case "chunk":
                said += event["content"]
            case "done":
                ended = True
            case "error":
                error, ended = event["message"], True
    return Assembled(said, error=error, ended=ended)


def channel(body: bytes) -> Assembled:
    said, thought, error, ended = "", "", None, False
    calls: list[tuple[str, str, str]] = []
    for frame in frames(body):
        data = json.loads(frame.data)
        match frame.event:
            case "ai:token":
                said += data["token"]
            case "ai:reasoning":
                thought += data["token"]
            case "ai:tool_call":
                calls.append((data["id"], data["name"], data["arguments"]))
            case "ai:reset":
                said, thought, error, calls = "", "", None, []
            case "ai:error":
                error = data["message"]
            case "ai:done":
                ended = True
    return Assembled(said, thought, calls, error, ended)
