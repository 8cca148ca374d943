"""The AI SDK's UI message stream, without a server; tests/clients/ai_sdk has the SDK."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readers import frames
from stories import answers, placed

from tokentape.core.errors import BadRequest, ProtocolError, TooLarge
from tokentape.core.events import Event
from tokentape.core.merge import Entry
from tokentape.dialects import ai_sdk, ai_sdk_frames
from tokentape.dialects.ai_sdk_request import run_fields

START = ("start", {"message_id": "m_1", "model": "m", "provider": "p"})
DONE = ("done", {"reason": "stop", "usage": {}})
TYPES = {
    "start": {"messageId"},
    "start-step": set(),
    "text-start": {"id"},
    "text-delta": {"id", "delta"},
    "text-end": {"id"},
    "reasoning-start": {"id"},
    "reasoning-delta": {"id", "delta"},
    "reasoning-end": {"id"},
    "tool-input-start": {"toolCallId", "toolName"},
    "tool-input-delta": {"toolCallId", "inputTextDelta"},
    "tool-input-available": {"toolCallId", "toolName", "input"},
    "tool-input-error": {"toolCallId", "toolName", "input", "errorText"},
    "tool-output-available": {"toolCallId", "output"},
    "source-url": {"sourceId", "url", "title"},
    "file": {"url", "mediaType"},
    "message-metadata": {"messageMetadata"},
    "error": {"errorText"},
    "abort": set(),
    "finish-step": set(),
    "finish": set(),
}
"""Types and members that ai 5.0.0 takes; it refuses every other one."""
LATER = {"5": {}, "6": {"finish": {"finishReason"}}, "7": {"finish": {"finishReason"}, "abort": {"reason"}}}
REASONS = {"stop", "length", "content-filter", "tool-calls", "error", "other"}


def chunks(*events, version: str = "7", last: bool = True) -> list[dict]:
    entries = placed(events)
    return spelled(entries, version, last=last)


def spelled(entries: list[Entry], version: str, *, last: bool = True) -> list[dict]:
    end = entries[-1].offset if last else None
    content = ai_sdk.BY_VERSION[version].encode("runs/r_1", "e", entries, None, last=end).content
    told = [frame.data for frame in frames(content)]
    if last:
        assert told.pop() == "[DONE]"
    return [json.loads(data) for data in told]


@pytest.mark.parametrize("version", ["5", "6", "7"])
@given(entries=answers(resets=True))
def test_the_first_release_of_a_version_knows_all_that_is_said(version: str, entries: list[Entry]) -> None:
    for chunk in spelled(entries, version):
        kind = chunk.pop("type")
        if kind.startswith("data-"):
            assert chunk.keys() <= {"id", "data", "transient"}
            continue
        assert chunk.keys() <= TYPES[kind] | LATER[version].get(kind, set())
        assert chunk.get("finishReason", "other") in REASONS


@given(entries=answers(resets=True), data=st.data())
def test_chunks_have_the_same_numbers_however_they_are_read(entries: list[Entry], data: st.DataObject) -> None:
    whole = ai_sdk.chunks.encode("runs/r_1", "e", entries, None, last=entries[-1].offset)
    told, state, at, over = [], None, 0, False
    while at < len(entries) and not over:
        size = data.draw(st.integers(1, len(entries) - at))
        at += size
        end = entries[-1].offset if at == len(entries) else None
        part = ai_sdk.chunks.encode("runs/r_1", "e", entries[at - size : at], state, last=end)
        state, over = part.state, part.over
        told += part.content
    assert tuple(told) == whole.content


def test_a_step_ends_where_the_results_are_all_there():
    call = {"name": "look", "arguments": "{}"}
    told = chunks(
        START,
        ("tool_call", {"id": "a", **call}),
        ("tool_call", {"id": "b", **call}),
        ("tool_result", {"id": "a", "output": None}),
        ("token", "One, "),
        ("tool_result", {"id": "b", "output": 2}),
        ("token", "two."),
        DONE,
    )
    kinds = [chunk["type"] for chunk in told if "tool-input" not in chunk["type"]]
    assert kinds == [
        "start", "start-step", "tool-output-available", "text-start", "text-delta", "text-end",
        "tool-output-available", "finish-step", "start-step", "text-start", "text-delta", "text-end",
        "finish-step", "finish",
    ]  # fmt: skip


def test_a_call_that_was_cut_short_is_never_carried_out():
    # What is there so far would be JSON.
    told = chunks(
        START, ("tool_call_delta", {"id": "a", "name": "look", "arguments": "{}"}), ("done", {"reason": "stopped"})
    )
    assert "tool-input-error" in [chunk["type"] for chunk in told]
    assert "tool-input-available" not in [chunk["type"] for chunk in told]


def test_a_stop_is_an_abort_and_an_end():
    kinds = [chunk["type"] for chunk in chunks(START, ("token", "Hi"), ("done", {"reason": "stopped"}))]
    assert kinds[-4:] == ["text-end", "abort", "finish-step", "finish"]


@pytest.mark.parametrize("reason", ["error", "interrupted"])
def test_an_answer_that_broke_is_an_error_whatever_is_known_of_it(reason):
    assert "error" in [chunk["type"] for chunk in chunks(START, ("token", "Hi"), ("done", {"reason": reason}))]


def test_a_record_that_ends_too_soon_is_an_error():
    assert chunks(START, ("token", "Hi"))[-1]["type"] == "error"


def test_only_what_is_still_to_be_taken_back_is_taken_back():
    call = ("tool_call", {"id": "a", "name": "look", "arguments": "{}"})
    shown = placed([START, call, ("tool_result", {"id": "a", "output": 1}), ("token", "two steps")])
    state = ai_sdk.v7.encode("runs/r_1", "e", shown, None).state
    reset = placed([("reset", {"reason": "restarted"}), ("token", "new words")], first=9)
    told = ai_sdk.v7.encode("runs/r_1", "e", reset, state)
    assert told.over
    assert b"begun again" in told.content
    assert b"new words" not in told.content
    # Whoever asks for what follows gets it in order.
    rest = ai_sdk.v7.encode("runs/r_1", "e", placed([("token", "!"), DONE], first=11), told.state, last=12)
    assert [json.loads(f.data)["type"] for f in frames(rest.content)[:-1]] == [
        "text-delta", "text-end", "finish-step", "finish",
    ]  # fmt: skip


def test_what_is_of_the_moment_is_a_transient_part():
    event = Event(type="status", run="r_1", data={"state": "queued", "position": 2})
    assert b'"transient":true' in ai_sdk.v5.ephemeral("runs/r_1", event)
    assert ai_sdk.v5.ephemeral("runs/r_1", Event(type="presence", data={})) == b""
    assert ai_sdk.chunks.ephemeral("runs/r_1", event) == ()


def test_chunks_of_the_applications_own_are_those_that_the_version_knows():
    own = [
        ("ai-sdk:message-metadata", {"n": 1}),
        ("ai-sdk:custom", {"kind": "a.b"}),
        ("ai-sdk:source-url", {"sourceId": "1"}),
        ("ai-sdk:file", "x"),
        ("ai-sdk:text-delta", {"id": "0", "delta": "forged"}),
    ]
    assert [chunk["type"] for chunk in chunks(START, *own, version="6", last=False)[2:]] == ["message-metadata"]
    assert [chunk["type"] for chunk in chunks(START, *own, last=False)[2:]] == ["message-metadata", "custom"]


# Requests


def asked(*messages: dict, **body) -> dict:
    return run_fields({"id": "c", "messages": list(messages), **body})


def user(*parts: dict) -> dict:
    return {"id": "u", "role": "user", "parts": list(parts)}


def assistant(*parts: dict) -> dict:
    return {"id": "a", "role": "assistant", "parts": list(parts)}


TEXT = {"type": "text", "text": "Hi", "state": "done"}


def test_what_a_user_sends_is_text_images_and_files():
    [turn] = asked(
        user(
            TEXT,
            {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,aGk="},
            {"type": "file", "mediaType": "application/pdf", "url": "https://example.com/a", "filename": "a.pdf"},
            {"type": "data-note", "data": 1},
        )
    )["messages"]
    assert turn["content"] == [
        {"type": "text", "text": "Hi"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "file", "file": {"file_data": "https://example.com/a", "filename": "a.pdf"}},
    ]
    assert asked(user(TEXT), system="Be brief.")["messages"][0] == {"role": "system", "content": "Be brief."}


def test_the_steps_of_an_assistant_are_turns_with_their_results():
    done = {"state": "output-available", "input": {"at": 1}}
    fields = asked(
        user(TEXT),
        assistant(
            {"type": "step-start"},
            {"type": "reasoning", "text": "Hm."},
            TEXT,
            {"type": "tool-look", "toolCallId": "1", "output": {"n": 1}, **done},
            {"type": "dynamic-tool", "toolName": "see", "toolCallId": "2", "output": "text", **done},
            {"type": "tool-look", "toolCallId": "3", "state": "output-error", "errorText": "no"},
            {"type": "tool-look", "toolCallId": "4", "state": "output-denied", "approval": {"reason": "never"}},
            {"type": "tool-look", "toolCallId": "5", "state": "input-available", "input": {}},
            {"type": "step-start"},
            TEXT,
        ),
    )
    _, first, *results, last = fields["messages"]
    assert [call["id"] for call in first["tool_calls"]] == ["1", "2", "3", "4"]
    assert first["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":1}'}
    assert first["tool_calls"][1]["function"]["name"] == "see"
    assert [(r["tool_call_id"], r["content"]) for r in results] == [
        ("1", '{"n":1}'), ("2", "text"), ("3", "no"), ("4", "never"),
    ]  # fmt: skip
    assert last == {"role": "assistant", "content": "Hi"}
    # It goes on in the same message, unless it is written anew.
    assert fields["message_id"] == "a"
    assert "message_id" not in asked(user(TEXT), assistant(TEXT), trigger="regenerate-message")
    assert "message_id" not in asked(assistant(TEXT), user(TEXT))


def test_members_for_the_model_are_passed_on_and_others_are_not():
    fields = asked(user(TEXT), temperature=0.5, userId="u", model="m", max_tokens=3)
    assert fields == {
        "temperature": 0.5,
        "model": "m",
        "max_tokens": 3,
        "messages": [{"role": "user", "content": "Hi"}],
    }


@pytest.mark.parametrize(
    ("messages", "at"),
    [
        ([], "messages"),
        (["x"], r"messages\[0\]"),
        ([{"role": "user"}], "parts"),
        ([{"role": "user", "parts": ["x"]}], "parts"),
        ([{"role": "robot", "parts": []}], "role"),
        ([user({"type": "file", "mediaType": "image/png"})], "file"),
    ],
)
def test_what_is_no_chat_is_refused(messages, at):
    with pytest.raises(BadRequest, match=at):
        run_fields({"id": "c", "messages": messages})


# Frames


def test_frames_are_what_the_transport_writes():
    frame = ai_sdk_frames.decode('{"type":"resume","requestId":"r","id":"c","headers":{},"body":{},"metadata":null}')
    assert frame == ai_sdk_frames.Resume(request="r", id="c")
    assert ai_sdk_frames.decode('{"type":"abort","requestId":"r"}') == ai_sdk_frames.Abort(request="r")
    for text in ('{"type":"resume","requestId":"r","id":"c","lastSequence":-1}', "{", '{"type":"x"}', "[" * 10_000):
        with pytest.raises(ProtocolError):
            ai_sdk_frames.decode(text)
    with pytest.raises(TooLarge):
        ai_sdk_frames.decode(" " * (ai_sdk_frames.MAX_FRAME + 1))


def test_a_chunk_is_framed_as_it_was_encoded():
    head = ai_sdk_frames.chunk_head('"')
    frame = json.loads(ai_sdk_frames.chunk(head, 3, b'{"type":"start-step"}'))
    assert frame == {"type": "chunk", "requestId": '"', "sequence": 3, "chunk": {"type": "start-step"}}
