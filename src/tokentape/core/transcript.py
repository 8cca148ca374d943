"""Folds events into whole messages: what was said, without the steps in which it came.

The same fold serves history, interrupt-and-replace and comparisons in tests: two watchers have seen
the same when their transcripts are equal.

What a `chat:rewind` takes back is no part of it any more: the messages that began at its `from` or after it. That is
where a message begins, or 0, and no merged event goes on across either, so merging changes nothing here too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tokentape.core.events import Event

REWIND: Final = "chat:rewind"
"""The type of an event that takes back what was said."""


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A whole message. For a run's answer `state` is `running` or the reason of its `done`."""

    id: str | None
    role: str
    content: Any = ""
    run: str | None = None
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = []
    tool_results: list[dict[str, Any]] = []
    error: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    state: str | None = None
    first: int = 0
    """Offset of its first event, and of its last."""
    last: int = 0


class Transcript:
    """The messages of a stream, in the order in which they began."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._runs: dict[str, _Answer] = {}
        """Also of answers that were taken back: whatever more comes of them is void too."""

    def apply(self, event: Event, offset: int = 0) -> None:
        """Takes the next event; types that carry no content are passed over."""
        if event.run is not None and event.type != "message":
            answer = self._runs.get(event.run)
            if answer is None:
                answer = self._runs[event.run] = _Answer(event.run, offset)
                self._messages.append(answer.message)
            answer.apply(event, offset)
        elif event.type == "message" and isinstance(event.data, dict):
            self._messages.append(
                Message(
                    id=event.data.get("id", event.id),
                    role=str(event.data.get("role", "user")),
                    content=event.data.get("content", ""),
                    run=event.run,
                    first=offset,
                    last=offset,
                )
            )
        elif event.type == REWIND and offset > 0:
            self.take_back(rewound(event))

    def apply_all(self, events: Iterable[tuple[int, Event]]) -> None:
        for offset, event in events:
            self.apply(event, offset)

    def take_back(self, from_: float | None) -> None:
        """Drops the messages so far that began at this offset or after it; without one, none."""
        if from_ is not None:
            self._messages = [message for message in self._messages if message.first < from_]

    def messages(self) -> list[Message]:
        """What has been said so far, and was not taken back."""
        for answer in self._runs.values():
            answer.settle()
        return self._messages

    def text(self, run: str) -> str:
        """The text of one run's answer so far."""
        answer = self._runs.get(run)
        return "".join(answer.text) if answer is not None else ""


def rewound(event: Event) -> float | None:
    """From which offset on a rewind takes back; None when its data, which anybody may publish, does not say so."""
    from_ = event.data.get("from") if isinstance(event.data, dict) else None
    return from_ if isinstance(from_, int | float) and not isinstance(from_, bool) else None


class _Answer:
    def __init__(self, run: str, offset: int) -> None:
        self.message = Message(id=None, role="assistant", run=run, state="running", first=offset)
        self._clear()

    def _clear(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[str, dict[str, Any]] = {}
        self.results: list[dict[str, Any]] = []

    def apply(self, event: Event, offset: int) -> None:
        data = event.data
        self.message.last = offset
        match event.type:
            case "start":
                self.message.id = data.get("message_id")
            case "token":
                self.text.append(data)
            case "reasoning":
                self.reasoning.append(data)
            case "tool_call_delta":
                call = self.calls.setdefault(data["id"], {"id": data["id"], "name": data.get("name"), "arguments": ""})
                call["arguments"] += data.get("arguments", "")
            case "tool_call":
                self.calls[data["id"]] = data
            case "tool_result":
                self.results.append(data)
            case "reset":
                self._clear()
            case "error":
                self.message.error = data
            case "done":
                self.message.state = data.get("reason")
                self.message.usage = data.get("usage")

    def settle(self) -> None:
        self.message.content = "".join(self.text)
        self.message.reasoning = "".join(self.reasoning)
        self.message.tool_calls = list(self.calls.values())
        self.message.tool_results = self.results
