"""The load client as a WebSocket client: frames in every shape, hellos, and servers that break the protocol."""

import asyncio
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from native_rig import SPLITS, marker, scripted, watching, write
from websockets.asyncio.server import ServerConnection, serve


def frame(opcode: int, payload: bytes, *, last: bool = True, mask: int = 0) -> bytes:
    size = len(payload)
    code, width = (size, 0) if size < 126 else (126, 2) if size < 65536 else (127, 8)
    length = size.to_bytes(width, "big") if width else b""
    return bytes([opcode | (0x80 if last else 0), mask | code]) + length + payload


UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def frames() -> Iterable[bytes]:
    """Events 1 to 7 in frames of all three lengths, in fragments with a ping between them, and empty ones."""
    middle = marker(4)
    yield frame(1, marker(1).encode())
    yield frame(2, f"{'x' * 200}{marker(2)}".encode())
    yield frame(1, b"x" * 70_000 + marker(3).encode())
    yield frame(1, middle[:3].encode(), last=False)
    yield frame(9, b"#9@9; a ping is no event")
    yield frame(0, middle[3:].encode() + marker(5)[:1].encode(), last=False)
    yield frame(0, b"", last=False)
    yield frame(0, f"5@1;{marker(6)}".encode())
    yield frame(1, b"")
    yield frame(10, b"")
    yield frame(1, marker(7).encode())


@pytest.mark.parametrize("split", SPLITS)
async def test_each_event_of_a_websocket_counts_once_however_it_is_cut(programs: Path, split: str) -> None:
    pongs: list[bytes] = []

    async def answer(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert "Upgrade: websocket" in head
        for number, data in enumerate([UPGRADED, *frames(), frame(8, b"\x03\xe8bye")]):
            await write(writer, data, "random" if split == "bytes" and number == 3 else split)
        pongs.append(await reader.read())

    async with scripted(answer) as port, watching(programs, port, 2, "--transport", "ws") as load:
        assert (await load.ask("connect"))["connected"] == 2
        assert (await load.ask("ended 20"))["ended"] == 2
        report = await load.ask("report")
    assert (report["deliveries"], report["gaps"], report["duplicates"], report["max_seq"]) == (14, 0, 0, 7)
    assert (report["ended"], report["disconnected"]) == (2, 0)
    for sent in pongs:
        pong, close = unmask(sent)
        assert pong == (10, b"#9@9; a ping is no event")
        assert close == (8, b"\x03\xe8bye")


def unmask(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The short frames that a client sent."""
    while data:
        assert data[0] & 0x80
        assert data[1] & 0x80
        size = data[1] & 0x7F
        mask, payload = data[2:6], data[6 : 6 + size]
        yield data[0] & 0x0F, bytes(a ^ b for a, b in zip(payload, itertools.cycle(mask), strict=False))
        data = data[6 + size :]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(frame(1, b"\0\0\0\0", mask=0x80), id="masked"),
        pytest.param(frame(0, b"x"), id="continues nothing"),
        pytest.param(frame(1, b"x", last=False) + frame(1, b"x"), id="message within a message"),
        pytest.param(frame(0x41, b"x"), id="reserved bit"),
        pytest.param(frame(3, b"x"), id="unknown opcode"),
        pytest.param(frame(9, b"x" * 126), id="long ping"),
        pytest.param(frame(9, b"x", last=False), id="fragmented ping"),
        pytest.param(b"\x81\x7f\xff" + b"\0" * 7, id="length of 2^63"),
        pytest.param(b"", id="no close frame"),
    ],
)
async def test_a_websocket_that_breaks_the_protocol_is_disconnected(programs: Path, wrong: bytes) -> None:
    async def answer(_: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UPGRADED + frame(1, marker(1).encode()) + wrong)
        if wrong:
            await reader.read()  # until the client has left

    async with scripted(answer) as port, watching(programs, port, 1, "--transport", "ws") as load:
        assert (await load.ask("connect"))["connected"] == 1
        assert (await load.ask("ended 10"))["missing"] == 1
        report = await load.ask("report")
        assert (report["deliveries"], report["disconnected"], report["ended"]) == (1, 1, 0)


async def greeted(programs: Path, *options: object, **serving: Any) -> tuple[dict[str, Any], list[str | bytes]]:
    """Connects one watcher to a real server: what it then says, and what it sent."""
    received: list[str | bytes] = []

    async def converse(socket: ServerConnection) -> None:
        if "--engineio" in options:
            await socket.send('0{"sid":"a"}')
        received.append(await socket.recv())
        received.append(await socket.recv())
        await socket.send("welcome")
        if "--engineio" in options:
            await socket.send("2")
            received.append(await socket.recv())
        async with asyncio.timeout(10):
            await (await socket.ping())
        await socket.send([marker(1)[:4], f"{marker(2)}"])
        await socket.wait_closed()

    async with serve(converse, "127.0.0.1", 0, **serving) as server:
        port = server.sockets[0].getsockname()[1]
        async with watching(programs, port, 1, "--transport", "ws", *options) as load:
            connected = await load.ask("connect")
            await load.ask("wait 2 10")
            assert (await load.ask("report"))["deliveries"] == 1
            assert (await load.ask("cut")) == {"cut": 1}
    return connected, received


async def test_hellos_are_sent_and_answered_before_a_websocket_counts_as_connected(programs: Path) -> None:
    hellos = ("--hello", r'{"op":"subscribe\n"}', "--hello", "second {n}", "--subprotocol", "bench.v1")
    connected, received = await greeted(programs, *hellos, subprotocols=["bench.v1"])
    assert connected["connected"] == 1
    assert received == ['{"op":"subscribe\n"}', "second 0"]


async def test_hellos_can_be_binary(programs: Path) -> None:
    _, received = await greeted(programs, "--hello", r"CONNECT {}\r\n", "--hello", r"SUB a 1\r\n", "--hello-binary")
    assert received == [b"CONNECT {}\r\n", b"SUB a 1\r\n"]


async def test_engine_io_is_greeted_after_its_first_message_and_its_pings_are_answered(programs: Path) -> None:
    connected, received = await greeted(programs, "--engineio", "--hello", "40", "--hello", "42[]")
    assert connected["connected"] == 1
    assert received == ["40", "42[]", "3"]


async def test_a_websocket_that_does_not_answer_the_hello_is_not_connected(programs: Path) -> None:
    async def ignore(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.close(1008, "no")

    async with serve(ignore, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with watching(programs, port, 2, "--transport", "ws", "--hello", "hi") as load:
            connected = await load.ask("connect")
            assert connected["failed"] == 2
            assert connected["error"] == "the WebSocket was closed before the first message"


async def test_a_websocket_that_is_refused_is_failed_and_explained(programs: Path) -> None:
    async def answer(_: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    async with scripted(answer) as port, watching(programs, port, 1, "--transport", "ws") as load:
        assert (await load.ask("connect"))["error"] == "HTTP/1.1 200 OK: hello"
