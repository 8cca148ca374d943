"""What a client makes of OpenAI's two formats, after OpenAI's API reference and the SDKs' helpers."""

from __future__ import annotations

import json
from typing import Any

from assembled import Assembled, frames


def openai_chat(body: bytes) -> Assembled:
    text, reasoning = "", ""
    calls: dict[int, dict[str, str]] = {}
    error, ended, finish = None, False, None
    for frame in frames(body):
        assert (frame.event, frame.id) == ("message", ""), "an OpenAI SDK trips over either"
        assert not ended, "something follows [DONE]"
        if frame.data == "[DONE]":
            ended = True
            continue
        chunk: dict[str, Any] = json.loads(frame.data)
        if "error" in chunk:
            error = chunk["error"]["message"]
            continue
        assert chunk["object"] == "chat.completion.chunk"
        for choice in chunk["choices"]:
            assert finish is None, "something follows the finish reason"
            delta, finish = choice["delta"], choice["finish_reason"]
            text += delta.get("content") or ""
            reasoning += delta.get("reasoning_content") or ""
            for piece in delta.get("tool_calls", ()):
                call = calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
                call["id"] += piece.get("id", "")
                call["name"] += piece["function"].get("name", "")
                call["arguments"] += piece["function"].get("arguments", "")
    assert not ended or finish is not None or error is not None, "[DONE] without a reason"
    assert list(calls) == list(range(len(calls)))
    return Assembled(text, reasoning, [tuple(call.values()) for call in calls.values()], error, ended)  # type: ignore[misc]


def openai_responses(body: bytes) -> Assembled:
    items: dict[int, dict[str, Any]] = {}
    closed: set[int] = set()
    error, ended, number, response = None, False, -1, None
    for frame in frames(body):
        event: dict[str, Any] = json.loads(frame.data)
        assert (frame.event, frame.id) == (event["type"], "")
        assert event["sequence_number"] > number, "numbers grow"
        number, place = event["sequence_number"], event.get("output_index")
        assert place is None or place not in closed, "nothing follows the end of an item"
        match event["type"]:
            case "response.created":
                assert response is None
                assert event["response"]["output"] == []
            case "response.in_progress":
                pass
            case "response.output_item.added":
                assert place == len(items), "items come in their order"
                items[place] = event["item"]
            case "response.content_part.added":
                items[place]["content"].append(event["part"])
            case "response.output_text.delta" | "response.reasoning_text.delta":
                items[place]["content"][event["content_index"]]["text"] += event["delta"]
            case "response.function_call_arguments.delta":
                items[place]["arguments"] += event["delta"]
            case "response.output_text.done" | "response.reasoning_text.done":
                assert event["text"] == items[place]["content"][event["content_index"]]["text"]
            case "response.content_part.done":
                assert event["part"] == items[place]["content"][event["content_index"]]
            case "response.function_call_arguments.done":
                assert event["arguments"] == items[place]["arguments"]
                items[place]["name"] = event["name"]
            case "response.output_item.done":
                assert event["item"] == {**items[place], "status": event["item"]["status"]}
                items[place] = event["item"]
                closed.add(place)
            case "response.completed" | "response.incomplete" | "response.failed":
                ended, response = True, event["response"]
                if response["output"] or event["type"] != "response.failed":
                    assert response["output"] == list(items.values())
            case "error":
                error = event["error"]["message"]
            case other:
                raise AssertionError(other)
    texts = {kind: _joined(items, kind) for kind in ("message", "reasoning")}
    calls = [
        (item["call_id"], item["name"], item["arguments"]) for item in items.values() if item["type"] == "function_call"
    ]
    return Assembled(texts["message"], texts["reasoning"], calls, error, ended)


def _joined(items: dict[int, dict[str, Any]], kind: str) -> str:
    return "".join(part["text"] for item in items.values() if item["type"] == kind for part in item["content"])
