"""The AI SDK's WebSocket, frame by frame; tests/clients/ai_sdk has the SDK itself."""

import asyncio
import contextlib
import itertools
import json

import pytest
from scripted import FINISH, overloaded
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from ws_rig import PATIENCE, limits, serving

from tokentape.core.errors import ShuttingDown
from tokentape.core.frames import CloseCode
from tokentape.providers.base import Part
from tokentape.server.config import Auth, ServerConfig
from tokentape.server.settings import ApiKey
from tokentape.server.websocket import ai_sdk

HELLO = [{"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]
PATIENT = 30.0


class Peer:
    """A client of the transport's frames."""

    def __init__(self, ws) -> None:
        self.ws = ws
        self._names = map(str, itertools.count())

    async def tell(self, kind: str, request: str | None = None, **members) -> str:
        request = request or next(self._names)
        await self.ws.send(json.dumps({"type": kind, "requestId": request, **members}))
        return request

    async def send(self, chat: str = "c", **members) -> str:
        fields = {"id": chat, "messages": HELLO, "headers": {}, "body": {}, "trigger": "submit-message", **members}
        return await self.tell("send", **fields)

    async def resume(self, chat: str = "c", **members) -> str:
        return await self.tell("resume", **{"id": chat, "headers": {}, "body": {}, **members})

    async def receive(self) -> dict:
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self.ws.recv())

    async def until(self, request: str, *kinds: str) -> list[dict]:
        """The frames of a request, up to one of this type, or a chunk of this type."""
        found = []
        while True:
            told = await self.receive()
            if told["requestId"] == request:
                found.append(told)
                if told["type"] in kinds or told.get("chunk", {}).get("type") in kinds:
                    return found

    async def closed(self) -> CloseCode:
        """Waits until the server closes, and returns why."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.ws.recv()
        return CloseCode(self.ws.close_code)


@contextlib.asynccontextmanager
async def chatting(rig, **options):
    async with connect(f"ws://127.0.0.1:{rig.port}/api/chat", ping_interval=None, **options) as ws:
        yield Peer(ws)


@pytest.fixture
async def peer(rig):
    async with chatting(rig) as peer:
        yield peer


def chunks(frames: list[dict]) -> list[dict]:
    return [frame["chunk"] for frame in frames if frame["type"] == "chunk"]


def numbers(frames: list[dict]) -> list[int]:
    return [frame["sequence"] for frame in frames if frame["type"] == "chunk"]


def deltas(frames: list[dict]) -> str:
    return "".join(chunk["delta"] for chunk in chunks(frames) if chunk["type"] == "text-delta")


async def ended(rig, chat: str = "c"):
    """Waits for the end of a chat's run."""
    async with asyncio.timeout(PATIENCE):
        while not (  # noqa: ASYNC110 - nobody is told of all ends
            found := [run for run in rig.services.runs.list(state="done") if run.metadata["chat"] == chat]
        ):
            await asyncio.sleep(0.005)
    return found[0]


async def test_chunks_are_numbered_from_0_and_the_end_is_said(rig, peer):
    rig.provider.say("Hel", "lo", FINISH)
    frames = await peer.until(await peer.send(), "end")
    assert numbers(frames) == list(range(len(frames) - 1))
    kinds = [chunk["type"] for chunk in chunks(frames)]
    assert kinds == [
        "start",
        "start-step",
        "text-start",
        "text-delta",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
    ]
    assert deltas(frames) == "Hello"


async def test_a_number_means_the_same_chunk_to_everybody(rig, peer):
    rig.provider.say("a", "b")
    sent = await peer.send()
    first = await peer.until(sent, "text-delta")
    # The other sees the beginning as a backlog, and the rest live.
    async with chatting(rig) as other:
        resumed = await other.resume()
        begun = await other.until(resumed, "text-delta")
        assert begun[0] == {"type": "start", "requestId": resumed}
        rig.provider.say("c", Part("tool_call", {"id": "t", "name": "look", "arguments": "{}"}), "d", FINISH)
        whole = [*first, *await peer.until(sent, "end")]
        replayed = [*begun, *await other.until(resumed, "end")]
    assert chunks(replayed) == chunks(whole)
    assert numbers(replayed) == numbers(whole) == list(range(len(chunks(whole))))


async def test_resuming_after_a_number_goes_on_with_the_next(rig, peer):
    rig.provider.say("a", "b", "c")
    sent = await peer.send()
    frames = await peer.until(sent, "text-delta")
    last = frames[-1]["sequence"]
    async with chatting(rig) as other:
        resumed = await other.resume(lastSequence=last)
        rest = await other.until(resumed, "text-delta")
        assert rest[0]["type"] == "start"
        rig.provider.say("d", FINISH)
        rest += await other.until(resumed, "end")
    assert numbers(rest)[0] == last + 1
    assert deltas(frames) + deltas(rest) == "abcd"


async def test_several_chats_share_a_connection(rig, peer):
    for text in ("one", "two"):
        rig.provider.say(text, FINISH)
    first = await peer.send("c1")
    assert deltas(await peer.until(first, "end")) == "one"
    second = await peer.send("c2")
    assert deltas(await peer.until(second, "end")) == "two"
    assert (await peer.until(await peer.resume("c1"), "no-active"))[0]["type"] == "no-active"


async def test_the_abort_of_what_was_sent_is_a_stop_at_once(rig, peer, monkeypatch):
    monkeypatch.setattr(ai_sdk, "CHANGE_OF_MIND", PATIENT)
    rig.provider.say("partial")
    sent = await peer.send()
    await peer.until(sent, "text-delta")
    await peer.tell("abort", sent)
    run = await ended(rig)
    assert run.reason == "stopped"
    assert rig.provider.closed == 1


async def test_the_abort_of_a_resume_is_a_stop_unless_the_chat_is_resumed_again(rig, peer, monkeypatch):
    monkeypatch.setattr(ai_sdk, "CHANGE_OF_MIND", PATIENT)
    rig.provider.say("a")
    await peer.until(await peer.send(), "text-delta")
    async with chatting(rig) as other:
        resumed = await other.resume()
        await other.until(resumed, "text-delta")
        await other.tell("abort", resumed)
        again = await other.resume()
        await other.until(again, "text-delta")
        assert await rig.services.runs.active("chat", "c")
        # This time nobody takes its place: the client goes, and the stop that it asked for is carried out.
        await other.tell("abort", again)
        await other.until(await other.resume("another chat"), "no-active")
    assert (await ended(rig)).reason == "stopped"


async def test_the_abort_of_a_resume_is_carried_out_after_a_moment(rig, peer, monkeypatch):
    monkeypatch.setattr(ai_sdk, "CHANGE_OF_MIND", 0.05)
    rig.provider.say("a")
    await peer.until(await peer.send(), "text-delta")
    resumed = await peer.resume()
    await peer.until(resumed, "text-delta")
    await peer.tell("abort", resumed)
    assert (await ended(rig)).reason == "stopped"


async def test_an_abort_of_what_has_ended_is_nothing(rig, peer):
    rig.provider.say("a", FINISH)
    sent = await peer.send()
    await peer.until(sent, "end")
    await peer.tell("abort", sent)
    await peer.until(await peer.resume(), "no-active")
    assert (await ended(rig)).reason == "stop"


async def test_leaving_stops_nothing(rig):
    rig.provider.say("a")
    async with chatting(rig) as peer:
        await peer.until(await peer.send(), "text-delta")
    await rig.idle()
    assert await rig.services.runs.active("chat", "c")
    rig.provider.say("b", FINISH)
    assert (await ended(rig)).reason == "stop"


async def test_a_failure_is_an_error_chunk_and_what_is_refused_an_error_frame(rig, peer):
    rig.provider.say("a", overloaded())
    frames = await peer.until(await peer.send(), "end")
    assert {"type": "error", "errorText": "busy"} in chunks(frames)
    refused = await peer.until(await peer.send(body={"model": "unknown"}), "error")
    assert refused[-1]["errorText"] == "There is no model 'unknown'."
    refused = await peer.until(await peer.send(messages=[]), "error")
    assert "messages" in refused[-1]["errorText"]
    refused = await peer.until(await peer.send(headers={"Idempotency-Key": "ü"}), "error")
    assert "Idempotency-Key" in refused[-1]["errorText"]


async def test_a_key_of_its_own_makes_a_start_safe_to_repeat(rig, peer):
    rig.provider.say("a", FINISH)
    key = {"Idempotency-Key": "k"}
    first = await peer.until(await peer.send(headers=key), "end")
    again = await peer.until(await peer.send(headers=key), "end")
    assert chunks(first) == chunks(again)
    assert len(rig.provider.generations) == 1


@pytest.mark.parametrize(
    "text",
    ["hello", "[]", '{"type":"publish","requestId":"1"}', '{"type":"abort"}', '{"type":"resume","requestId":"1"}'],
)
async def test_what_is_no_frame_closes_the_connection(peer, text):
    await peer.ws.send(text)
    assert await peer.closed() == CloseCode.POLICY


async def test_a_request_is_not_made_twice_and_not_too_many(plain):
    async with serving(limits(max_streams=2), plain=plain) as rig, chatting(rig) as peer:
        rig.provider.say("a", "b")
        sent = await peer.send("c1")
        await peer.tell("resume", sent, id="c1", headers={}, body={})
        assert "under way" in (await peer.until(sent, "error"))[-1]["errorText"]
        await peer.until(await peer.resume("c1"), "text-delta")
        third = await peer.resume("c1")
        assert "at a time" in (await peer.until(third, "error"))[-1]["errorText"]


async def test_a_key_comes_with_the_upgrade_or_with_a_frame(plain):
    config = ServerConfig(auth=Auth(api_keys=(ApiKey("secret"),)))
    async with serving(config, plain=plain) as rig:
        rig.provider.say("a", FINISH)
        async with chatting(rig, additional_headers={"Authorization": "Bearer secret"}) as peer:
            await peer.until(await peer.send("c1"), "end")
        for headers in ({"Authorization": "Bearer secret"}, {"x-api-key": "secret"}):
            async with chatting(rig) as peer:
                await peer.until(await peer.resume(headers=headers), "no-active")
                await peer.until(await peer.resume(), "no-active")
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            async with chatting(rig) as peer:
                request = await peer.resume(headers=headers)
                assert "key" in (await peer.until(request, "error"))[-1]["errorText"]
                assert await peer.closed() == CloseCode.UNAUTHORIZED


async def test_a_browser_gets_one_of_its_subprotocols(rig):
    async with chatting(rig, subprotocols=["mine", "other"]) as peer:
        assert peer.ws.subprotocol == "mine"
        await peer.until(await peer.resume(), "no-active")


async def test_a_server_that_goes_away_says_so_by_its_close_code(rig, peer):
    rig.provider.say("a")
    await peer.until(await peer.send(), "text-delta")
    rig.services.hub.drain()
    assert await peer.closed() == CloseCode.DRAINING
    with pytest.raises(ShuttingDown):
        await rig.services.hub.attach("runs/x", "start", None, None)


async def test_a_client_that_reads_nothing_costs_little_and_gets_all_of_it_later(plain):
    async with serving(plain=plain, ring=64, sndbuf=8192) as rig, chatting(rig, max_queue=1) as peer:
        piece = "x" * 4000
        rig.provider.say(*[piece] * 500, FINISH)
        sent = await peer.send()
        run = await ended(rig)
        assert run.reason == "stop"
        frames = await peer.until(sent, "end")
        assert numbers(frames) == list(range(len(frames) - 1))
        assert deltas(frames) == piece * 500
