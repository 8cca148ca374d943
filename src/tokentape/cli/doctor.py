"""`tokentape doctor`: look for what stands in the way of a deployment."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from tokentape.cli.configuration import config_option, read_config
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit
from tokentape.cli.options import json_option, run
from tokentape.core.findings import Finding, Verdict
from tokentape.doctor import examine_machine, examine_setup, examine_store, judge, probe
from tokentape.server.config import ServerConfig

SILENCE: Final = 30.0
"""Seconds: longer than three heartbeats."""
WIDTH: Final = 96
"""Characters of a line, beside what it is about."""
_SIGNS: Final[dict[Verdict, str]] = {"ok": "ok", "warning": "warn", "failure": "FAIL"}


@click.command()
@click.option("--url", help="Try this public address, too, with the token of TOKENTAPE_TOKEN.")
@click.option(
    "--silence",
    type=click.FloatRange(0, 3600),
    default=SILENCE,
    show_default=True,
    help="Seconds without an event that connections through --url have to survive.",
)
@click.option("--store", metavar="URL", help="Examine this store instead of the configured one.")
@click.option("--only-url", is_flag=True, help="Leave out what concerns this machine: for a look from outside.")
@config_option
@json_option("one document with all findings")
def doctor(
    url: str | None, silence: float, store: str | None, file: Path | None, *, only_url: bool, as_json: bool
) -> Exit:
    """Look for what stands in the way of a deployment, and name the setting to change.

    Examines the configuration, this machine and the store. With --url it sends events through that address
    and whatever proxies stand before it, over SSE and WebSocket: are they buffered, compressed, cut?

    Exits with 1 when something does not work; warnings are no failure.
    """
    if only_url and url is None:
        raise click.UsageError("--only-url needs --url.")
    console = Console(as_json=as_json)
    findings: list[Finding] = []

    def show(found: list[Finding]) -> None:
        findings.extend(found)
        if not as_json:
            for finding in found:
                _tell(console, finding)

    if not only_url:
        run(_examine(read_config(file, store=store), show))
    if url is not None:
        run(_try(url, silence, console, show))
    if as_json:
        console.document({"findings": findings})
    failures, warnings = (sum(each.verdict == kind for each in findings) for kind in ("failure", "warning"))
    console.note(f"{len(findings)} findings: {failures} failed, {warnings} to look after", bold=True)
    return Exit.FAILURE if failures else Exit.OK


async def _examine(config: ServerConfig, show: Callable[[list[Finding]], None]) -> None:
    show(examine_setup(config))
    show(examine_machine(config))
    show(await examine_store(config.store))


async def _try(url: str, silence: float, console: Console, show: Callable[[list[Finding]], None]) -> None:
    def progress(text: str) -> None:
        console.note(f"  … {text}", dim=True)

    token = os.environ.get("TOKENTAPE_TOKEN") or None
    show(judge(await probe(url, token, silence=silence, progress=progress)))


def _tell(console: Console, finding: Finding) -> None:
    lines = textwrap.wrap(finding.found, WIDTH, break_on_hyphens=False)
    if finding.advice:
        lines += textwrap.wrap(f"→ {finding.advice}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    heads = [f"{_SIGNS[finding.verdict]:4}  {finding.subject:18}", *[" " * 24] * (len(lines) - 1)]
    for head, line in zip(heads, lines, strict=True):
        console.line(f"{head}  {line}")
