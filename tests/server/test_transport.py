"""Connections of our own protocols, on both event loops."""

import asyncio
import socket
import sys

import pytest
from http_rig import PATIENCE, running_server, serving_config
from starlette.applications import Starlette
from starlette.routing import Route
from watchers import drop_everything

from tokentape.server.serve import serve
from tokentape.server.transport import BUFFER, EXTENSION, Link, connection_of


class Responder:
    """An ASGI endpoint that a test leads by the hand."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.size = 0
        self.then = None
        self.result: asyncio.Future = asyncio.get_running_loop().create_future()

    async def __call__(self, scope, receive, send) -> None:
        self.link = scope["extensions"][EXTENSION]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * self.size, "more_body": True})
        self.begun.set()
        await self.go.wait()
        try:
            self.result.set_result(await self.then(self.link))
        except OSError as error:
            self.result.set_exception(error)


@pytest.fixture
async def responder():
    responder = Responder()
    app = Starlette(routes=[Route("/", responder)])
    app.state.readiness = type("Readiness", (), {"draining": False})()
    stop = asyncio.Event()
    ready = asyncio.get_running_loop().create_future()
    config = serving_config(port=0, limits__write_deadline="500ms")

    async def drain() -> None:
        pass

    serving = asyncio.create_task(serve(app, config, drain=drain, on_ready=ready.set_result, stop=stop))
    responder.port = int((await ready).rpartition(":")[2])
    yield responder
    responder.go.set()
    stop.set()
    await serving


async def connect(port: int, *, rcvbuf: int = 4096) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return sock


async def read_all(sock: socket.socket) -> tuple[int, bool]:
    """How many bytes came, and whether the connection was reset."""
    loop, count = asyncio.get_running_loop(), 0
    try:
        while data := await loop.sock_recv(sock, 65_536):
            count += len(data)
    except ConnectionError:
        return count, True
    return count, False


async def test_the_socket_is_bounded(responder):
    with await connect(responder.port):
        await responder.begun.wait()
        transport = responder.link._transport
        sock = transport.get_extra_info("socket")
        # The kernel doubles what is asked for, for its own book-keeping.
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * BUFFER
        assert transport.get_write_buffer_limits()[1] == BUFFER
        if sys.platform == "linux":
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 500


async def test_drained_waits_for_the_reader(responder):
    responder.size = 1_000_000

    async def then(link: Link) -> tuple[int, int, int]:
        transport = link._transport
        before = transport.get_write_buffer_size()
        await link.drained()
        return before, transport.get_write_buffer_size(), transport.get_write_buffer_limits()[1]

    responder.then = then
    with await connect(responder.port, rcvbuf=65_536) as sock:
        await responder.begun.wait()
        responder.go.set()
        reading = asyncio.create_task(read_all(sock))
        before, after, mark = await asyncio.wait_for(responder.result, PATIENCE)
        assert before > BUFFER
        assert after == 0
        assert mark == BUFFER
        count, _ = await reading
        assert count > 1_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not tell")
async def test_what_the_kernel_holds_is_buffered_too(responder):
    responder.size = 1_000_000

    async def then(link: Link) -> int:
        return link.buffered() - link._transport.get_write_buffer_size()

    responder.then = then
    with await connect(responder.port):
        await responder.begun.wait()
        responder.go.set()
        assert await asyncio.wait_for(responder.result, PATIENCE) > 10_000
        transport = responder.link._transport
    await responder.link.closed()
    assert responder.link.buffered() == 0
    assert transport.is_closing()


async def test_drained_returns_when_the_client_goes(responder):
    responder.size = 1_000_000
    responder.then = lambda link: link.drained()
    sock = await connect(responder.port)
    await responder.begun.wait()
    responder.go.set()
    await asyncio.sleep(0)
    sock.close()
    await asyncio.wait_for(responder.result, PATIENCE)
    assert responder.link.lost


async def test_abort_drops_what_is_buffered(responder):
    responder.size = 1_000_000

    async def then(link: Link) -> None:
        link.abort()
        await link.closed()

    responder.then = then
    with await connect(responder.port) as sock:
        await responder.begun.wait()
        responder.go.set()
        await asyncio.wait_for(responder.result, PATIENCE)
        count, _ = await read_all(sock)
        assert count < 1_000_000


async def test_close_lets_it_leave_but_not_the_end(responder):
    responder.size = 100_000

    async def then(link: Link) -> None:
        link.close()
        await link.closed()

    responder.then = then
    with await connect(responder.port, rcvbuf=65_536) as sock:
        await responder.begun.wait()
        responder.go.set()
        count, reset = await read_all(sock)
        assert count > 100_000
        assert not reset
        await asyncio.wait_for(responder.result, PATIENCE)


async def test_whoever_asked_is_told_once_that_the_client_is_gone(responder):
    told = []
    gone = asyncio.Event()

    async def then(link: Link) -> None:
        link.when_lost(lambda: told.append("one"))
        withdraw = link.when_lost(lambda: told.append("two"))
        link.when_lost(gone.set)
        withdraw()
        withdraw()

    responder.then = then
    with await connect(responder.port):
        await responder.begun.wait()
        responder.go.set()
        await asyncio.wait_for(responder.result, PATIENCE)
    await asyncio.wait_for(gone.wait(), PATIENCE)
    assert told == ["one"]
    responder.link.when_lost(lambda: told.append("late"))
    assert told == ["one", "late"]


@pytest.mark.skipif(sys.platform != "linux", reason="socket filters and TCP_USER_TIMEOUT are Linux's")
async def test_a_black_hole_is_noticed():
    """Faults, row 2: a client from which nothing comes any more, no FIN and no ACK."""
    async with (
        running_server(limits__heartbeat="100ms", limits__write_deadline="400ms") as rig,
        rig.stream("/v1/channels/room/events") as events,
    ):
        await events.next()
        drop_everything(events.writer.get_extra_info("socket").fileno())
        await rig.nobody_watches()


async def test_without_our_protocols_asgi_has_to_do():
    received: asyncio.Queue = asyncio.Queue()
    connection = connection_of({"type": "http"}, received.get)
    lost = asyncio.Event()
    withdraw = connection.when_lost(lost.set)
    received.put_nowait({"type": "http.request", "body": b""})
    received.put_nowait({"type": "http.disconnect"})
    await asyncio.wait_for(lost.wait(), PATIENCE)
    assert connection.lost
    assert connection.buffered() == 0
    withdraw()


async def test_a_refused_body_is_read_away_up_to_a_limit():
    """Its sender gets to the answer; who goes on for ever is cut."""
    async with running_server(limits__max_body=2000) as rig:
        _, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(
            b"POST /v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"

        async def send_for_ever() -> None:
            while True:
                writer.write(chunk)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_for_ever(), PATIENCE)
        writer.transport.abort()


async def test_crowded_connections_are_refused():
    async with (
        running_server(limits__connections=2) as rig,
        rig.stream("/v1/channels/room/events") as one,
        rig.stream("/v1/channels/room/events") as two,
    ):
        assert one.status == two.status == 200
        reply = await rig.ask("GET", "/v1/runs")
        assert (reply.status, reply.json["code"]) == (429, "too_many")
        assert (await rig.ask("GET", "/healthz")).status == 200
