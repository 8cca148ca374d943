"""What happened in a run, and when: a fold of its record, so it is known of every run of the store, by any process."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.errors import CursorGone, InvalidEvent, StreamNotFound
from tokentape.core.events import Event, decode_event
from tokentape.runs import RunInfo
from tokentape.stores.base import Store

MAX_RECORDS: Final = 50_000
"""Looked at for one timeline."""
MAX_MARKS: Final = 500
MAX_TRIES: Final = 100
STALL_MS: Final = 1000
"""Without any event for so long, a run has stalled."""

Kind = Literal["start", "first_token", "stall", "tool", "reset", "resume", "stop", "end"]
Outcome = Literal["running", "done", "failed", "stopped", "interrupted"]
_FIRST: Final = frozenset({"token", "reasoning", "tool_call_delta", "tool_call"})


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an operator looks for. `at` is seconds since the Unix epoch."""

    at: float
    offset: int | None
    kind: Kind
    label: str


class Try(msgspec.Struct, kw_only=True):
    """One request to a provider. Times are seconds since the Unix epoch."""

    provider: str
    model: str
    started_at: float
    first_token_ms: float | None = None
    ended_at: float | None = None
    outcome: Outcome = "running"
    error_code: str | None = None


class Timeline:
    """Takes the events of one run in order."""

    def __init__(self, model: str, provider: str) -> None:
        self.marks: list[Mark] = []
        self.tries: list[Try] = []
        self.whole = True
        """Whether nothing was left out."""
        self._model = model
        self._provider = provider
        self._last = 0

    def apply(self, offset: int, event: Event) -> None:
        """The next event of the run; those of other runs on its channel are not for here."""
        if self._last and event.at - self._last >= STALL_MS and event.type != "done":
            self._mark(self._last, None, "stall", f"{(event.at - self._last) / 1000:.1f} s without an event")
        self._last = event.at or self._last
        data = event.data if isinstance(event.data, dict) else {}
        match event.type:
            case "start":
                self._model, self._provider = _text(data, "model") or self._model, _text(data, "provider")
                self._mark(event.at, offset, "start", f"{self._model} at {self._provider}")
                self._begin(event.at)
            case "reset":
                self._fail(event.at, None, "interrupted")
                self._mark(event.at, offset, "reset", _text(data, "reason"))
                self._begin(event.at)
            case "status" if data.get("state") == "retrying":
                self._fail(event.at, _text(data, "code"))
                pause = data.get("seconds")
                self._begin(event.at + (int(pause * 1000) if isinstance(pause, int | float) else 0))
            case "metadata" if isinstance(data.get("failover"), dict):
                told = data["failover"]
                self._fail(event.at, _text(told, "code") or None)
                self._model, self._provider = _text(told, "model"), _text(told, "provider")
                self._begin(event.at)
            case "tool_call":
                self._first(event.at, offset)
                self._mark(event.at, offset, "tool", _text(data, "name"))
            case "error" if self.tries:
                self.tries[-1].error_code = _text(data, "code") or None
            case "done":
                self._end(offset, event.at, data)
            case kind if kind in _FIRST:
                self._first(event.at, offset)

    def _begin(self, at: int) -> None:
        if len(self.tries) < MAX_TRIES:
            self.tries.append(Try(provider=self._provider, model=self._model, started_at=at / 1000))
        else:
            self.whole = False

    def _fail(self, at: int, code: str | None, outcome: Outcome = "failed") -> None:
        if self.tries and self.tries[-1].ended_at is None:
            attempt = self.tries[-1]
            attempt.ended_at, attempt.outcome, attempt.error_code = at / 1000, outcome, code

    def _first(self, at: int, offset: int) -> None:
        if self.tries and self.tries[-1].first_token_ms is None and self.tries[-1].ended_at is None:
            waited = max(0.0, at - self.tries[-1].started_at * 1000)
            self.tries[-1].first_token_ms = round(waited, 3)
            self._mark(at, offset, "first_token", f"after {waited:.0f} ms")

    def _end(self, offset: int, at: int, data: dict[str, Any]) -> None:
        reason = _text(data, "reason")
        if reason == "stopped":
            self._mark(at, offset, "stop", _text(data, "detail"))
        self._mark(at, offset, "end", reason)
        outcomes: dict[str, Outcome] = {"stopped": "stopped", "interrupted": "interrupted", "error": "failed"}
        code = self.tries[-1].error_code if self.tries else None
        self._fail(at, code, outcomes.get(reason, "done"))

    def _mark(self, at: int, offset: int | None, kind: Kind, label: str) -> None:
        # The end has its place however much came before it.
        if len(self.marks) < MAX_MARKS or kind in ("stop", "end"):
            self.marks.append(Mark(at=at / 1000, offset=offset, kind=kind, label=label[:200]))
        else:
            self.whole = False


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


async def read_timeline(store: Store, info: RunInfo) -> Timeline:
    """What the store has of a run; of one whose stream has gone, nothing."""
    timeline = Timeline(info.model, info.provider)
    begin = Cursor.parse(info.cursor) if info.cursor else Cursor("", 0)
    end = Cursor.parse(info.end) if info.end else None
    after, left = begin.offset, MAX_RECORDS
    while left > 0:
        try:
            page = await store.read(info.stream, after, max_records=min(left, 10_000))
        except CursorGone:
            # Its beginning was trimmed: from the oldest that there is.
            timeline.whole = False
            after = max(after, (await store.info(info.stream)).first - 1)
            left -= 1
            continue
        except StreamNotFound:
            timeline.whole = False
            break
        if begin.epoch and page.epoch != begin.epoch:
            timeline.whole = False
            break
        for after, record in page.records:
            if end is not None and after > end.offset:
                break
            try:
                event = decode_event(record)
            except InvalidEvent:
                continue
            if event.run == info.id:
                timeline.apply(after, event)
        left -= len(page.records)
        if not page.records or after >= page.last or (end is not None and after >= end.offset):
            return timeline
    timeline.whole = False
    return timeline
