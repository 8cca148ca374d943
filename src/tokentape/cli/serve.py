"""`tokentape serve`: run the server."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
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
from tokentape.cli.supervisor import Supervisor
from tokentape.server.config import MAX_WORKERS, ServerConfig
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
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    help="Server processes on this address; more than one needs a store on Redis. Without it 1.",
)
@config_option
@click.option("--worker", type=(int, int), hidden=True, help="By the supervisor: which one, and its socket.")
@json_option("one line with the address, once it listens,")
def serve(
    *,
    host: str | None,
    port: int | None,
    store: str | None,
    durability: str | None,
    workers: int | None,
    file: Path | None,
    worker: tuple[int, int] | None,
    as_json: bool,
) -> Exit:
    """Run the server, until Ctrl-C or SIGTERM.

    Every setting can also stand in tokentape.toml, or in the environment as TOKENTAPE_HOST,
    TOKENTAPE_LIMITS_HEARTBEAT and so on; the command line goes before the environment, and that before the
    file.
    """
    console = Console(as_json=as_json)
    config = with_durability(read_config(file, host=host, port=port, store=store, workers=workers), durability)
    if worker is not None:
        configure_logging(config.log, worker=worker[0])
        run_server(run_worker(config, worker[1]))
        return Exit.OK
    configure_logging(config.log)
    on_ready = partial(announce, console, config)
    if config.workers > 1:
        options = {"--host": host, "--port": port, "--store": store, "--durability": durability, "--config": file}
        given = (word for name, value in options.items() if value is not None for word in (name, str(value)))
        command = (sys.executable, "-m", "tokentape", "serve", *given)
        asyncio.run(Supervisor(config, command, on_ready).run())
    else:
        run_server(run_tape(config, on_ready))
    return Exit.OK


def announce(console: Console, config: ServerConfig, url: str) -> None:
    """Tells that the server listens, and whether everybody may come in."""
    is_open = not config.auth.api_keys and not config.auth.delegated
    if console.as_json:
        about = {"url": url, "version": __version__, "pid": os.getpid(), "open": is_open, "workers": config.workers}
        console.document(about)
        return
    console.line(f"tokentape {__version__} on {url}" + (f", {config.workers} workers" if config.workers > 1 else ""))
    if is_open:
        console.note("open: loopback without keys", colour="yellow")


async def run_tape(config: ServerConfig, on_ready: Callable[[str], None], **options: Any) -> None:
    """Serves a tape from opening its store to closing it; the options are those of `server.serve.serve`."""
    tape = Tape(config=config)
    async with tape:
        drain = partial(tape.drain, config.shutdown_grace)
        await serve_app(tape.app, config, drain=drain, on_ready=on_ready, **options)


async def run_worker(config: ServerConfig, descriptor: int) -> None:
    """Serves as one of several processes: on a socket that is bound, and until the supervisor says so, or is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear() -> None:
        # Nothing is ever sent: what can be read is the end.
        loop.remove_reader(sys.stdin.fileno())
        stop.set()

    loop.add_reader(sys.stdin.fileno(), hear)
    on_ready = partial(announce, Console(as_json=True), config)
    listener = socket.socket(fileno=descriptor)
    await run_tape(config, on_ready, stop=stop, listener=listener, second_ends=False)


def run_server(work: Coroutine[Any, Any, T]) -> T:
    """Runs a server's event loop: uvloop, where there is one."""
    tune_interpreter()
    try:
        import uvloop  # noqa: PLC0415 - not on every system
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
