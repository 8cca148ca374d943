"""`tokentape stop`: stop a run, and keep what it has said."""

from __future__ import annotations

import click

from tokentape.cli.connecting import connect
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit
from tokentape.cli.options import json_option, run, url_option
from tokentape.client import Client


@click.command()
@click.argument("run_id", metavar="RUN")
@url_option
@json_option("the run as one JSON document")
def stop(run_id: str, url: str, *, as_json: bool) -> Exit:
    """Stop a run, and keep what it has said.

    It is done when the run has ended; stopping a run that has ended is a success, and changes nothing.
    """
    console = Console(as_json=as_json)
    return run(_stop(console, connect(url), run_id.removeprefix("runs/")))


async def _stop(console: Console, client: Client, run_id: str) -> Exit:
    async with client:
        info = await client.stop(run_id)
    if console.as_json:
        console.document(info)
    else:
        console.line(f"{info.id} {info.reason or info.state}")
    return Exit.OK
