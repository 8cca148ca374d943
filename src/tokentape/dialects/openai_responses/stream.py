"""A run as the events of a response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokentape.core.merge import Entry
from tokentape.dialects.base import Told as Encoded
from tokentape.dialects.foreign import ForeignSse
from tokentape.dialects.openai_errors import INTERRUPTED, RESTARTED, failure_object, failure_of
from tokentape.dialects.openai_responses.objects import (
    NO_ECHO,
    Echo,
    cut_status,
    item_id,
    item_of,
    part_of,
    response_object,
)
from tokentape.dialects.openai_responses.telling import NOTHING_TOLD, Numbered, Told, take
from tokentape.dialects.story import NOTHING, Begin, Block, Close, Failure, Finish, Grow, Open, Reset

_json: Final = msgspec.json.Encoder()
_TERMINAL: Final = {"completed": "response.completed", "failed": "response.failed"}
"""The event of each status at the end; of the others, `response.incomplete`: the API has none for a cancellation."""


class ResponsesSse(ForeignSse):
    """Events with an `event:` line and a `sequence_number`, and no `[DONE]`: the last one is terminal by its type.

    `after` is for a client that was cut among the events that one of ours became: it has those up to this number.
    """

    name = "openai-responses"

    def __init__(self, echo: Echo = NO_ECHO, *, after: int = -1) -> None:
        self._echo = echo
        self._after = after
        self._identity = (_json.encode(echo), after)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResponsesSse) and other._identity == self._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def encode(
        self,
        label: str,
        epoch: str,
        entries: Sequence[Entry],
        state: Told | None,
        *,
        last: int | None = None,
    ) -> Encoded:
        before = state or NOTHING_TOLD
        steps, told = take(before, entries)
        events = _Events(told, self._echo, self._after)
        for place, numbered in enumerate(steps):
            if not isinstance(numbered.step, Reset):
                events.spell(numbered)
            elif before.story:
                return Encoded(events.failure(numbered.number, RESTARTED), told, over=True)
            else:
                # Nobody who reads this has seen what is void; how it began is not.
                events = _Events(told, self._echo, self._after)
                for begun in steps[:place]:
                    if isinstance(begun.step, Begin):
                        events.spell(begun)
        if last is not None and told.story.finish is None:
            return Encoded(b"".join(events.blocks) + events.failure(told.number, INTERRUPTED), told)
        return Encoded(b"".join(events.blocks), told)


class _Events:
    """Spells steps as events, into `blocks`."""

    def __init__(self, told: Told, echo: Echo, after: int) -> None:
        self.blocks: list[bytes] = []
        self._told = told
        self._echo = echo
        self._after = after
        self._run = told.story.begin.run if told.story.begin is not None else ""

    def spell(self, numbered: Numbered) -> None:
        number, step, cut = numbered
        match step:
            case Begin():
                self._begin(number)
            case Open(block):
                self._open(number, block)
            case Grow(block, piece):
                self._grow(number, block, piece)
            case Close(block):
                self._close(number, block, cut_status(self._told.story.finish) if cut else "completed")
            case Finish():
                self._finish(number, step)
            case _:
                pass  # a result of a tool or a note says nothing in this format

    def failure(self, number: int, failure: Failure) -> bytes:
        """The end of a view that failed: for who reads the response, and for SDKs, which raise the second one."""
        # Without the output: it is void, or told in full already.
        told = self._told._replace(story=msgspec.structs.replace(self._told.story, blocks=(), open=(), finish=None))
        told_before, self.blocks = self.blocks, []
        self._say("response.failed", number, response=self._response(told, failure))
        self._error(number + 1, failure)
        made, self.blocks = b"".join(self.blocks), told_before
        return made

    def _begin(self, number: int) -> None:
        begun = Told(msgspec.structs.replace(NOTHING, begin=self._told.story.begin))
        response = self._response(begun)
        self._say("response.created", number, response=response)
        self._say("response.in_progress", number + 1, response=response)

    def _open(self, number: int, block: Block) -> None:
        item = item_of(self._run, block, "in_progress", whole=False)
        self._say("response.output_item.added", number, output_index=block.number, item=item)
        if block.kind != "tool":
            part = part_of(block, "")
            self._say("response.content_part.added", number + 1, **self._at(block), part=part)

    def _grow(self, number: int, block: Block, piece: str) -> None:
        match block.kind:
            case "text":
                self._say("response.output_text.delta", number, **self._at(block), delta=piece, logprobs=[])
            case "reasoning":
                self._say("response.reasoning_text.delta", number, **self._at(block), delta=piece)
            case "tool":
                self._say("response.function_call_arguments.delta", number, **self._at(block), delta=piece)

    def _close(self, number: int, block: Block, status: str) -> None:
        text = block.text
        match block.kind:
            case "text":
                self._say("response.output_text.done", number, **self._at(block), text=text, logprobs=[])
            case "reasoning":
                self._say("response.reasoning_text.done", number, **self._at(block), text=text)
            case "tool":
                named = {"arguments": text, "name": block.name}
                self._say("response.function_call_arguments.done", number, **self._at(block), **named)
        if block.kind != "tool":
            number += 1
            self._say("response.content_part.done", number, **self._at(block), part=part_of(block, text))
        item = item_of(self._run, block, status)
        self._say("response.output_item.done", number + 1, output_index=block.number, item=item)

    def _finish(self, number: int, finish: Finish) -> None:
        response = self._response(self._told)
        self._say(_TERMINAL.get(response["status"], "response.incomplete"), number, response=response)
        failure = failure_of(finish)
        if failure is not None:
            self._error(number + 1, failure)

    def _error(self, number: int, failure: Failure) -> None:
        flat = {"code": failure.code, "message": failure.message, "param": None}
        self._say("error", number, **flat, error=failure_object(failure))

    def _response(self, told: Told, failure: Failure | None = None) -> dict[str, Any]:
        return response_object(told, self._echo, run=self._run, model="", at=0, failure=failure)

    @staticmethod
    def _index(block: Block) -> dict[str, int]:
        return (
            {"output_index": block.number}
            if block.kind == "tool"
            else {"output_index": block.number, "content_index": 0}
        )

    def _at(self, block: Block) -> dict[str, Any]:
        return {"item_id": item_id(self._run, block), **self._index(block)}

    def _say(self, kind: str, number: int, **members: Any) -> None:
        if number > self._after:
            data = _json.encode({"type": kind, "sequence_number": number, **members})
            self.blocks.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))


sse: Final = ResponsesSse()
