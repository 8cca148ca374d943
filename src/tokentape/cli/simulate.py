"""`tokentape simulate`: serve a simulated model in OpenAI's and Anthropic's formats."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from tokentape.cli.console import Console
from tokentape.cli.exits import Exit
from tokentape.cli.options import json_option
from tokentape.cli.serve import run_server
from tokentape.server.config import load_config
from tokentape.server.logs import configure_logging
from tokentape.server.routes.system import Readiness
from tokentape.server.serve import serve
from tokentape.server.simulate.app import simulate_app


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8001, show_default=True, help="0 is any free one.")
@click.option("--rate", type=click.FloatRange(0), help="Tokens in a second; 0 is as fast as they are taken.")
@click.option("--tokens", type=click.IntRange(0), help="How many tokens an answer has.")
@click.option("--seed", type=int, help="The same seed and prompt give the same answer.")
@click.option("--fault", help="What goes wrong, such as 'stall@20:5s', 'cut@50' or 'status:429:2s'; joined by '+'.")
@json_option("one line with the addresses, once it listens,")
def simulate(host: str, port: int, *, as_json: bool, **options: Any) -> Exit:
    """Serve a simulated model over HTTP, in OpenAI's and Anthropic's formats, until Ctrl-C.

    The options are for requests that bring none of their own, in the header 'X-Simulate:
    rate=50,fault=stall@20:5s' or in the model's name. Any key and any model's name will do.
    """
    console = Console(as_json=as_json)
    # There is nothing here that keys could protect.
    settings = {"host": host, "port": port, "shutdown_grace": 0, "auth.delegated": True, "log.level": "warning"}
    config = load_config(None, {}, settings)
    configure_logging(config.log)
    app = simulate_app({name: value for name, value in options.items() if value is not None})
    app.state.readiness = Readiness()
    run_server(serve(app, config, drain=_nothing_to_drain, on_ready=partial(_announce, console)))
    return Exit.OK


async def _nothing_to_drain() -> None:
    """Answers here are nobody's only copy."""


def _announce(console: Console, url: str) -> None:
    if console.as_json:
        console.document({"url": url, "openai_base_url": f"{url}/v1", "anthropic_base_url": url})
        return
    console.line(f"simulated model on {url}")
    console.line(f"\n  OPENAI_BASE_URL={url}/v1\n  ANTHROPIC_BASE_URL={url}")
    console.line("\nCtrl-C ends it.")
