"""tokentape's own server, whole: `Tape`, SQLite, HTTP and WebSocket, put together as `tokentape serve` does.

The events are a generation's: an iterator is recorded onto the channel `bench`, so every event goes through the run,
the recorder and the store before anybody sees it. Their type is the application's own, which never merges:
what the watchers count are single events, however many of them share a write. With `--run` they are the tokens of a
run instead, on its own stream, so that they can be watched in any format.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from control import Tick, arguments, obey, ready

from tokentape.cli.serve import run_server
from tokentape.core.events import Event
from tokentape.hub.channels import RUN_STREAMS
from tokentape.server.config import load_config
from tokentape.server.logs import configure_logging
from tokentape.server.serve import serve
from tokentape.stores.base import Append, StreamConfig
from tokentape.tape import Run, Tape

CHANNEL: Final = "bench"
BATCH: Final = 16
"""Unthrottled, the iterator gives so many events before the loop gets its turn."""
POLL_SECONDS: Final = 0.001


class Generation:
    """One run that goes on for as long as the server; each `start` lets it say some more.

    A run for each would have its own first and last event, which no watcher counts, and in a window of ten events would
    be a fifth of the work.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._pieces: asyncio.Queue[tuple[AsyncGenerator[Tick, None], asyncio.Future[str]]] = asyncio.Queue()
        self._run: Run | None = None

    async def play(self, ticks: AsyncGenerator[Tick, None]) -> None:
        """Returns when the store has the last event."""
        if self._run is None:
            self._run = await self._tape.record(self._events(), channel=CHANNEL)
        self._check(self._run)
        said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._pieces.put_nowait((ticks, said))
        last = await said
        # Not by watching the run: that would be one more watcher to serve.
        while not await self._has(last):
            self._check(self._run)
            await asyncio.sleep(POLL_SECONDS)

    def _check(self, run: Run) -> None:
        if run.info.reason is not None:
            raise RuntimeError(f"the run has ended with {run.info.reason}")

    async def _events(self) -> AsyncGenerator[dict[str, Any], None]:
        while True:
            ticks, said = await self._pieces.get()
            text = ""
            try:
                async for _seq, text in ticks:
                    yield {"type": "bench:tick", "data": {"text": text}}
            except BaseException:
                # Whoever waits for the end of this piece would wait for ever.
                said.set_exception(RuntimeError("the run has ended in the middle of its events"))
                raise
            said.set_result(text)

    async def _has(self, text: str) -> bool:
        info = await self._tape.store.info(CHANNEL)
        page = await self._tape.store.read(CHANNEL, info.last - 1)
        return any(text.encode() in record for _, record in page.records)


async def tell(tape: Tape, ticks: AsyncGenerator[Tick, None]) -> None:
    """Appends tokens of the run `bench`, which never ends."""
    async for _seq, text in ticks:
        token = Event(type="token", run=CHANNEL, data=text)
        await tape.hub.append(Append(stream=f"{RUN_STREAMS}{CHANNEL}"), [token])


def _own(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-io-uring", action="store_true", help="one system call for each write")
    parser.add_argument("--run", action="store_true", help="tokens of a run instead of events of a channel")
    parser.add_argument("--store", default="", help="instead of a SQLite file")


async def main() -> None:
    given = arguments(_own)
    settings = {
        "port": given.port,
        "store": given.store or f"sqlite:///{Path.cwd() / 'bench.db'}",
        "log.level": "warning",
        "io_uring": not given.no_io_uring,
    }
    config = load_config(None, {}, settings)
    configure_logging(config.log)
    listening = asyncio.get_running_loop().create_future()
    async with Tape(config=config) as tape:
        # The watched stream is there before anybody watches it.
        await tape.channels.ensure(CHANNEL)
        await tape.store.create(f"{RUN_STREAMS}{CHANNEL}", StreamConfig())
        serving = asyncio.create_task(
            serve(tape.app, config, drain=partial(tape.drain, 0), on_ready=listening.set_result)
        )
        await asyncio.wait([serving, listening], return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            ready(urlsplit(listening.result()).port or 0)
            await obey(partial(tell, tape) if given.run else Generation(tape).play, batch=BATCH)
            # The harness is done with us; there is nothing to end in order.
            os._exit(0)
        await serving


if __name__ == "__main__":
    run_server(main())
