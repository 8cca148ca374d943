"""`tokentape watch`: play a stream or a run, from any point, and follow it."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import click

from tokentape.cli.connecting import connect
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit, exit_for_reason
from tokentape.cli.invocation import command
from tokentape.cli.options import json_option, run, transport_option, url_option
from tokentape.cli.playback import playback, tell_connection
from tokentape.client import Client, Transport
from tokentape.core.resume import From, parse_from

_RUN_ID: Final = re.compile(r"r_[0-9a-z]+", re.ASCII)


@click.command()
@click.argument("name", metavar="STREAM|RUN")
@click.option(
    "--from",
    "start",
    metavar="POSITION",
    help="start, now, snapshot or a cursor; a run is played from its start, a channel from now.",
)
@click.option("--raw", is_flag=True, help="Print each event as the server sent it, one JSON object per line.")
@click.option("--no-merge", is_flag=True, help="Each event as it was recorded, also from the past.")
@transport_option
@url_option
@json_option("events with their cursors, as JSON lines,")
def watch(
    name: str,
    start: str | None,
    transport: Transport,
    url: str,
    *,
    raw: bool,
    no_merge: bool,
    as_json: bool,
) -> Exit:
    """Play a stream or a run, and follow it live.

    It reconnects by itself and goes on exactly where it was. For a run it ends with the run, and its exit
    code says how; Ctrl-C leaves a run going.
    """
    console = Console(as_json=as_json)
    stream = stream_name(name)
    own = stream.startswith("runs/")
    position: From = parse_from(start) if start is not None else "start" if own else "now"
    return run(_watch(console, connect(url, transport), url, stream, position, raw=raw, merge=not no_merge))


def stream_name(name: str) -> str:
    """The stream that a name on the command line means: `r_…` is the view of that run."""
    return f"runs/{name}" if _RUN_ID.fullmatch(name) else name


async def _watch(
    console: Console, client: Client, url: str, stream: str, position: From, *, raw: bool, merge: bool
) -> Exit:
    shown = playback(console, bare=raw)
    async with client, client.watch(stream, position, merge=merge, notify=tell_connection(console)) as watching:
        try:
            async for item in watching:
                shown.show(item)
        except asyncio.CancelledError:
            shown.close()
            again = command("watch", stream, "--from", str(watching.position), url=url)
            console.note(f"To go on from here: {again}", dim=True)
            raise
    shown.close()
    return exit_for_reason(shown.reason) if stream.startswith("runs/") else Exit.OK
