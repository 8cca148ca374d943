"""`tokentape serve`: run the server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from tokentape import __version__
from tokentape.cli.configuration import config_option, read_config, with_durability
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit
from tokentape.cli.options import json_option
from tokentape.server.config import ServerConfig
from tokentape.server.logs import configure_logging
from tokentape.server.serve import serve as serve_app
from tokentape.server.serve import tune_interpreter
from tokentape.tape import Tape

T = TypeVar("T")


@click.command()
@click.option("--host", help="Where to listen; without it 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65_535), help="0 is any free one; without it 8000.")
@click.option(
    "--store", metavar="URL", help="sqlite:///file.db, redis://host or memory://; without it sqlite:///tokentape.db."
)
@click.option(
    "--durability",
    type=click.Choice(["normal", "full"]),
    help="What SQLite survives: a crash of the process (normal), or a loss of power too (full).",
)
@config_option
@json_option("one line with the address, once it listens,")
def serve(
    host: str | None,
    port: int | None,
    store: str | None,
    durability: str | None,
    file: Path | None,
    *,
    as_json: bool,
) -> Exit:
    """Run the server, until Ctrl-C or SIGTERM.

    Every setting can also stand in tokentape.toml, or in the environment as TOKENTAPE_HOST,
    TOKENTAPE_LIMITS_HEARTBEAT and so on; the command line goes before the environment, and that before the
    file.
    """
    console = Console(as_json=as_json)
    config = with_durability(read_config(file, host=host, port=port, store=store), durability)
    configure_logging(config.log)
    run_server(run_tape(config, partial(announce, console, config)))
    return Exit.OK


def announce(console: Console, config: ServerConfig, url: str) -> None:
    """Tells that the server listens, and whether everybody may come in."""
    is_open = not config.auth.api_keys and not config.auth.delegated
    if console.as_json:
        console.document({"url": url, "version": __version__, "pid": os.getpid(), "open": is_open})
        return
    console.line(f"tokentape {__version__} on {url}")
    if is_open:
        console.note("open: loopback without keys", colour="yellow")


async def run_tape(config: ServerConfig, on_ready: Callable[[str], None]) -> None:
    """Serves a tape from opening its store to closing it."""
    tape = Tape(config=config)
    async with tape:
        await serve_app(tape.app, config, drain=partial(tape.drain, config.shutdown_grace), on_ready=on_ready)


def run_server(work: Coroutine[Any, Any, T]) -> T:
    """Runs a server's event loop: uvloop, where there is one."""
    tune_interpreter()
    try:
        import uvloop  # noqa: PLC0415 - not on every system
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
