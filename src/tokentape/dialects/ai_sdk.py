"""The UI message stream of the Vercel AI SDK, versions 5, 6 and 7 (wire-formats §3): a run as its chunks.

    start · start-step · text-start · text-delta … text-end · tool-input-start … tool-output-available
      · finish-step · start-step · … · finish-step · finish · [DONE]

A step ends when the results of its tools are there and something is said after them: that is where the SDK parts the
turns of a model. `status` is a transient part `data-status`, `metadata` a part `data-metadata`, and an application's
own event `chat:note` a part `data-chat-note`; `ai-sdk:source-url` and its like are chunks as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tokentape.core.events import Event
from tokentape.core.merge import Entry
from tokentape.core.resume import Ready
from tokentape.dialects.ai_sdk_versions import OWN_PREFIX, V5, V6, V7, Version, passed
from tokentape.dialects.base import Told
from tokentape.dialects.foreign import ForeignSse
from tokentape.dialects.story import (
    NOTHING,
    Begin,
    Block,
    Close,
    Failure,
    Finish,
    Grow,
    Note,
    Open,
    Placed,
    Reset,
    Result,
    Step,
    Story,
    tell,
)

HEADERS: Final[Mapping[str, str]] = {"x-vercel-ai-ui-message-stream": "v1"}
_REASONS: Final[Mapping[str, str]] = {"stop": "stop", "length": "length", "tool_calls": "tool-calls", "error": "error"}
"""Every other end is `other`: that `interrupted` is one, too, only later builds of 7 know."""
_RESTARTED: Final = "The answer was begun again: load it anew."
_INTERRUPTED: Final = "The answer was interrupted: the server that wrote it went away."
_LOST: Final = "The record of this answer ends before the answer does."

_json: Final = msgspec.json.Encoder()


class _State(NamedTuple):
    """What has been told: the story, and where in its steps it is."""

    story: Story = NOTHING
    steps: int = 0
    calls: frozenset[str] = frozenset()
    """All that were told: a result of another one would be an error to the client."""
    waiting: frozenset[str] = frozenset()
    """Calls of this step that have no result yet."""
    answered: bool = False
    """Whether a result came since something was said last."""


_NEW: Final = _State()


class _Telling:
    """Chunks of one stretch of events."""

    def __init__(self, version: Version, state: _State | None) -> None:
        self._version = version
        self._story, self._steps, self._calls, self._waiting, self._answered = _NEW if state is None else state
        self.chunks: list[bytes] = []
        self.over = False
        self._shown = 0

    @property
    def state(self) -> _State:
        return _State(self._story, self._steps, self._calls, self._waiting, self._answered)

    def tell(self, entries: Sequence[Entry]) -> None:
        placed, self._story = tell(self._story, entries)
        for item in placed:
            self._spell(item, self._ends(item, placed))
        if self.over:
            # The rest was spelled for the state alone: the place after it may be asked for.
            del self.chunks[self._shown :]

    @staticmethod
    def _ends(item: Placed, placed: Sequence[Placed]) -> bool:
        """Whether a step comes from the end of the run: what closes there was not complete."""
        return isinstance(placed[-1].step, Finish) and placed[-1].offset == item.offset

    def close(self) -> None:
        """The view ends here."""
        if self._story.finish is None:
            self._put("error", errorText=_LOST)

    def _put(self, kind: str, **members: Any) -> None:
        self.chunks.append(_json.encode({"type": kind, **members}))

    def _spell(self, item: Placed, ends: bool) -> None:  # noqa: FBT001 - of one caller
        match item.step:
            case Begin(message_id=message_id):
                self._put("start", messageId=message_id)
                self._next_step()
            case Open(block):
                self._open(block)
            case Grow(block, piece) if piece:
                if block.kind == "tool":
                    self._put("tool-input-delta", toolCallId=block.id, inputTextDelta=piece)
                else:
                    self._put(f"{block.kind}-delta", id=str(block.number), delta=piece)
            case Close(block):
                if block.kind == "tool":
                    self._called(block, cut=ends)
                else:
                    self._put(f"{block.kind}-end", id=str(block.number))
            case _:
                self._aside(item.step)

    def _aside(self, step: Step) -> None:
        match step:
            case Result(call, output) if call in self._calls:
                self._put("tool-output-available", toolCallId=call, output=output)
                self._waiting -= {call}
                self._answered = True
            case Note(event):
                self.chunks += note(self._version, event)
            case Reset():
                self._reset()
            case Failure(message=message):
                self._put("error", errorText=message)
            case Finish():
                self._finish(step)
            case _:
                pass

    # Steps

    def _next_step(self) -> None:
        self._put("start-step")
        self._steps += 1
        self._answered = False

    def _open(self, block: Block) -> None:
        if self._answered and not self._waiting:
            self._put("finish-step")
            self._next_step()
        if block.kind == "tool":
            self._put("tool-input-start", toolCallId=block.id, toolName=block.name)
            self._calls |= {block.id}
            self._waiting |= {block.id}
        else:
            self._put(f"{block.kind}-start", id=str(block.number))

    def _called(self, block: Block, *, cut: bool) -> None:
        told: dict[str, Any] = {"toolCallId": block.id, "toolName": block.name}
        try:
            arguments = msgspec.json.decode(block.text or "{}")
        except msgspec.DecodeError:
            cut, arguments = True, block.text
        if cut:
            # An `available` one would be carried out.
            self._put("tool-input-error", **told, input=arguments, errorText="The call is not complete.")
            self._waiting -= {block.id}
        else:
            self._put("tool-input-available", **told, input=arguments)

    def _reset(self) -> None:
        if self._version.reset_step and self._steps == 1:
            self._put("reset-step")
        elif not self.over:
            self._put("error", errorText=_RESTARTED)
            self.over = True
            self._shown = len(self.chunks)
        self._steps = 1
        self._calls = self._waiting = frozenset()
        self._answered = False

    def _finish(self, finish: Finish) -> None:
        if finish.failure is None and finish.reason in ("error", "interrupted"):
            self._put("error", errorText=_INTERRUPTED if finish.reason == "interrupted" else "The answer failed.")
        if finish.reason == "stopped":
            self._put("abort", **({"reason": "stopped"} if self._version.abort_reason else {}))
        self._put("finish-step")
        reason = {"finishReason": _REASONS.get(finish.reason, "other")} if self._version.finish_reason else {}
        self._put("finish", **reason)


def note(version: Version, event: Event, *, stored: bool = True) -> list[bytes]:
    """What is no part of the answer, as a part of the message; what is not stored, only for the moment."""
    if event.type.startswith(OWN_PREFIX):
        chunk = passed(version, event.type, event.data)
        return [_json.encode(chunk)] if chunk is not None else []
    chunk = {"type": "data-" + event.type.replace(":", "-"), "data": event.data}
    if event.id is not None:
        chunk["id"] = event.id
    if event.type == "status" or not stored:
        chunk["transient"] = True
    return [_json.encode(chunk)]


class AiSdkSse(ForeignSse):
    """The stream over HTTP, for one version of the SDK."""

    headers = HEADERS

    def __init__(self, name: str, version: Version) -> None:
        self.name = name
        self._version = version

    def encode(
        self, label: str, epoch: str, entries: Sequence[Entry], state: _State | None, *, last: int | None = None
    ) -> Told:
        telling = _Telling(self._version, state)
        telling.tell(entries)
        if last is not None and not telling.over:
            telling.close()
        content = b"".join([b"data: %b\n\n" % chunk for chunk in telling.chunks])
        if last is not None or telling.over:
            content += b"data: [DONE]\n\n"
        return Told(content, telling.state, telling.over)

    def ephemeral(self, label: str, event: Event) -> bytes:
        if event.run is None:
            return b""  # of the channel
        return b"".join([b"data: %b\n\n" % chunk for chunk in note(self._version, event, stored=False)])


class AiSdkChunks:
    """The chunks themselves, for the WebSocket of version 7, which numbers them.

    Event by event, so that a chunk has the same number for everybody and always: also what was taken back later is
    told, and what is not stored is not. A view of it MUST NOT merge.
    """

    name = "ai-sdk-chunks"
    stateful = True
    starts_over = False

    def ready(self, label: str, ready: Ready) -> tuple[bytes, ...]:
        return ()

    def encode(
        self, label: str, epoch: str, entries: Sequence[Entry], state: _State | None, *, last: int | None = None
    ) -> Told:
        telling = _Telling(V7, state)
        for entry in entries:
            telling.tell([entry])
            if telling.over:
                break
        if last is not None and not telling.over:
            telling.close()
        return Told(tuple(telling.chunks), telling.state, telling.over)

    def ephemeral(self, label: str, event: Event) -> tuple[bytes, ...]:
        return ()

    def size(self, content: object) -> int:
        assert isinstance(content, tuple)
        return sum(map(len, content))


v5: Final = AiSdkSse("ai-sdk-v5", V5)
v6: Final = AiSdkSse("ai-sdk-v6", V6)
v7: Final = AiSdkSse("ai-sdk-v7", V7)
newest: Final = AiSdkSse("ai-sdk", V7)
chunks: Final = AiSdkChunks()
BY_VERSION: Final[Mapping[str, AiSdkSse]] = {"5": v5, "6": v6, "7": v7}
