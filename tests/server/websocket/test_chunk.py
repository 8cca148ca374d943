"""`WS /v1/ws/chunk`: the `chunk` convention in both directions, on our own connections and on uvicorn's."""

import asyncio
import json
from contextlib import asynccontextmanager

from scripted import FINISH, overloaded
from websockets.asyncio.client import connect
from ws_rig import PATIENCE, serving

from tokentape.core.frames import CloseCode
from tokentape.server.config import Auth, ServerConfig
from tokentape.server.settings import ApiKey
from tokentape.server.websocket import chunk
from tokentape.server.websocket.chunk import Memory

KEYS = ServerConfig(auth=Auth(api_keys=(ApiKey("secret"),)))


class Chat:
    """A front end that was written for the convention."""

    def __init__(self, ws):
        self.ws = ws

    async def tell(self, kind="message", **members):
        await self.ws.send(json.dumps({"type": kind, **members}))

    async def receive(self):
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self.ws.recv())

    async def answer(self):
        """The text up to `done` or `error`, and which it was."""
        text = ""
        while (message := await self.receive())["type"] == "chunk":
            text += message["content"]
        return text, message

    async def closed(self):
        async with asyncio.timeout(PATIENCE):
            await self.ws.wait_closed()
        return self.ws.close_code


@asynccontextmanager
async def chatting(rig, **options):
    async with connect(f"{rig.url}/chunk", ping_interval=None, **options) as ws:
        yield Chat(ws)


async def test_a_message_is_answered_in_chunks_and_remembered(plain):
    async with serving(plain=plain) as rig, chatting(rig) as chat:
        rig.provider.say("Hel", "lo", FINISH, "Again", FINISH)
        await chat.tell(content="Hi")
        # It waits for its turn.
        await chat.tell(content="And?")
        assert await chat.answer() == ("Hello", {"type": "done"})
        assert await chat.answer() == ("Again", {"type": "done"})
        assert rig.provider.generations[1].messages == [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "And?"},
        ]


async def test_a_stop_waits_for_nothing_and_keeps_the_text(plain):
    async with serving(plain=plain) as rig, chatting(rig) as chat:
        rig.provider.say("Part")
        await chat.tell(content="Hi")
        assert await chat.receive() == {"type": "chunk", "content": "Part"}
        await chat.tell(content="Then?")
        await chat.tell("stop")
        assert await chat.receive() == {"type": "done"}
        rig.provider.say("Next", FINISH)
        assert await chat.answer() == ("Next", {"type": "done"})
        assert rig.provider.generations[1].messages[1] == {"role": "assistant", "content": "Part"}


async def test_what_fails_is_said_and_the_connection_goes_on(plain):
    async with serving(plain=plain) as rig, chatting(rig) as chat:
        rig.provider.say("Half", overloaded())
        await chat.tell(content="Hi")
        assert await chat.answer() == ("Half", {"type": "error", "message": "busy"})
        await chat.tell(content="Hi", model="unknown")
        assert (await chat.receive())["message"] == "There is no model 'unknown'."
        await chat.tell(content="")
        assert "content" in (await chat.receive())["message"]
        rig.provider.say("Fine", FINISH)
        await chat.tell(content="Hi")
        assert await chat.answer() == ("Fine", {"type": "done"})


async def test_a_disconnect_is_no_stop(plain):
    async with serving(plain=plain) as rig:
        async with chatting(rig) as chat:
            rig.provider.say("Part")
            await chat.tell(content="Hi")
            await chat.receive()
        rig.provider.say(" and the rest", FINISH)
        [info] = rig.services.runs.list()
        async with rig.services.hub.reading(info.stream, "start", run=info.id) as reader:
            said = [item.event async for item in reader if item.cursor is not None]
        assert "".join(event.data for event in said if event.type == "token") == "Part and the rest"
        assert said[-1].data["reason"] == "stop"


async def test_a_server_that_goes_away_does_not_look_like_an_end(plain):
    async with serving(plain=plain) as rig, chatting(rig) as chat:
        rig.provider.say("Part")
        await chat.tell(content="Hi")
        await chat.receive()
        rig.services.hub.drain()
        assert await chat.closed() == CloseCode.DRAINING


async def test_a_key_comes_with_the_upgrade_or_first_of_all(plain):
    async with serving(KEYS, plain=plain) as rig:
        rig.provider.say("Hello", FINISH, "Hello", FINISH)
        async with chatting(rig, additional_headers={"Authorization": "Bearer secret"}) as chat:
            await chat.tell(content="Hi")
            assert (await chat.answer())[0] == "Hello"
        async with chatting(rig) as chat:
            await chat.tell("auth", token="secret")
            await chat.tell(content="Hi")
            assert (await chat.answer())[0] == "Hello"
        async with chatting(rig) as chat:
            await chat.tell(content="Hi")
            assert (await chat.receive())["type"] == "error"
            assert await chat.closed() == CloseCode.UNAUTHORIZED


async def test_who_means_something_else_is_closed(plain):
    async with serving(plain=plain) as rig, chatting(rig) as chat:
        for _ in range(chunk.MAX_STRIKES):
            await chat.ws.send("hello?")
        assert await chat.closed() == CloseCode.POLICY


def test_a_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(chunk, "MAX_REMEMBERED", 10)
    memory = Memory()
    for content in ("12345", "6789", "0", "1"):
        memory.add("user", content)
    assert [turn["content"] for turn in memory.messages()] == ["6789", "0", "1"]
    memory.add("user", "x" * 50)
    assert len(memory.messages()) == 1
    for _ in range(2 * chunk.MAX_TURNS):
        memory.add("user", "")
    assert len(memory.messages()) == chunk.MAX_TURNS
