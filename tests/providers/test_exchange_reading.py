"""Who reads the socket of an exchange, the transport or an intake, and that it makes no difference to anybody."""

import asyncio

import psutil
import pytest
from exchanging import Told, pool

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

pytestmark = pytest.mark.usefixtures("by_intake")


def halves(*, end: asyncio.Event):
    """Answers with half a body, and with the rest of it later."""

    async def answer(connection):
        await connection.send(CHUNKED, b"5\r\nhello\r\n")
        await end.wait()
        await connection.send(b"5\r\nworld\r\n0\r\n\r\n")

    return answer


async def test_one_reads_at_a_time_and_the_connection_comes_back_as_it_was(by_intake):
    end = asyncio.Event()
    async with pool(halves(end=end)) as (connections, upstream):
        for _ in range(3):
            end.clear()
            told = Told()
            exchange = await connections.ask(told)
            await told.began.wait()
            transport = exchange._transport
            assert transport.is_reading() is not by_intake
            assert bool(connections.intake and connections.intake._readers) is by_intake
            end.set()
            await told.over.wait()
            assert (told.body, told.ends) == (b"helloworld", ["end"])
            assert transport.is_reading()
            assert not (connections.intake and connections.intake._readers)
        assert upstream.accepted == 1


@pytest.mark.parametrize("paused", [False, True])
async def test_a_pooled_connection_that_the_server_closes_is_not_used(paused):
    """Back in the pool it is the transport that reads, and notices, also when nothing was read at the end."""
    end, gone = asyncio.Event(), asyncio.Event()

    async def answer(connection):
        await halves(end=end)(connection)
        await gone.wait()
        connection.reset()

    async with pool(answer) as (connections, upstream):
        told = Told()
        exchange = await connections.ask(told)
        await told.began.wait()
        if paused:
            exchange.pause()
            end.set()
            exchange.resume()
        end.set()
        await told.over.wait()
        transport = exchange._transport
        gone.set()
        async with asyncio.timeout(5):
            while not transport.is_closing():  # noqa: ASYNC110 - the transport tells the pool, not us
                await asyncio.sleep(0.001)
        gone.clear()
        assert (await connections.told()).body == b"helloworld"
        assert upstream.accepted == 2


async def test_a_pause_from_inside_lasts_until_it_is_resumed():
    class Pausing(Told):
        def head_received(self, head):
            super().head_received(head)
            self.exchange.pause()
            self.began.set()

    end = asyncio.Event()
    async with pool(halves(end=end)) as (connections, upstream):
        told = Pausing()
        exchange = await connections.ask(told)
        await told.began.wait()
        end.set()
        assert (await connections.told()).body == b"helloworld"  # by when all of it is on the socket
        assert len(told.body) < 10
        exchange.resume()
        await told.over.wait()
        assert (told.body, told.ends, upstream.accepted) == (b"helloworld", ["end"], 2)


async def test_a_reset_is_no_end_of_a_body_without_a_length():
    async def reset(connection):
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await told.began.wait()
        connection.writer.get_extra_info("socket").setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: send RST
        connection.reset()

    async with pool(reset) as (connections, _):
        told = Told()
        await connections.ask(told)
        await told.over.wait()
        assert told.body == b"hello"
        assert isinstance(told.ends[0], ConnectionError)


async def test_a_receiver_that_fails_is_told_and_gets_no_answer_with_a_gap():
    class Failing(Told):
        def body_received(self, data):
            super().body_received(data)
            if b"world" in self.body:
                failed.set()
                raise RuntimeError("no")

    async def answer(connection):
        await connection.send(CHUNKED, b"5\r\nhello\r\n")
        await told.began.wait()
        await connection.send(b"5\r\nworld\r\n")
        await failed.wait()
        await connection.send(b"4\r\nmore\r\n")
        await connection.closed()
        closed.set()

    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))
    failed, closed = asyncio.Event(), asyncio.Event()
    async with pool(answer) as (connections, _):
        told = Failing()
        await connections.ask(told)
        async with asyncio.timeout(5):
            await told.over.wait()
            await closed.wait()
        assert told.body == b"helloworld"
        assert [str(end) for end in told.ends] == [str(error) for error in complaints] == ["no"]


@pytest.mark.parametrize("paused", [False, True])
async def test_when_the_pool_is_closed_in_mid_body_that_is_a_loss(paused):
    async with pool(halves(end=asyncio.Event())) as (connections, _):
        told = Told()
        exchange = await connections.ask(told)
        await told.began.wait()
        if paused:
            exchange.pause()
        await connections.aclose()
        exchange.resume()
        async with asyncio.timeout(5):
            await told.over.wait()
        assert (told.body, told.ends) == (b"hello", [None])


async def test_nothing_is_left_of_connections_that_ended_in_any_way():
    async def answer(connection):
        await connection.send(CHUNKED, b"5\r\nhello\r\n")
        if b"whole" in connection.body:
            await connection.send(b"0\r\n\r\n")
        else:
            await connection.closed()

    def left():
        return psutil.Process().num_fds(), len(asyncio.all_tasks())

    async def round_():
        async with pool(answer) as (connections, _):
            for turn in range(10):
                told = Told()
                exchange = await connections.ask(told, b"whole" if turn % 5 == 0 else b"half")
                await told.began.wait()
                if turn % 5 == 1:
                    exchange.abort()
                elif turn % 5 == 2:
                    exchange.drain(0.001)
                elif turn % 5 == 3:
                    exchange.pause()
                # Else it is left as it is.
            await asyncio.sleep(0.01)

    await round_()
    before = left()
    await round_()
    async with asyncio.timeout(5):
        while left() != before:  # noqa: ASYNC110 - nobody tells of what is gone
            await asyncio.sleep(0.001)
