import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tokentape.cli.relay import Relay, reset


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def relayed(handler=echo) -> AsyncIterator[Relay]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, Relay(host, port) as relay:
        yield relay


async def test_passes_everything_on_and_ends_as_the_other_side_did():
    async with relayed() as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        body = bytes(range(256)) * 4000
        writer.write(body)
        writer.write_eof()
        assert await reader.read(-1) == body
        writer.close()
        await writer.wait_closed()


async def test_cut_resets_every_connection():
    async with relayed() as relay:
        pairs = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(3)]
        for reader, writer in pairs:
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
        assert relay.connections == 3
        assert relay.cut() == 3
        for reader, writer in pairs:
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            writer.close()
        assert relay.connections == 0


async def test_takes_new_connections_after_a_cut():
    async with relayed() as relay:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(b"again")
            assert await reader.readexactly(5) == b"again"
            relay.cut()
            writer.close()


async def test_a_reset_of_the_server_reaches_the_client():
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        reset(writer)

    async with relayed(rude) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()


async def test_a_server_that_is_away_ends_the_connection():
    async with relayed() as relay:
        away = relay.port
    async with Relay("127.0.0.1", away) as orphan:
        reader, writer = await asyncio.open_connection("127.0.0.1", orphan.port)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
