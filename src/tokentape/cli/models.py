"""`tokentape models`: which models are configured."""

from __future__ import annotations

from pathlib import Path

import click

from tokentape.cli.configuration import config_option, read_config
from tokentape.cli.connecting import connect
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit
from tokentape.cli.options import json_option, run
from tokentape.client import Model
from tokentape.providers.catalog import Catalog


@click.command()
@config_option
@click.option("--url", help="Ask this server; without it the configuration here is read.")
@json_option("a list as one JSON document")
def models(file: Path | None, url: str | None, *, as_json: bool) -> Exit:
    """List the configured models: those of tokentape.toml and the environment, or of a server.

    A running server is asked only with --url: so this also tells what a server started here would have.
    """
    console = Console(as_json=as_json)
    found = run(_of_server(url)) if url is not None else run(_configured(file))
    if console.as_json:
        console.document(found)
    else:
        rows = [("*" if model.default else "", model.name, model.provider, model.model) for model in found]
        console.table(("", "MODEL", "PROVIDER", "ITS NAME THERE"), rows)
    return Exit.OK


async def _of_server(url: str) -> list[Model]:
    async with connect(url) as client:
        return await client.models()


async def _configured(file: Path | None) -> list[Model]:
    catalog = Catalog(read_config(file).providers)
    try:
        return [
            Model(name=info.name, provider=info.provider, model=info.model, default=info.default)
            for info in catalog.models()
        ]
    finally:
        await catalog.aclose()
