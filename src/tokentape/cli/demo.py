"""`tokentape demo`: a server to try by hand, or the whole story by itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tokentape.cli.configuration import sqlite_url
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit
from tokentape.cli.invocation import command
from tokentape.cli.options import json_option
from tokentape.cli.script import play_script
from tokentape.cli.serve import run_server, run_tape
from tokentape.server.config import load_config
from tokentape.server.logs import configure_logging


@click.command()
@click.option("--script", is_flag=True, help="Play the story in the terminal: cut, late joiner, kill -9, stop.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Where to listen; without it any free port.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the recordings in this folder; without it they are removed at the end.",
)
@json_option("one line with the address, or with --script the result,")
def demo(port: int, keep: Path | None, *, script: bool, as_json: bool) -> Exit:
    """Try tokentape, with a simulated model and a SQLite file in a temporary folder.

    Starts a server on a free port of this machine, and prints what to try; it runs until Ctrl-C. With --script
    it plays the whole story by itself, in some fifteen seconds, and compares what every watcher received with
    what was recorded: the exit code is 1 when anything differs.
    """
    console = Console(as_json=as_json)
    with _folder(keep) as folder:
        if script:
            return play_script(console, folder)
        return _server(console, folder, port, kept=keep is not None)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="tokentape-demo-") as made:
        yield Path(made)


def _server(console: Console, folder: Path, port: int, *, kept: bool) -> Exit:
    # Nothing from the environment: the demo is the same with and without keys of real providers.
    overrides = {"host": "127.0.0.1", "port": port, "store": sqlite_url(folder / "tape.db")}
    config = load_config(None, {}, {**overrides, "log.level": "warning", "shutdown_grace": 0})
    configure_logging(config.log)
    run_server(run_tape(config, lambda url: _invite(console, url, folder, kept=kept)))
    return Exit.OK


def _invite(console: Console, url: str, folder: Path, *, kept: bool) -> None:
    suggestions = (
        ("Stream an answer. Ctrl-C lets go of it, and prints how to come back:", ("send", "Tell me about the tides")),
        ("Follow a channel, in a terminal of its own:", ("watch", "lobby")),
        ("Start a run which everybody in that channel sees:", ("send", "Good morning", "--channel", "lobby")),
    )
    lines = [(what, command(*words, url=url)) for what, words in suggestions]
    if console.as_json:
        console.document({"url": url, "folder": str(folder), "commands": [line for _, line in lines]})
        return
    console.line(f"tokentape demo on {url}")
    console.note("open: loopback without keys", colour="yellow")
    console.line(f"recordings in {folder}" + ("" if kept else ", removed at the end"))
    console.line("\nOpen that address in a browser, or try in another terminal:")
    for what, line in lines:
        console.line(f"\n  {what}\n    {line}")
    console.line("\nCtrl-C ends it.")
