"""How a client that has lost its place joins a run: the conversation so far as one MESSAGES_SNAPSHOT, then what comes.

`@ag-ui/client` has no resume of its own: it asks again, with the messages that it has, part of this very answer among
them. A snapshot replaces them, so that nothing is shown twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokentape.core.cursor import Cursor
from tokentape.dialects.ag_ui import Scene, finale
from tokentape.dialects.ag_ui_events import (
    Names,
    is_of,
    message_id,
    opened,
    parent_id,
    result_id,
    result_text,
    snapshot,
    started,
)
from tokentape.dialects.story import Begin, Block


def opening(scene: Scene, names: Names, history: Sequence[Mapping[str, Any]], cursor: Cursor) -> bytes:
    """What puts a client where the run is now; of a run that has ended it is everything. Only its end has an id.

    `history` is what the client sent: the conversation before this run, maybe with parts of this one.
    """
    story = scene.story
    if story.begin is None:
        return b""
    # Whatever the client has of this run, be it of an attempt that is void by now, gives way to what is true.
    before = [message for message in history if not is_of(story.begin, message.get("id"))]
    events = [started(story.begin, names), snapshot([*before, *messages(scene, story.begin)])]
    for number in sorted(story.open):
        events += opened(story.blocks[number], story.begin, story.blocks)
    if story.finish is not None:
        events += finale(story.finish, story.begin, names, scene.answered)
    *first, last = events
    return ("".join(f"data: {event}\n\n" for event in first) + f"id: {cursor}\ndata: {last}\n\n").encode()


def again(scene: Scene, names: Names) -> bytes:
    """The end of a run once more, for a client that was cut right after it: without an id, or it would be passed over.

    Empty for a run that has not ended.
    """
    story = scene.story
    if story.begin is None or story.finish is None:
        return b""
    return f"data: {finale(story.finish, story.begin, names, scene.answered)[-1]}\n\n".encode()


def messages(scene: Scene, begin: Begin) -> list[dict[str, Any]]:
    """What was said so far, as messages in their order."""
    made: dict[str, dict[str, Any]] = {}
    for block in scene.story.blocks:
        _answer(made, scene, begin, after=block.number)
        _say(made, block, begin, scene.story.blocks)
    _answer(made, scene, begin, after=len(scene.story.blocks))
    return list(made.values())


def _say(made: dict[str, dict[str, Any]], block: Block, begin: Begin, blocks: Sequence[Block]) -> None:
    if block.kind == "tool":
        identity = parent_id(block, begin, blocks)
        message = made.setdefault(identity, {"id": identity, "role": "assistant"})
        call = {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": block.text}}
        message.setdefault("toolCalls", []).append(call)
    else:
        identity = message_id(block, begin, blocks)
        role = "reasoning" if block.kind == "reasoning" else "assistant"
        made[identity] = {"id": identity, "role": role, "content": block.text}


def _answer(made: dict[str, dict[str, Any]], scene: Scene, begin: Begin, *, after: int) -> None:
    for answered in scene.answered:
        if answered.after == after:
            result = answered.result
            identity = result_id(begin, result)
            made[identity] = {
                "id": identity,
                "role": "tool",
                "toolCallId": result.call,
                "content": result_text(result),
            }
