"""Watches over connections that break: at random bytes, cleanly, silently, or with a reason."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
import websockets

from tokentape.cli.relay import reset
from tokentape.client import Client, Opened, Patience, Wait, http, transports
from tokentape.core.backoff import Backoff
from tokentape.core.cursor import Cursor
from tokentape.core.errors import ProtocolError, ShuttingDown, Unauthorized
from tokentape.core.merge import Entry, merge
from tokentape.hub.channels import Publish

TRANSPORTS = ["sse", "ws", "poll"]
QUICK = Backoff(base=0.001, cap=0.01)


def shears(url: str, budget: Callable[[], int]):
    """Passes everything to the server at `url`, and resets each connection after so many bytes of its answers."""
    port = int(url.rpartition(":")[2])

    async def up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, outward = await asyncio.open_connection("127.0.0.1", port)
        pump = asyncio.create_task(up(reader, outward))
        left = budget()
        try:
            while left > 0 and (data := await upstream.read(left)):
                left -= len(data)
                writer.write(data)
                await writer.drain()
        finally:
            pump.cancel()
            reset(outward)
            if left <= 0:
                reset(writer)

    return handle


def transcript(items) -> list[Entry]:
    return merge([Entry(item.cursor.offset, item.record, item.event) for item in items if item.cursor])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_cut_at_random_bytes_nothing_is_lost_or_repeated(url, listening, transport):
    random = Random(7)
    connections = 0

    def budget() -> int:
        nonlocal connections
        connections += 1
        # An answer to a poll is whole or nothing, so some must be long enough for all that there is.
        return random.randint(1, 4000) if transport != "poll" else random.choice((100, 500, 1000, 2000, 3000, 30_000))

    patience = Patience(first=60, again=60)
    async with (
        Client(url) as direct,
        listening(shears(url, budget)) as cut,
        Client(cut, backoff=QUICK, patience=patience) as client,
    ):
        request = {"messages": [{"role": "user", "content": "x"}], "simulated": {"rate": 300, "tokens": 300}}
        run = await direct.start(request)
        watch = client.watch(f"runs/{run.id}", transport=transport, merge=False)
        items = [item async for item in watch]
        whole = [item async for item in direct.watch(f"runs/{run.id}", merge=False)]
    assert transcript(items) == transcript(whole)
    assert items[-1].event.type == "done"
    assert connections > 4
    assert watch.repeated == 0


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def block(offset: int, kind: str = "token", run: str = "r_1") -> bytes:
    return b'id: e1-%d\ndata: {"type":"%b","run":"%b","data":{}}\n\n' % (offset, kind.encode(), run.encode())


def ready(offset: int, outcome: str = "replayed") -> bytes:
    return b'data: {"type":"ready","data":{"outcome":"%b","cursor":"e1-%d"}}\n\n' % (outcome.encode(), offset)


class Script:
    """Answers one connection after the other with the given bytes, then ends it cleanly; keeps what was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.requests: list[str] = []
        self._answers = list(answers)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.split(b" ")[1].decode())
        writer.write(self._answers.pop(0))
        await writer.drain()


async def test_a_clean_end_before_the_terminal_event_is_not_the_end(listening):
    script = Script(
        HEAD + ready(0) + block(1) + block(2),
        HEAD + ready(2) + block(3),
        HEAD + ready(3) + block(4, "done"),
    )
    async with listening(script) as url, Client(url, backoff=QUICK) as client:
        items = [item async for item in client.watch("runs/r_1")]
    assert [item.cursor.offset for item in items if item.cursor] == [1, 2, 3, 4]
    assert script.requests == [f"/v1/runs/r_1/events?from={start}" for start in ("start", "e1-2", "e1-3")]


async def test_nothing_follows_ends_it(listening):
    script = Script(HEAD + ready(0) + block(1), b"HTTP/1.1 204 No Content\r\n\r\n")
    async with listening(script) as url, Client(url, backoff=QUICK) as client:
        items = [item async for item in client.watch("a/room")]
    assert len(items) == 2
    assert script.requests[1] == "/v1/channels/a/room/events?from=e1-1"


async def test_an_overloaded_server_is_asked_again(listening):
    busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    script = Script(HEAD + ready(0), busy, busy, HEAD + ready(0) + block(1, "done"))
    async with listening(script) as url, Client(url, backoff=QUICK) as client:
        watch = client.watch("runs/r_1")
        assert [item.event.type async for item in watch] == ["ready", "ready", "done"]
        assert watch.reconnections == 3


async def test_patience_ends_with_what_the_server_said(listening):
    away = b'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 41\r\n\r\n{"code":"shutting_down","detail":"Later"}'
    script = Script(HEAD + ready(0), *[away] * 10_000)
    async with listening(script) as url, Client(url, backoff=QUICK, patience=Patience(again=0.2)) as client:
        with pytest.raises(ShuttingDown, match="Later"):
            [item async for item in client.watch("runs/r_1")]


async def test_a_server_that_falls_silent_is_left(listening, monkeypatch):
    monkeypatch.setattr(transports, "SILENCE", 0.2)
    stay = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + ready(0) + (block(1, "done") if stay.is_set() else b""))
        stay.set()
        await reader.read()  # until the client leaves

    notices = []
    async with listening(silent) as url, Client(url, backoff=QUICK) as client:
        items = [item async for item in client.watch("runs/r_1", notify=notices.append)]
    assert items[-1].event.type == "done"
    assert [type(notice) for notice in notices] == [Opened, Wait, Opened]
    assert notices[1].error.message.startswith("Nothing came from the server for")


async def test_comments_are_signs_of_life(listening, monkeypatch):
    monkeypatch.setattr(transports, "SILENCE", 1.0)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + ready(0))
        for _ in range(6):
            writer.write(b": hb\n\n")
            await writer.drain()
            await asyncio.sleep(0.25)
        writer.write(block(1, "done"))
        await writer.drain()

    async with listening(slow) as url, Client(url) as client:
        watch = client.watch("runs/r_1")
        assert [item.event.type async for item in watch] == ["ready", "done"]
        assert watch.reconnections == 0


def messages(*events: bytes) -> list[str]:
    ack = '{"op":"ack","id":1,"data":{"outcome":"replayed","cursor":"e1-0"}}'
    return [ack, *(event.decode() for event in events)]


def event(offset: int, kind: str = "token") -> bytes:
    return b'{"op":"event","stream":"runs/r_1","cursor":"e1-%d","event":{"type":"%b","run":"r_1","data":{}}}' % (
        offset,
        kind.encode(),
    )


@asynccontextmanager
async def websocket(*parts: tuple[list[str], int], reason: str = "for a reason") -> AsyncIterator[str]:
    """Sends each connection its part, and closes it with that code."""
    rest = list(parts)

    async def handle(socket) -> None:
        await socket.recv()
        told, code = rest.pop(0)
        for message in told:
            await socket.send(message)
        await socket.close(code, reason)

    async with websockets.serve(handle, "127.0.0.1", 0, subprotocols=["tokentape.v1"]) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("code", [1000, 1001, 1012, 3000])
async def test_close_codes_that_ask_to_come_back(code):
    first, second = (messages(event(1)), code), (messages(event(2, "done")), 1000)
    async with websocket(first, second) as url, Client(url, backoff=QUICK, transport="ws") as client:
        items = [item async for item in client.watch("runs/r_1")]
    assert [item.cursor.offset for item in items if item.cursor] == [1, 2]


async def test_a_close_with_a_pause_is_obeyed():
    parts = (messages(event(1)), 3002), (messages(event(2, "done")), 1000)
    waits = []
    async with (
        websocket(*parts, reason="retry=400; later") as url,
        Client(url, backoff=QUICK, transport="ws") as client,
    ):
        items = [item async for item in client.watch("runs/r_1", notify=waits.append)]
    assert [item.cursor.offset for item in items if item.cursor] == [1, 2]
    assert [0.4 <= wait.seconds < 1 for wait in waits if isinstance(wait, Wait)] == [True]


async def test_close_codes_that_do_not():
    async with websocket((messages(event(1)), 3500)) as url, Client(url, backoff=QUICK, transport="ws") as client:
        watch = client.watch("runs/r_1")
        assert [(await anext(watch)).event.type for _ in range(2)] == ["ready", "token"]
        with pytest.raises(Unauthorized, match="3500: for a reason"):
            await anext(watch)
        assert [item async for item in watch] == []


async def test_a_silent_websocket_is_asked_for_a_sign_of_life(url, monkeypatch):
    # A busy machine may well be silent for a few tenths of a second.
    monkeypatch.setattr(transports, "HEARTBEAT", 0.1)
    monkeypatch.setattr(transports, "SILENCE", 1.0)
    async with Client(url, transport="ws") as client, client.watch("room", "now") as watch:
        await anext(watch)
        quiet = asyncio.create_task(anext(watch))
        done, _ = await asyncio.wait([quiet], timeout=1.5)
        assert not done
        assert watch.reconnections == 0
        await client.publish("room", Publish("chat:line", 1))
        assert (await quiet).event.data == 1


async def test_a_websocket_that_answers_nothing_is_left(monkeypatch):
    monkeypatch.setattr(transports, "HEARTBEAT", 0.05)
    monkeypatch.setattr(transports, "SILENCE", 0.2)
    connections = 0

    async def handle(socket) -> None:
        nonlocal connections
        connections += 1
        await socket.recv()
        told = messages(event(1)) if connections == 1 else messages(event(2, "done"))
        for message in told:
            await socket.send(message)
        await socket.wait_closed()

    async with websockets.serve(handle, "127.0.0.1", 0, subprotocols=["tokentape.v1"], ping_interval=None) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Client(url, transport="ws", backoff=QUICK) as client:
            items = [item async for item in client.watch("runs/r_1")]
    assert [item.cursor for item in items if item.cursor] == [Cursor("e1", 1), Cursor("e1", 2)]
    assert connections == 2


async def test_an_answer_that_never_ends_is_not_kept(listening, monkeypatch):
    monkeypatch.setattr(http, "MAX_ANSWER", 1_000_000)

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with listening(endless) as url, Client(url) as client:
        with pytest.raises(ProtocolError, match="longer than 1000000 bytes"):
            await client.runs()
        for transport in ("sse", "poll"):
            with pytest.raises(ProtocolError, match="longer than 1000000 bytes"):
                await anext(client.watch("room", transport=transport))
