"""conformance/session.json against Python's session."""

import json
from typing import Any

import pytest
from vectors import cases

from tokentape.client.errors import error_from
from tokentape.client.session import (
    Action,
    Begun,
    Connect,
    Deliver,
    Ended,
    Fail,
    Finish,
    Item,
    Lost,
    Opened,
    Patience,
    Refused,
    Retry,
    Session,
    Signal,
    Wait,
    Waited,
)
from tokentape.core.backoff import Backoff
from tokentape.core.cursor import Cursor
from tokentape.core.events import decode_event
from tokentape.core.resume import parse_from

SIMPLE = {"begun": Begun(), "opened": Opened(), "ended": Ended(), "waited": Waited()}


def session_of(options: dict[str, Any]) -> Session:
    backoff = {name: value if name == "factor" else value / 1000 for name, value in options.get("backoff", {}).items()}
    patience = {name: value / 1000 for name, value in options["patience"].items()}
    return Session(
        parse_from(options["from"]),
        run=options.get("run"),
        backoff=Backoff(**backoff),
        patience=Patience(**patience),
    )


def signal_of(signal: dict[str, Any]) -> Signal:
    match signal["type"]:
        case "retry":
            return Retry(signal["ms"] / 1000)
        case "lost":
            return Lost(error_from({"code": signal["code"]}, status=0), signal.get("retry_after", 0) / 1000)
        case "refused":
            return Refused(error_from({"code": signal["code"]}, status=0))
        case "item":
            record = json.dumps(signal["event"]).encode()
            cursor = Cursor.parse(signal["cursor"]) if "cursor" in signal else None
            return Item(cursor, decode_event(record), record)
        case simple:
            return SIMPLE[simple]


def describe(action: Action | None) -> dict[str, Any] | None:
    match action:
        case None:
            return None
        case Connect(position):
            return {"type": "connect", "from": str(position)}
        case Deliver(item):
            given = {"type": "deliver", "event": json.loads(item.record)}
            return {**given, "cursor": str(item.cursor)} if item.cursor else given
        case Wait(seconds, error):
            return {"type": "wait", "ms": round(seconds * 1000, 3), "code": error.code}
        case Finish():
            return {"type": "finish"}
        case Fail(error):
            return {"type": "fail", "code": error.code}


def play(case: dict[str, Any]) -> dict[str, Any]:
    """The case with what this session does."""
    session = session_of(case["options"])
    steps = []
    for step in case["steps"]:
        action = session.step(signal_of(step["signal"]), now=step["now"] / 1000, random=step["random"])
        steps.append(
            {"now": step["now"], "random": step["random"], "signal": step["signal"], "action": describe(action)}
        )
    end = {"state": session.state.name.lower(), "position": str(session.position), "repeated": session.repeated}
    return {"steps": steps, "end": end}


@pytest.mark.parametrize("case", cases("session"), ids=lambda case: case["name"])
def test_session(case):
    assert play(case) == {"steps": case["steps"], "end": case["end"]}
