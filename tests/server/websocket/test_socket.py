"""What ASGI servers say, and what it means."""

import pytest

from tokentape.core.frames import MAX_REASON, CloseCode
from tokentape.server.websocket.socket import Gone, Socket


class Server:
    """An ASGI server that has these messages to give, and fails to send as it is told."""

    def __init__(self, *messages, failure=None):
        self.messages = list(messages)
        self.failure = failure
        self.sent = []

    async def receive(self):
        return self.messages.pop(0)

    async def send(self, message):
        if self.failure is not None:
            raise self.failure
        self.sent.append(message)

    def socket(self, **scope) -> Socket:
        return Socket(scope, self.receive, self.send)


def text(text: str) -> dict:
    return {"type": "websocket.receive", "text": text}


async def test_messages_come_until_the_client_goes():
    server = Server(
        text("a"),
        {**text("b"), "bytes": None},
        {"type": "websocket.receive", "bytes": b"c", "text": None},
        {"type": "websocket.receive", "bytes": b"d"},
        {"type": "websocket.disconnect", "code": 1006},
    )
    socket = server.socket()
    assert [await socket.receive() for _ in range(5)] == ["a", "b", b"c", b"d", None]


@pytest.mark.parametrize("failure", [OSError("gone"), RuntimeError("Unexpected ASGI message, after sending close.")])
async def test_a_server_that_cannot_send_any_more(failure):
    socket = Server(failure=failure).socket()
    with pytest.raises(Gone):
        await socket.send(b"hello")
    with pytest.raises(Gone):
        await socket.close(CloseCode.NORMAL, "bye")


async def test_a_close_reason_is_cut_to_what_fits():
    server = Server()
    await server.socket().close(CloseCode.POLICY, "é" * 100)
    (close,) = server.sent
    assert close["code"] == 1008
    assert len(close["reason"].encode()) <= MAX_REASON


async def test_what_is_not_known_without_our_own_server():
    socket = Server().socket()
    assert socket.client == "unknown"
    assert socket.buffered() == 0
    socket.abort()
    assert Server().socket(client=("::1", 7)).client == "::1:7"
