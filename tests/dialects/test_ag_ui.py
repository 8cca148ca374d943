"""AG-UI: ids within an event, snapshots for those who lost their place, and requests (wire-formats §6)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from assembled import frames
from hypothesis import given
from hypothesis import strategies as st
from reading_ag_ui import Agent, ag_ui
from stories import answers, placed

from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest, InvalidCursor
from tokentape.core.merge import Entry, merge
from tokentape.dialects import ag_ui_request, ag_ui_snapshot
from tokentape.dialects.ag_ui import AgUi, Scene
from tokentape.dialects.ag_ui_events import Names
from tokentape.dialects.ag_ui_request import RunAgentInput, run_fields

EPOCH = "e1"
NAMES = Names("thread", "run")
DIALECT = AgUi(NAMES)


def scene_at(entries: list[Entry], offset: int) -> Scene | None:
    """What `hub/states.py` finds at a position."""
    before = [entry for entry in entries if entry.offset <= offset]
    state: Scene | None = DIALECT.encode("", EPOCH, merge(before), None).state if before else None
    return state


def blocks(body: bytes) -> list[bytes]:
    return [block + b"\n\n" for block in body.split(b"\n\n") if block]


def id_of(block: bytes) -> str:
    first = block.split(b"\n")[0]
    assert first.startswith(b"id: "), "each data line has its id right before it"
    return first[4:].decode()


@given(entries=answers(), data=st.data())
def test_a_client_that_was_cut_anywhere_goes_on_without_loss_or_repetition(
    entries: list[Entry], data: st.DataObject
) -> None:
    shown = merge(entries) if data.draw(st.booleans()) else entries
    written = blocks(DIALECT.encode("", EPOCH, shown, None).content)
    ids = [id_of(block) for block in written]
    assert len(set(ids)) == len(ids)
    whole = ag_ui(b"".join(written))
    cut = data.draw(st.integers(1, len(written) - 1))
    dialect, position = DIALECT.resumed(ids[cut - 1])
    cursor = Cursor.parse(position)
    rest = [entry for entry in entries if entry.offset > cursor.offset]
    following = merge(rest) if data.draw(st.booleans()) else rest
    told = dialect.encode("", EPOCH, following, scene_at(entries, cursor.offset))
    assert not told.over
    assert ag_ui(b"".join(written[:cut]) + told.content) == whole
    assert not set(map(id_of, blocks(told.content))) & set(ids[:cut])


@given(entries=answers(resets=True), data=st.data())
def test_who_was_cut_within_what_is_void_now_is_told(entries: list[Entry], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(entries)))
    written = blocks(DIALECT.encode("", EPOCH, entries[:cut], None).content)
    last = id_of(written[-1 if len(written) < 2 or data.draw(st.booleans()) else -2])
    kept = written[: [id_of(block) for block in written].index(last) + 1]
    dialect, position = DIALECT.resumed(last)
    offset = Cursor.parse(position).offset
    rest = [entry for entry in entries if entry.offset > offset]
    told = dialect.encode("", EPOCH, merge(rest), scene_at(entries, offset))
    read = ag_ui(b"".join(kept) + told.content)
    resets = [place for place, entry in enumerate(entries) if entry.event.type == "reset"]
    valid = entries[resets[-1] :] if resets else entries
    assert read.ended or not rest
    if told.over:
        assert read.error is not None
    elif rest:
        assert read.text == "".join(entry.event.data for entry in valid if entry.event.type == "token")


@given(entries=answers(), data=st.data())
def test_a_snapshot_and_the_rest_are_the_whole(entries: list[Entry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries) - 1))
    cursor = Cursor(EPOCH, entries[at].offset)
    scene = scene_at(entries, cursor.offset)
    assert scene is not None
    partial = [{"id": "m_1", "role": "assistant", "content": "what the client had"}]
    body = ag_ui_snapshot.opening(scene, NAMES, [{"id": "u", "role": "user", "content": "Hi"}, *partial], cursor)
    rest = [entry for entry in entries if entry.offset > cursor.offset]
    body += DIALECT.encode("", EPOCH, rest, scene).content
    agent, messages = Agent(), []
    for frame in frames(body):
        event = json.loads(frame.data)
        if event["type"] == "MESSAGES_SNAPSHOT":
            messages = event["messages"]
            for message in messages:
                _restate(agent, message)
        else:
            agent.take(event)
    whole = Agent()
    for frame in frames(DIALECT.encode("", EPOCH, entries, None).content):
        whole.take(json.loads(frame.data))
    assert messages[0] == {"id": "u", "role": "user", "content": "Hi"}
    assert len({message["id"] for message in messages}) == len(messages)
    assert _stated(agent) == _stated(whole)
    assert (agent.results, agent.parents, agent.outcome) == (whole.results, whole.parents, whole.outcome)


def _restate(agent: Agent, message: dict[str, Any]) -> None:
    if message["role"] == "tool":
        agent.results[message["toolCallId"]] = message["content"]
    elif message["role"] != "user" and "content" in message:
        agent.said["reasoning" if message["role"] == "reasoning" else "text", message["id"]] = message["content"]
    for call in message.get("toolCalls", ()):
        agent.said["tool", call["id"]] = call["function"]["arguments"]
        agent.parents[call["id"]] = message["id"]


def _stated(agent: Agent) -> dict[tuple[str, str], str]:
    return {key: text for key, text in agent.said.items() if key[0] != "span"}


def test_what_each_event_becomes() -> None:
    entries = placed(
        [
            ("start", {"message_id": "m", "model": "gpt", "provider": "p"}),
            ("reasoning", "Hm"),
            ("token", "Hi"),
            ("tool_call_delta", {"id": "c", "name": "add", "arguments": "{}"}),
            ("tool_call", {"id": "c", "name": "add", "arguments": "{}"}),
            ("tool_result", {"id": "c", "output": {"sum": 3}}),
            ("status", {"state": "thinking"}),
            ("token", "!"),
            ("done", {"reason": "stop", "usage": {"input_tokens": 3, "output_tokens": 4, "reasoning_tokens": 1}}),
        ]
    )
    events = [json.loads(frame.data) for frame in frames(DIALECT.encode("", EPOCH, entries, None).content)]
    assert [(event["type"], event.get("messageId") or event.get("toolCallId")) for event in events] == [
        ("RUN_STARTED", None),
        ("REASONING_START", "m-0"),
        ("REASONING_MESSAGE_START", "m-0"),
        ("REASONING_MESSAGE_CONTENT", "m-0"),
        ("REASONING_MESSAGE_END", "m-0"),
        ("REASONING_END", "m-0"),
        ("TEXT_MESSAGE_START", "m"),
        ("TEXT_MESSAGE_CONTENT", "m"),
        ("TEXT_MESSAGE_END", "m"),
        ("TOOL_CALL_START", "c"),
        ("TOOL_CALL_ARGS", "c"),
        ("TOOL_CALL_END", "c"),
        ("TOOL_CALL_RESULT", "m-result-c"),
        ("CUSTOM", None),
        ("TEXT_MESSAGE_START", "m-3"),
        ("TEXT_MESSAGE_CONTENT", "m-3"),
        ("TEXT_MESSAGE_END", "m-3"),
        ("RUN_FINISHED", None),
    ]
    assert events[0] == {
        "type": "RUN_STARTED",
        "threadId": "thread",
        "runId": "run",
        "protocolVersion": "1.0",
        "timestamp": 1_700_000_000_000,
    }
    assert (events[9]["parentMessageId"], events[12]["content"]) == ("m", '{"sum":3}')
    assert (events[13]["name"], events[13]["value"]) == ("status", {"state": "thinking"})
    assert events[-1]["outcome"] == {"type": "success"}
    assert events[-1]["usage"] == [
        {"model": "gpt", "inputTokens": 3, "outputTokens": 4, "reasoningTokens": 1, "totalTokens": 7}
    ]


@pytest.mark.parametrize(
    ("reason", "ends"),
    [
        ("stopped", ("RUN_FINISHED", "cancelled")),
        ("length", ("RUN_FINISHED", "success")),
        ("interrupted", ("RUN_ERROR", "interrupted")),
    ],
)
def test_how_a_run_ends(reason: str, ends: tuple[str, str]) -> None:
    entries = placed([("start", {"message_id": "m"}), ("token", "Hi"), ("done", {"reason": reason, "usage": {}})])
    last = json.loads(frames(DIALECT.encode("", EPOCH, entries, None).content)[-1].data)
    assert (last["type"], last.get("code") or last["outcome"]["type"]) == ends


def test_an_end_can_be_said_again_and_nothing_else() -> None:
    entries = placed([("start", {"message_id": "m"}), ("token", "Hi"), ("done", {"reason": "stop", "usage": {}})])
    scene = scene_at(entries, entries[-1].offset)
    assert scene is not None
    [block] = blocks(ag_ui_snapshot.again(scene, NAMES))
    assert block.startswith(b'data: {"type":"RUN_FINISHED"')
    before = scene_at(entries, entries[1].offset)
    assert before is not None
    assert ag_ui_snapshot.again(before, NAMES) == b""


@pytest.mark.parametrize("position", ["", "x", "e1-3.", "e1-3.99999", "e1-3.1.1", "e1-.1"])
def test_an_id_that_is_none_is_refused(position: str) -> None:
    with pytest.raises(InvalidCursor):
        Cursor.parse(DIALECT.resumed(position)[1])


# Requests


def asked(**members: Any) -> RunAgentInput:
    return msgspec.convert({"threadId": "t", "runId": "r", "messages": [], **members}, RunAgentInput)


def test_messages_tools_and_properties_become_a_run() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    image = {"type": "image", "source": {"type": "data", "value": "AAAA", "mimeType": "image/png"}}
    fields = run_fields(
        asked(
            messages=[
                {"id": "1", "role": "user", "content": [{"type": "text", "text": "See"}, image]},
                {"id": "2", "role": "reasoning", "content": "Hm"},
                {"id": "3", "role": "assistant", "toolCalls": [call]},
                {"id": "4", "role": "tool", "toolCallId": "c", "content": "3"},
                {"id": "5", "role": "assistant", "content": ""},
            ],
            tools=[{"name": "add", "description": "Adds", "parameters": {"type": "object"}}],
            context=[{"description": "Place", "value": "Kyoto"}],
            forwardedProps={"model": "m", "maxTokens": 5, "top_p": 0.5, "theme": "dark"},
            state={"any": 1},
        )
    )
    assert fields == {
        "messages": [
            {"role": "system", "content": "Place: Kyoto"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            },
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "3"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "add", "description": "Adds", "parameters": {"type": "object"}},
            }
        ],
        "model": "m",
        "max_tokens": 5,
        "top_p": 0.5,
    }


@pytest.mark.parametrize(
    "members",
    [
        {"resume": [{"interruptId": "i", "status": "resolved"}]},
        {"messages": [{"id": "1", "role": "narrator", "content": "x"}]},
        {"messages": [{"id": "1", "role": "user", "content": [{"type": "video", "source": {}}]}]},
        {"messages": [{"id": "1", "role": "user", "content": ["x"]}]},
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(members: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as refusal:
        run_fields(asked(**members))
    assert refusal.value.details["path"].startswith(next(iter(members)))


@given(thread=st.text(min_size=1, max_size=9), run=st.text(min_size=1, max_size=9), other=st.text(max_size=9))
def test_a_key_is_of_one_run_of_one_conversation(thread: str, run: str, other: str) -> None:
    key = ag_ui_request.key_of(Names(thread, run))
    assert ag_ui_request.names_of(key) == Names(thread, run)
    assert key.endswith(ag_ui_request.ending_of(run))
    assert key.startswith(ag_ui_request.beginning_of(thread))
    assert key.endswith(ag_ui_request.ending_of(other)) == (other == run)
    assert key.startswith(ag_ui_request.beginning_of(other)) == (other == thread)


def test_a_key_of_somebody_else_is_not_ours() -> None:
    assert ag_ui_request.names_of(None) is None
    assert ag_ui_request.names_of("ag-ui:made up") is None
