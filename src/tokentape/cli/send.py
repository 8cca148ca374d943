"""`tokentape send`: start a run, and stream its answer."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, get_args

import click
import msgspec

from tokentape.cli.connecting import connect
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit, exit_for_reason
from tokentape.cli.invocation import command
from tokentape.cli.options import json_option, run, transport_option, url_option
from tokentape.cli.playback import Playback, playback, tell_connection
from tokentape.client import Client, Patience, Transport, Watch
from tokentape.providers.simulation import Options
from tokentape.runs.request import OnCrash


@click.command()
@click.argument("prompt", nargs=-1)
@click.option("--model", default="", help="A configured model; without it the server's default.")
@click.option("--system", help="Instructions that go before the prompt.")
@click.option("--channel", help="Record the run on this channel; without it on a stream of its own.")
@click.option("--temperature", type=float, help="Passed on to the model.")
@click.option("--max-tokens", type=click.IntRange(1), help="Passed on to the model.")
@click.option("--key", help="Idempotency key: sent twice, it is the same run.")
@click.option(
    "--on-crash",
    type=click.Choice(get_args(OnCrash)),
    help="When the process dies that executes the run: end it (interrupt), or begin again elsewhere (restart).",
)
@click.option(
    "--simulated",
    multiple=True,
    metavar="NAME=VALUE,…",
    help="For the simulated model: rate, tokens, seed, fault and others; repeatable.",
)
@click.option("--stop-on-interrupt", is_flag=True, help="Ctrl-C stops the run; without it, it goes on.")
@transport_option
@url_option
@json_option("the run, then its events, as JSON lines,")
def send(
    prompt: tuple[str, ...],
    key: str | None,
    simulated: tuple[str, ...],
    transport: Transport,
    url: str,
    *,
    stop_on_interrupt: bool,
    as_json: bool,
    **fields: Any,
) -> Exit:
    """Start a run with PROMPT, and stream its answer.

    PROMPT is '-', or left out, to read it from stdin. The answer goes to stdout, everything else to stderr.

    Ctrl-C only lets go of the answer: the run goes on, and the command to come back is printed. With
    --stop-on-interrupt it stops the run.
    """
    console = Console(as_json=as_json)
    text = " ".join(prompt)
    if text in ("", "-"):
        text = _from_stdin()
    request = _request(text, simulated, fields)
    # The server that took the run is there: a watch that does not come about at once is worth another try.
    client = connect(url, transport, patience=Patience(first=Patience().again))
    return run(_send(console, client, url, request, key, stop_on_interrupt=stop_on_interrupt))


def _from_stdin() -> str:
    if sys.stdin.isatty():
        raise click.UsageError("Give a PROMPT, or pipe one in.")
    text = sys.stdin.read().strip()
    if not text:
        raise click.UsageError("The PROMPT on stdin is empty.")
    return text


def _request(prompt: str, simulated: tuple[str, ...], fields: dict[str, Any]) -> dict[str, Any]:
    system = fields.pop("system")
    messages = [{"role": "system", "content": system}] if system else []
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    return {
        **given,
        "messages": [*messages, {"role": "user", "content": prompt}],
        "simulated": _options(simulated),
    }


def _options(texts: tuple[str, ...]) -> dict[str, Any]:
    """Those of the simulated model: `rate=50,tokens=300`, in one text or in several."""
    return {name: _value(value) for text in texts for name, value in Options.pairs(text).items()}


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


async def _send(
    console: Console, client: Client, url: str, request: dict[str, Any], key: str | None, *, stop_on_interrupt: bool
) -> Exit:
    async with client:
        info = await client.start(request, idempotency_key=key)
        if console.as_json:
            console.document({"run": info})
        else:
            console.note(f"run {info.id} · {info.model}", dim=True)
        watch = client.watch(f"runs/{info.id}", notify=tell_connection(console))
        shown = playback(console)
        try:
            await play(watch, shown)
        except asyncio.CancelledError:
            shown.close()
            if not stop_on_interrupt:
                console.note(f"Let go of run {info.id}, which goes on.", bold=True)
                console.note(f"  to come back  {command('watch', info.id, '--from', str(watch.position), url=url)}")
                console.note(f"  to stop it    {command('stop', info.id, url=url)}")
                raise
            task = asyncio.current_task()
            assert task is not None
            # From here on the interrupt has been answered; another one ends the program at once.
            task.uncancel()
            await client.stop(info.id)
            await play(client.watch(f"runs/{info.id}", watch.position), shown)
    return exit_for_reason(shown.reason)


async def play(watch: Watch, shown: Playback) -> None:
    """Shows a watch to its end."""
    async with watch:
        async for item in watch:
            shown.show(item)
    shown.close()
