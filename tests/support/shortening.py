"""A bad connection: it ends, as if all was said, after so many bytes of what the server sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def shortened(port: int, enough: Callable[[bytes], bool]) -> AsyncIterator[int]:
    """The port of a relay to `port`; each connection is closed, both ways, once `enough` says so of all it brought."""
    tasks: set[asyncio.Task[None]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        upstream, upward = await asyncio.open_connection("127.0.0.1", port)
        sending = asyncio.create_task(_copy(reader, upward))
        try:
            brought = b""
            while not enough(brought) and (data := await upstream.read(256)):
                brought += data
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            writer.close()
            upward.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
