"""AG-UI 1.0 as its client verifies and applies it (`@ag-ui/client` 1.0.0, verify.ts and default.ts)."""

from __future__ import annotations

import json
from typing import Any

from assembled import Assembled, frames

STARTS = {
    "TEXT_MESSAGE_START": "text",
    "REASONING_START": "span",
    "REASONING_MESSAGE_START": "reasoning",
    "TOOL_CALL_START": "tool",
}
PIECES = {"TEXT_MESSAGE_CONTENT": "text", "REASONING_MESSAGE_CONTENT": "reasoning", "TOOL_CALL_ARGS": "tool"}
ENDS = {
    "TEXT_MESSAGE_END": "text",
    "REASONING_END": "span",
    "REASONING_MESSAGE_END": "reasoning",
    "TOOL_CALL_END": "tool",
}


class Agent:
    """What `HttpAgent` has; it raises AssertionError where that one errors."""

    def __init__(self) -> None:
        self.open: set[tuple[str, str]] = set()
        self.said: dict[tuple[str, str], str] = {}
        self.names: dict[str, str] = {}
        self.parents: dict[str, str] = {}
        self.results: dict[str, str] = {}
        self.customs: list[tuple[str, Any]] = []
        self.started = False
        self.outcome: str | None = None
        self.pending: list[str] = []
        self.error: str | None = None

    def take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        assert self.outcome is None, f"{kind} after the end"
        assert self.error is None, f"{kind} after RUN_ERROR"
        assert self.started or kind in ("RUN_STARTED", "RUN_ERROR"), f"{kind} comes first"
        identity = event.get("messageId") or event.get("toolCallId")
        if kind == "RUN_STARTED":
            assert not self.started
            assert event["threadId"]
            assert event["runId"]
            self.started = True
        elif kind in STARTS:
            key = (STARTS[kind], str(identity))
            assert key not in self.open, f"{kind} twice"
            self.open.add(key)
            self.said.setdefault(key, "")
            if kind == "TOOL_CALL_START":
                self.names[event["toolCallId"]] = event["toolCallName"]
                self.parents[event["toolCallId"]] = event["parentMessageId"]
        elif kind in PIECES:
            assert event["delta"]
            key = (PIECES[kind], str(identity))
            assert key in self.open, f"{kind} of what is not open"
            self.said[key] += event["delta"]
        elif kind in ENDS:
            self.open.remove((ENDS[kind], str(identity)))
        elif kind == "TOOL_CALL_RESULT":
            self.results[event["toolCallId"]] = event["content"]
        elif kind == "CUSTOM":
            self.customs.append((event["name"], event["value"]))
        elif kind == "RUN_FINISHED":
            assert not self.open, f"RUN_FINISHED while {self.open} are open"
            self.outcome = event["outcome"]["type"]
            self.pending = event["outcome"].get("pendingToolCallIds", [])
        elif kind == "RUN_ERROR":
            self.error = event["message"]
        else:
            raise AssertionError(f"{kind} is unknown")

    def texts(self, kind: str) -> str:
        return "".join(text for (of, _), text in self.said.items() if of == kind)


def ag_ui(body: bytes) -> Assembled:
    agent = Agent()
    for frame in frames(body):
        agent.take(json.loads(frame.data))
    calls = [(call, agent.names[call], agent.said["tool", call]) for call in agent.names]
    ended = agent.outcome is not None or agent.error is not None
    return Assembled(agent.texts("text"), agent.texts("reasoning"), calls, agent.error, ended)
