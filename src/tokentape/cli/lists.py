"""`tokentape runs` and `tokentape streams`: what a server has."""

from __future__ import annotations

import datetime as dt

import click

from tokentape.cli.connecting import connect
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit
from tokentape.cli.options import json_option, run, url_option
from tokentape.client import Client
from tokentape.runs.request import State

limit_option = click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")


@click.command()
@click.option("--state", type=click.Choice(["queued", "running", "done"]), help="Only those in this state.")
@click.option("--before", metavar="RUN", help="Only those older than this one: for the next page.")
@limit_option
@url_option
@json_option("a list as one JSON document")
def runs(state: State | None, before: str | None, limit: int, url: str, *, as_json: bool) -> Exit:
    """List runs, the newest first."""
    return run(_runs(Console(as_json=as_json), connect(url), state, before, limit))


async def _runs(console: Console, client: Client, state: State | None, before: str | None, limit: int) -> Exit:
    async with client:
        found = await client.runs(state=state, before=before, limit=limit)
    if console.as_json:
        console.document(found)
        return Exit.OK
    rows = [
        (r.id, f"{r.state}: {r.reason}" if r.reason else r.state, r.model, when(r.created_at), r.stream) for r in found
    ]
    if rows:
        console.table(("RUN", "STATE", "MODEL", "STARTED", "STREAM"), rows)
    else:
        console.note("No runs yet. Start one with 'tokentape send PROMPT'.")
    return Exit.OK


@click.command()
@click.option("--prefix", help="Only those whose name starts so.")
@click.option("--after", metavar="NAME", help="Only those that sort after this one: for the next page.")
@limit_option
@url_option
@json_option("a list as one JSON document")
def streams(prefix: str | None, after: str | None, limit: int, url: str, *, as_json: bool) -> Exit:
    """List streams, by name."""
    return run(_streams(Console(as_json=as_json), connect(url), prefix, after, limit))


async def _streams(console: Console, client: Client, prefix: str | None, after: str | None, limit: int) -> Exit:
    async with client:
        found = await client.streams(prefix=prefix, after=after, limit=limit)
    if console.as_json:
        console.document(found)
        return Exit.OK
    rows = [
        (s.name, str(s.last - s.first + 1), size(s.bytes), "closed" if s.closed else "open", when(s.appended_at))
        for s in found
    ]
    if rows:
        console.table(("STREAM", "EVENTS", "SIZE", "STATE", "LAST EVENT"), rows)
    else:
        console.note("No streams yet. A run or a publish makes one.")
    return Exit.OK


def when(milliseconds: int) -> str:
    """A moment in local time, to the second; a dash for never."""
    if not milliseconds:
        return "-"
    moment = dt.datetime.fromtimestamp(milliseconds / 1000, tz=dt.UTC).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def size(count: int) -> str:
    """Bytes in the unit that a person would choose."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} KiB" if count < 1_048_576 else f"{count / 1_048_576:.1f} MiB"
