"""The reference of the messages says what the code does."""

import re
from pathlib import Path

import msgspec
import pytest
from ws_rig import serving

from tokentape.core.frames import CloseCode
from tokentape.core.messages import MAX_MESSAGE, OPERATIONS, decode_request
from tokentape.server import websocket_guard
from tokentape.server.config import Limits
from tokentape.server.websocket import attendance, connection, conversation, inbox, outbox, requests

TEXT = (Path(__file__).parents[3] / "docs" / "websocket.md").read_text()
REQUESTS = re.findall(r"^    → (.*)$", TEXT, re.MULTILINE)
ANSWERS = re.findall(r"^    ← (.*)$", TEXT, re.MULTILINE)
NEVER_CLOSED_WITH = {
    CloseCode.GOING_AWAY,
    CloseCode.SERVICE_RESTART,
    CloseCode.TRY_LATER,
    CloseCode.SLOW,  # who takes nothing would not take a close frame either
}


@pytest.mark.parametrize("line", REQUESTS)
def test_every_request_is_one(line):
    decode_request(line)


def test_every_operation_has_an_example():
    assert {msgspec.json.decode(line)["op"] for line in REQUESTS} == set(OPERATIONS)


def test_every_answer_is_of_a_kind_that_there_is():
    kinds = {re.match(r'\{"op":"(\w+)"', line)[1] for line in ANSWERS}
    assert kinds == {"ack", "error", "event", "ready", "end"}


def test_every_close_code_that_is_used_has_its_line():
    told = {int(code) for code in re.findall(r"^\| (\d{4})", TEXT, re.MULTILINE)} - {1006}
    assert told == set(CloseCode) - NEVER_CLOSED_WITH


def test_the_numbers_are_those_of_the_code():
    sentences = " ".join(TEXT.split())
    for sentence, number, said in (
        ("a message has at most 1 MiB", MAX_MESSAGE, 1_048_576),
        ("256 requests, or", inbox.MAX_REQUESTS, 256),
        ("or 1 MiB of them, may wait", inbox.MAX_BYTES, 1_048_576),
        ("when 256 KiB of them are waiting", outbox.MAX_ANSWERS, 262_144),
        ("The tenth one closes", connection.MAX_STRIKES, 10),
        ("within 5 seconds", conversation.AUTH_SECONDS, 5),
        ("`limits.max_streams` subscriptions (64)", Limits().max_streams, 64),
        ("(200 characters at most)", requests.MAX_REASON, 200),
        ("at most 64 members", attendance.MAX_MEMBERS, 64),
        ("More than 100 pings and pongs", websocket_guard.MAX_CONTROLS, 100),
        ("pings and pongs in 10 s", websocket_guard.CONTROL_WINDOW, 10),
        ("`limits.write_deadline` (15 s)", Limits().write_deadline, 15),
    ):
        assert sentence in sentences
        assert number == said, sentence


async def test_the_members_of_the_answers_are_those_that_come():
    async with serving() as rig, rig.peer() as peer:
        began = await peer.ask("subscribe", stream="room")
        published = await peer.ask("publish", stream="room", type="chat:said", data="hi")
        event = await peer.receive()
        history = await peer.ask("history", stream="room")
        run = await peer.ask("start", request={"messages": [{"role": "user", "content": "Hello"}]})
    for members in (began, published, event, history):
        assert all(f'"{name}":' in TEXT for name in members)
    assert all(f'"{name}":' in TEXT for name in run)
