"""conformance/wire.json and closes.json against Python's readings."""

import json
from typing import Any

import pytest
from vectors import cases

from tokentape.client.session import Ended, Item, Lost, Opened, Refused, Retry, Signal
from tokentape.client.wire import PollReading, SseReading, WebSocketReading
from tokentape.core.resume import parse_from


def describe(signal: Signal) -> dict[str, Any]:
    match signal:
        case Opened():
            return {"type": "opened"}
        case Ended():
            return {"type": "ended"}
        case Retry(seconds):
            return {"type": "retry", "ms": round(seconds * 1000)}
        case Item(cursor, _, record):
            given = {"type": "item", "event": json.loads(record)}
            return {**given, "cursor": str(cursor)} if cursor else given
        case Lost(error, retry_after):
            given = {"type": "lost", "code": error.code}
            return {**given, "retry_after": round(retry_after * 1000)} if retry_after else given
        case Refused(error):
            return {"type": "refused", "code": error.code}
    raise AssertionError(signal)


def read(case: dict[str, Any], *, cut: int | None = None) -> list[dict[str, Any]]:
    signals: list[Signal] = []
    if "body" in case:
        reading = SseReading()
        body = case["body"].encode()
        for start in range(0, len(body), cut or len(body)):
            signals += reading.receive(body[start : start + (cut or len(body))])
            if any(isinstance(signal, Lost) for signal in signals):
                break  # nobody reads on from a connection that is lost
    elif "polled" in case:
        polling = PollReading(parse_from(case["polled"]["from"]))
        for answer in case["polled"]["answers"]:
            signals += polling.receive(answer.encode())
        assert str(polling.position) == case["polled"]["position"]
    else:
        websocket = WebSocketReading("room")
        for message in case["messages"]:
            signals += websocket.receive(message if isinstance(message, str) else json.dumps(message))
    return [describe(signal) for signal in signals]


@pytest.mark.parametrize("case", cases("wire"), ids=lambda case: case["name"])
def test_wire(case):
    assert read(case) == case["signals"]
    if "body" in case:
        assert read(case, cut=1) == case["signals"]


@pytest.mark.parametrize("case", cases("closes"), ids=lambda case: f"{case['code']} {case['reason']}")
def test_close(case):
    signal = describe(WebSocketReading("room").closed(case["code"], case["reason"]))
    assert signal["type"] == case["signal"]
    assert signal.get("retry_after", 0) == case["retry_after"]
