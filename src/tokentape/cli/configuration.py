"""Where a command's configuration comes from: a file, the environment, the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import click
import msgspec

from tokentape.core.errors import SetupError
from tokentape.server.config import ServerConfig, load_config

DEFAULT_FILE = Path("tokentape.toml")

config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration; without it tokentape.toml in this folder, if there is one.",
)


def read_config(file: Path | None, **overrides: Any) -> ServerConfig:
    """Reads it; `overrides` go before everything else, those that are None excepted. Raises `SetupError`."""
    chosen = file if file is not None else DEFAULT_FILE
    try:
        toml = chosen.read_bytes()
    except FileNotFoundError:
        if file is not None:
            raise SetupError(f"There is no {file}. Leave --config out to do without a file.") from None
        toml = None
    except OSError as error:
        raise SetupError(f"{chosen} cannot be read: {error.strerror}.") from None
    return load_config(toml, os.environ, overrides)


def sqlite_url(file: Path) -> str:
    """The store in this file, whatever its path looks like."""
    return f"sqlite:///{quote(str(file.absolute()))}"


def with_durability(config: ServerConfig, durability: str | None) -> ServerConfig:
    """The same with another durability of its SQLite file; raises `SetupError` for another kind of store."""
    if durability is None:
        return config
    parts = urlsplit(config.store)
    if parts.scheme != "sqlite":
        raise SetupError(f"--durability is for a SQLite file, and the store is a {parts.scheme or 'nameless'}:// one.")
    query = {**dict(parse_qsl(parts.query, keep_blank_values=True)), "durability": durability}
    # Not by urlunsplit: what it makes of an empty host and a path of two slashes depends on the version of Python.
    return msgspec.structs.replace(config, store=f"sqlite://{parts.netloc}{parts.path}?{urlencode(query)}")
