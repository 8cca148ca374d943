"""tokentape's own server, whole: `Tape`, SQLite, HTTP and WebSocket, put together as `tokentape serve` does.

The events are a generation's: each `start` records an iterator onto the channel `bench`, so every event goes through
the run, the recorder and the store before anybody sees it. Their type is the application's own, which never merges:
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
from tokentape.tape import Tape

CHANNEL: Final = "bench"
BATCH: Final = 16
"""Unthrottled, the iterator gives so many events before the loop gets its turn."""
POLL_SECONDS: Final = 0.001


async def play(tape: Tape, ticks: AsyncGenerator[Tick, None]) -> None:
    """Returns when the store has the last event, and the end of the run with it."""

    given = asyncio.Event()

    async def events() -> AsyncGenerator[dict[str, Any], None]:
        try:
            async for _seq, text in ticks:
                yield {"type": "bench:tick", "data": {"text": text}}
        finally:
            given.set()

    run = await tape.record(events(), channel=CHANNEL)
    await given.wait()
    # Not by watching the run: that would be one more watcher to serve.
    while run.info.reason is None:  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
    if run.info.reason != "stop":
        raise RuntimeError(f"the run ended with {run.info.reason}")


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
            await obey(partial(tell if given.run else play, tape), batch=BATCH)
            # The harness is done with us; there is nothing to end in order.
            os._exit(0)
        await serving


if __name__ == "__main__":
    run_server(main())
