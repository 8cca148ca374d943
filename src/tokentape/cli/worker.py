"""`tokentape worker`: execute the runs that servers leave to workers."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import click
import msgspec

from tokentape import __version__
from tokentape.cli.configuration import config_option, read_config
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit
from tokentape.cli.options import json_option
from tokentape.cli.serve import run_server
from tokentape.server.config import ServerConfig
from tokentape.server.logs import configure_logging
from tokentape.server.serve import signals
from tokentape.tape import Tape

_log = logging.getLogger(__name__)


@click.command()
@click.option("--store", metavar="URL", help="redis://host, the same as that of the servers.")
@click.option("--concurrency", type=click.IntRange(1), help="Runs that it executes at a time; without it 100.")
@config_option
@json_option("one line, once it takes runs,")
def worker(store: str | None, concurrency: int | None, file: Path | None, *, as_json: bool) -> Exit:
    """Execute the runs that servers leave to workers, until Ctrl-C or SIGTERM.

    Servers do that with `execute = "workers"` under [runs], or TOKENTAPE_RUNS_EXECUTE=workers. Models, providers and
    the store are configured here as there. Asked to end, a worker takes nothing more, and gives what it executes
    its shutdown_grace; then runs that may be restarted go to other workers, and the rest is interrupted.
    """
    console = Console(as_json=as_json)
    read = read_config(file, store=store, **{"runs.concurrency": concurrency})
    # Whatever the servers do with their runs: what is started here is left to workers, too.
    config = msgspec.structs.replace(read, runs=msgspec.structs.replace(read.runs, execute="workers"))
    configure_logging(config.log)
    run_server(_work(config, console))
    return Exit.OK


async def _work(config: ServerConfig, console: Console) -> None:
    end = asyncio.Event()
    with signals(end):
        async with Tape(config=config) as tape:
            tape.runs.work(config.runs.concurrency)
            _announce(console, config.runs.concurrency)
            await end.wait()
            _log.info("ending; %d running generations get up to %g s", tape.runs.live(), config.shutdown_grace)
            await tape.runs.drain(config.shutdown_grace)


def _announce(console: Console, concurrency: int) -> None:
    if console.as_json:
        console.document({"worker": True, "version": __version__, "pid": os.getpid(), "concurrency": concurrency})
    else:
        console.line(f"tokentape {__version__} worker, {concurrency} runs at a time")
