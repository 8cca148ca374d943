"""The UI message stream of the AI SDK, read as its client does: parts of a message, in steps."""

from __future__ import annotations

import json
from typing import Any

from assembled import Assembled, frames


class _Message:
    def __init__(self) -> None:
        self.parts: list[dict[str, Any]] = []
        self.active: dict[str, dict[str, Any]] = {}
        self.error: str | None = None

    def take(self, chunk: dict[str, Any]) -> None:
        kind = chunk["type"]
        match kind:
            case "start" | "abort" | "finish-step" | "finish":
                pass
            case "start-step":
                self.parts.append({"type": kind})
            case "text-start" | "reasoning-start":
                self._add(chunk["id"], {"type": kind.removesuffix("-start"), "text": ""})
            case "text-delta" | "reasoning-delta":
                self.active[chunk["id"]]["text"] += chunk["delta"]
            case "text-end" | "reasoning-end":
                del self.active[chunk["id"]]
            case "tool-input-start":
                call = {"type": "tool", "id": chunk["toolCallId"], "name": chunk["toolName"], "text": ""}
                self._add(chunk["toolCallId"], call)
            case "tool-input-delta":
                self.active[chunk["toolCallId"]]["text"] += chunk["inputTextDelta"]
            case "tool-input-available" | "tool-input-error":
                self.active[chunk["toolCallId"]]["input"] = chunk["input"]
            case "tool-output-available":
                assert chunk["toolCallId"] in self.active, "an unknown call is fatal"
            case "error":
                self.error = self.error or chunk["errorText"]
            case "reset-step":
                while self.parts[-1]["type"] != "start-step":
                    self.parts.pop()
                self.active.clear()
            case _:
                assert kind.startswith("data-"), kind

    def _add(self, name: str, part: dict[str, Any]) -> None:
        assert name not in self.active
        self.active[name] = part
        self.parts.append(part)


def read(body: bytes) -> Assembled:
    message, ended = _Message(), False
    for frame in frames(body):
        assert frame.event == "message"
        if frame.data == "[DONE]":
            ended = True
        else:
            assert not ended, "something follows the end"
            message.take(json.loads(frame.data))

    def said(kind: str) -> str:
        return "".join(part["text"] for part in message.parts if part["type"] == kind)

    calls = [(part["id"], part["name"], part["text"]) for part in message.parts if part["type"] == "tool"]
    return Assembled(said("text"), said("reasoning"), calls, message.error, ended)
