"""The laws of `tokentape.providers.exchange` on real connections, read by the transport or by an intake."""

import asyncio

import aiohttp
import pytest
from exchanging import Pool, Told, pool
from upstreams import raw_upstream, says

from tokentape.providers.exchange import MAX_OVERHEAD, NOT_HTTP, Exchange

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

pytestmark = pytest.mark.usefixtures("by_intake")


async def test_a_response_from_head_to_end_and_the_connection_is_used_again():
    async with pool(says(OK)) as (connections, upstream):
        for _ in range(3):
            told = await connections.told()
            assert told.summary == (200, {"Content-Length": "5"}, b"hello", ["end"])
        assert (upstream.accepted, len(upstream.connections)) == (1, 3)


async def test_what_is_said_in_between_is_passed_over():
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with pool(says(hints + OK)) as (connections, _):
        assert (await connections.told()).summary == (200, {"Content-Length": "5"}, b"hello", ["end"])


async def test_trailers_are_no_part_of_the_head():
    async with pool(says(CHUNKED, b"5\r\nhello\r\n0\r\nDigest: x\r\n\r\n")) as (connections, upstream):
        for _ in range(2):
            told = await connections.told()
            assert (told.headers, told.ends) == ({"Transfer-Encoding": "chunked"}, ["end"])
        assert upstream.accepted == 1


@pytest.mark.parametrize(
    "surplus", [OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n", b"garbage\r\n\r\n"]
)
async def test_what_comes_after_a_response_is_nobodys_and_ends_the_connection(surplus):
    async with pool(says(OK + surplus)) as (connections, upstream):
        for _ in range(2):
            assert (await connections.told()).summary[2:] == (b"hello", ["end"])
        assert upstream.accepted == 2


async def test_what_comes_later_ends_the_pooled_connection():
    more = asyncio.Event()

    async def answer(connection):
        await connection.send(OK)
        if not more.is_set():
            await more.wait()
            await connection.send(b"HTTP/1.1 408 Too late\r\nContent-Length: 0\r\n\r\n")

    async with pool(answer) as (connections, upstream):
        await connections.told()
        more.set()
        while upstream.accepted == 1:
            await asyncio.sleep(0.01)
            told = await connections.told()
            assert (told.status, told.body) == (200, b"hello")


@pytest.mark.parametrize("head", [b"Connection: close\r\n", b"Keep-Alive: 5\r\nConnection: x, close\r\n"])
async def test_a_server_that_will_close_is_not_asked_again(head):
    async with pool(says(OK.replace(b"\r\n\r\n", b"\r\n" + head + b"\r\n", 1))) as (connections, upstream):
        for _ in range(2):
            assert (await connections.told()).ends == ["end"]
        assert upstream.accepted == 2


async def test_an_answer_to_half_a_request_is_heard_and_the_connection_closed():
    async def impatient(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        closed.set_result(await reader.read())
        writer.close()

    closed = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(impatient, "127.0.0.1", 0, limit=1000)
    async with server:
        connections = Pool(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        told = Told()
        await connections.ask(told, b"x" * 50_000_000)
        await told.over.wait()
        assert (told.status, told.ends) == (413, ["end"])
        assert len(await closed) < 50_000_000
        await connections.aclose()


@pytest.mark.parametrize(
    ("response", "status", "body"),
    [
        (b"", None, b""),
        (b"HTTP/1.1 200", None, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 200, b"hello"),
        (CHUNKED + b"5\r\nhello\r\n", 200, b"hello"),
        (CHUNKED + b"5\r\nhel", 200, b"hel"),
    ],
)
async def test_an_end_before_its_time_is_a_loss(response, status, body):
    async with raw_upstream(says(response)) as upstream:
        connections = Pool(upstream.url)
        told = await connections.told()
        assert (told.status, told.body, told.ends) == (status, body, [None])
        await connections.aclose()


async def test_a_body_without_a_length_ends_with_the_connection():
    async with raw_upstream(says(b"HTTP/1.1 200 OK\r\n\r\nhello")) as upstream:
        connections = Pool(upstream.url)
        assert (await connections.told()).summary == (200, {}, b"hello", ["end"])
        await connections.aclose()


async def test_a_reset_is_a_loss_with_a_reason():
    async def reset(connection):
        await connection.send(CHUNKED, b"5\r\nhello\r\n")
        await heard.wait()
        connection.writer.get_extra_info("socket").setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: send RST
        connection.reset()

    heard = asyncio.Event()
    async with pool(reset) as (connections, _):
        told = Told()
        await connections.ask(told)
        await told.began.wait()
        heard.set()
        await told.over.wait()
        assert isinstance(told.ends[0], ConnectionError)


@pytest.mark.parametrize(
    "response", [b"SSH-2.0-x\r\n", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"]
)
async def test_what_is_not_http_is_a_loss_and_the_connection_is_cut(response):
    async with pool(says(response)) as (connections, upstream):
        told = await connections.told()
        assert told.status is None
        assert isinstance(told.ends[0], NOT_HTTP)
        await connections.told()
        assert upstream.accepted == 2


async def test_what_came_before_a_breach_of_the_protocol_is_told_first():
    async with pool(says(CHUNKED + b"5\r\nhello\r\nnot a length\r\n")) as (connections, _):
        told = await connections.told()
        assert told.body == b"hello"
        assert isinstance(told.ends[0], NOT_HTTP)


@pytest.mark.parametrize("before", [b"HTTP/1.1 200 OK\r\n", CHUNKED + b"5\r\nhello\r\n0\r\n"])
async def test_headers_without_end_are_cut(before):
    async def endless(connection):
        await connection.send(before)
        for _ in range(2 * MAX_OVERHEAD // 1000):
            await connection.send(b"X: " + b"y" * 995 + b"\r\n")
        await connection.closed()

    async with pool(endless) as (connections, _):
        assert isinstance((await connections.told()).ends[0], NOT_HTTP)


@pytest.mark.parametrize("place", ["head", "body"])
async def test_after_an_abort_nothing_is_told(place):
    async def answer(connection):
        await connection.send(OK)
        await connection.closed()
        closed.set()

    closed = asyncio.Event()
    async with pool(answer) as (connections, _):
        told = await connections.told(abort_at=place)
        async with asyncio.timeout(10):
            await closed.wait()
        assert (told.body, told.ends) == (b"" if place == "head" else b"hello", [])


async def test_a_pause_holds_the_server_up():
    async def flood(connection):
        nonlocal sent
        await connection.send(CHUNKED)
        for _ in range(300):
            await connection.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            sent += 1
        await connection.send(b"0\r\n\r\n")

    sent = 0
    async with pool(flood) as (connections, _):
        told = Told()
        exchange = await connections.ask(told)
        await told.began.wait()
        exchange.pause()
        before = -1
        while sent > before:  # until nothing moves any more
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 300
        held = len(told.body)
        await asyncio.sleep(0.05)
        assert len(told.body) == held
        exchange.resume()
        async with asyncio.timeout(10):
            await told.over.wait()
        assert (len(told.body), told.ends) == (300 * 65_536, ["end"])


@pytest.mark.parametrize("in_time", [True, False])
async def test_the_rest_of_a_response_is_waited_for_but_not_told(in_time):
    async def answer(connection):
        await connection.send(CHUNKED, b"5\r\nhello\r\n")
        await drained.wait()
        if in_time:
            await connection.send(b"4\r\nmore\r\n0\r\n\r\n")
        else:
            await connection.closed()

    drained = asyncio.Event()
    async with pool(answer) as (connections, upstream):
        told = Told()
        exchange = await connections.ask(told)
        await told.began.wait()
        exchange.drain(0.2)
        drained.set()
        await asyncio.sleep(0.3)
        assert (told.body, told.ends) == (b"hello", [])
        await connections.told(abort_at="body")
        assert upstream.accepted == (1 if in_time else 2)


async def test_a_connection_that_is_lost_already_cannot_be_asked():
    async with pool(says(OK)) as (connections, _):
        connection, _head = await connections._upstream._connect(5)
        connection.transport.abort()
        with pytest.raises(aiohttp.ClientConnectionError):
            Exchange(connection, Told())
