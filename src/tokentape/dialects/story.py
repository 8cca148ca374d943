"""The story of one run: its events as blocks that open, grow and close, which is how other formats tell an answer.

Events are flat: tokens follow reasoning, a tool call comes in pieces and then whole, a run may start over. This fold
gives each block a number and a beginning and an end, numbers what it tells, and leaves to a dialect only how to spell
each step. Laws (tests/dialects/test_story.py):
- blocks open once, numbered 0, 1, 2…, grow only while open, and close once, all of them before the `Finish`;
- text and reasoning close as soon as anything else is said; tool calls when they are complete;
- a split of the events anywhere, each part merged or not, gives the same blocks and the same numbers;
- after a `Reset` everything starts over from number 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from tokentape.core.events import Event
from tokentape.core.merge import Entry

Kind = Literal["text", "reasoning", "tool"]


class Block(NamedTuple):
    """Part of an answer. `id` and `name` are a tool call's; `pieces` are newest first, each with those before it."""

    number: int
    kind: Kind
    id: str
    name: str
    pieces: Any = None

    @property
    def text(self) -> str:
        """All of it so far: text, reasoning, or a call's arguments as JSON."""
        parts: list[str] = []
        pieces = self.pieces
        while pieces is not None:
            pieces, piece = pieces
            parts.append(piece)
        parts.reverse()
        return "".join(parts)

    def grown(self, piece: str) -> Block:
        return self._replace(pieces=(self.pieces, piece))


class Begin(NamedTuple):
    """The run has started. `at` is milliseconds since the Unix epoch."""

    run: str
    message_id: str
    model: str
    at: int


class Open(NamedTuple):
    """A block begins."""

    block: Block


class Grow(NamedTuple):
    """A block goes on. `merged` says how many events became this one."""

    block: Block
    piece: str
    merged: int


class Close(NamedTuple):
    """A block is complete."""

    block: Block


class Result(NamedTuple):
    """What a tool gave back; `call` is the id of the call."""

    call: str
    output: Any


class Note(NamedTuple):
    """What is no part of the answer: `status`, `metadata`, or an event of the application's own."""

    event: Event


class Reset(NamedTuple):
    """All that was told of the answer so far is void."""

    reason: str


class Failure(NamedTuple):
    """The run has failed; `Finish` follows, with the reason `error`."""

    code: str
    message: str
    retryable: bool


class Finish(NamedTuple):
    """The end of the run, with all that it said. `usage` has input_tokens and output_tokens, where they are known."""

    reason: str
    usage: dict[str, Any]
    blocks: tuple[Block, ...]
    failure: Failure | None


Step = Begin | Open | Grow | Close | Result | Note | Reset | Failure | Finish


class Story(msgspec.Struct, frozen=True, gc=False):
    """What has been told so far. Blocks that are open are in `blocks` too."""

    begin: Begin | None = None
    blocks: tuple[Block, ...] = ()
    open: tuple[int, ...] = ()
    """Numbers of the blocks that are open."""
    failure: Failure | None = None
    finish: Finish | None = None

    def __bool__(self) -> bool:
        """Whether anything was told that a reset would make void."""
        return bool(self.blocks) or self.failure is not None


NOTHING: Final = Story()


class Placed(NamedTuple):
    """A step, the offset of the event that it comes from, and whether it is the last step of that event."""

    offset: int
    step: Step
    last: bool


def tell(story: Story, entries: Sequence[Entry]) -> tuple[list[Placed], Story]:
    """The steps that these events of one run add to the story, and the story after them.

    What comes before a reset in these events is left out, when nothing had been told before: whoever reads it now
    need not hear of it.
    """
    if not story:
        for place in range(len(entries) - 1, -1, -1):
            if entries[place].event.type == "reset":
                begin = [entry for entry in entries[:place] if entry.event.type == "start"]
                entries = [*begin, *entries[place + 1 :]]
                break
    teller = _Teller(story)
    placed: list[Placed] = []
    for entry in entries:
        steps = list(teller.take(entry))
        placed += [Placed(entry.offset, step, step is steps[-1]) for step in steps]
    return placed, teller.story()


class _Teller:
    def __init__(self, story: Story) -> None:
        self._begin = story.begin
        self._blocks = list(story.blocks)
        self._open = list(story.open)
        self._failure = story.failure
        self._finish = story.finish

    def story(self) -> Story:
        return Story(self._begin, tuple(self._blocks), tuple(self._open), self._failure, self._finish)

    def take(self, entry: Entry) -> Iterator[Step]:
        event, data = entry.event, entry.event.data
        if self._finish is not None:
            return
        if self._begin is None:
            yield self._start(event)
            if event.type == "start":
                return
        match event.type:
            case "token" | "reasoning" if isinstance(data, str):
                yield from self._speak("text" if event.type == "token" else "reasoning", data, entry)
            case "tool_call_delta" if isinstance(data, dict) and isinstance(data.get("id"), str):
                yield from self._call(data, _text(data.get("arguments")), entry.count)
            case "tool_call" if isinstance(data, dict) and isinstance(data.get("id"), str):
                yield from self._called(data)
            case "tool_result" if isinstance(data, dict):
                yield from self._close_speech()
                yield Result(str(data.get("id", "")), data.get("output"))
            case "reset":
                yield from self._reset(data)
            case "error" if isinstance(data, dict):
                self._failure = Failure(
                    str(data.get("code", "error")), str(data.get("message", "")), bool(data.get("retryable"))
                )
                yield self._failure
            case "done" if isinstance(data, dict):
                yield from self._done(data)
            case "start" | "usage" | "message":
                pass  # `start` again after a reset; `done` has the usage; a message is no part of this answer
            case _:
                yield Note(event)

    def _start(self, event: Event) -> Begin:
        data = event.data if event.type == "start" and isinstance(event.data, dict) else {}
        run = event.run or ""
        self._begin = Begin(run, str(data.get("message_id") or run), str(data.get("model") or ""), event.at)
        return self._begin

    # Text and reasoning

    def _speak(self, kind: Kind, piece: str, entry: Entry) -> Iterator[Step]:
        speaking = self._speech()
        if speaking is not None and speaking.kind != kind:
            yield self._close(speaking.number)
            speaking = None
        if speaking is None:
            speaking = self._new(kind)
            yield Open(speaking)
        yield self._grow(speaking.number, piece, entry.count)

    def _speech(self) -> Block | None:
        return next((self._blocks[at] for at in self._open if self._blocks[at].kind != "tool"), None)

    def _close_speech(self) -> Iterator[Step]:
        speaking = self._speech()
        if speaking is not None:
            yield self._close(speaking.number)

    # Tool calls

    def _call(self, data: dict[str, Any], piece: str, merged: int) -> Iterator[Step]:
        yield from self._close_speech()
        call = self._calling(data["id"])
        if call is None:
            call = self._new("tool", data["id"], _text(data.get("name")))
            yield Open(call)
        yield self._grow(call.number, piece, merged)

    def _called(self, data: dict[str, Any]) -> Iterator[Step]:
        arguments = data.get("arguments")
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
        call = self._calling(data["id"])
        if call is None:
            if any(block.id == data["id"] for block in self._blocks):
                return  # told before
            yield from self._call({**data, "arguments": text}, text, 1)
            call = self._blocks[-1]
        elif text and not call.text:
            # Called without arguments: there was nothing to say of them until now.
            yield self._grow(call.number, text, 1)
            call = self._blocks[call.number]
        if data.get("name") and not call.name:
            call = self._blocks[call.number] = call._replace(name=str(data["name"]))
        yield self._close(call.number)

    def _calling(self, call: str) -> Block | None:
        return next((self._blocks[at] for at in self._open if self._blocks[at].id == call), None)

    # Blocks

    def _new(self, kind: Kind, call: str = "", name: str = "") -> Block:
        block = Block(len(self._blocks), kind, call, name)
        self._blocks.append(block)
        self._open.append(block.number)
        return block

    def _grow(self, number: int, piece: str, merged: int) -> Grow:
        block = self._blocks[number] = self._blocks[number].grown(piece)
        return Grow(block, piece, merged)

    def _close(self, number: int) -> Close:
        self._open.remove(number)
        return Close(self._blocks[number])

    # Endings

    def _reset(self, data: Any) -> Iterator[Step]:
        if self._blocks or self._failure is not None:
            self._blocks, self._open, self._failure = [], [], None
            yield Reset(str(data.get("reason", "")) if isinstance(data, dict) else "")

    def _done(self, data: dict[str, Any]) -> Iterator[Step]:
        for number in tuple(self._open):
            yield self._close(number)
        usage = data.get("usage")
        self._finish = Finish(
            str(data.get("reason") or "stop"),
            usage if isinstance(usage, dict) else {},
            tuple(self._blocks),
            self._failure,
        )
        yield self._finish


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
