"""Options that several commands share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import click

from tokentape.cli.invocation import DEFAULT_URL

P = ParamSpec("P")
T = TypeVar("T")

Command = Callable[..., Any]


def json_option(what: str) -> Callable[[Command], Command]:
    """`--json`; `what` says what it prints."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} on stdout.")


url_option = click.option(
    "--url", envvar="TOKENTAPE_URL", default=DEFAULT_URL, show_default=True, show_envvar=True, help="The server."
)

transport_option = click.option(
    "--transport",
    type=click.Choice(["sse", "ws", "poll"]),
    default="sse",
    show_default=True,
    help="How events come: Server-Sent Events, WebSocket or long-poll.",
)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Carries out an asynchronous command; the first Ctrl-C cancels it, and becomes `KeyboardInterrupt`."""
    return asyncio.run(work)
