"""`tokentape demo --script`: how the story is told in a terminal, and what becomes of its outcome."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any, Final

from tokentape.cli.audit import Finding
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit
from tokentape.cli.options import run
from tokentape.cli.story import Outcome, Story

TITLE_WIDTH: Final = 36
"""Columns for a step's title, where there is room for both beside each other."""
WIDE: Final = 100
MIN_COLUMNS: Final = 30
DIGEST_SHOWN: Final = 12
"""Characters of a digest that are shown; all of them are compared."""


def play_script(console: Console, folder: Path) -> Exit:
    """Plays the story, and tells it."""
    return conclude(console, run(Story(folder, _Teller(console).step).play()))


def conclude(console: Console, outcome: Outcome) -> Exit:
    """Shows how it ended; `FAILURE` when any watcher received anything else than what was recorded."""
    if console.as_json:
        console.document(_document(outcome))
    else:
        _compare(console, outcome)
    return Exit.OK if outcome.equal else Exit.FAILURE


class _Teller:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._count = 0
        self._columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE

    def step(self, title: str, detail: str) -> None:
        self._count += 1
        head = f"{self._count:2}  "
        if self._columns >= WIDE:
            lines = [f"{head}{title:<{TITLE_WIDTH}}{detail}"]
        else:
            indent = " " * len(head)
            width = max(self._columns - 1, MIN_COLUMNS)
            lines = [head + title, *textwrap.wrap(detail, width, initial_indent=indent, subsequent_indent=indent)]
        for line in lines:
            # With --json stdout is for the result alone.
            if self._console.as_json:
                self._console.note(line, dim=True)
            else:
                self._console.line(line)


def _compare(console: Console, outcome: Outcome) -> None:
    for run_id, tape in outcome.tapes.items():
        accounts = [account for account in outcome.accounts if account.run == run_id]
        console.line(f"\n{run_id}, {accounts[0].reason}")
        rows = [("the tape", tape), *((account.watcher, account.finding) for account in accounts)]
        console.table(("", "EVENTS", "LOST", "REPEATED", "SHA-256"), [_cells(*row) for row in rows])
    lost = sum(account.finding.lost for account in outcome.accounts)
    repeated = sum(account.finding.repeated for account in outcome.accounts)
    said = (
        "Equal: all {} watchers have the bytes of the tape"
        if outcome.equal
        else "NOT equal: of {} watchers some differ"
    )
    console.line(f"\n{said.format(len(outcome.accounts))}; lost {lost}, repeated {repeated}.")


def _cells(name: str, finding: Finding) -> tuple[str, ...]:
    counts = (str(finding.events), str(finding.lost), str(finding.repeated))
    return (name, *counts, finding.digest[:DIGEST_SHOWN])


def _document(outcome: Outcome) -> dict[str, Any]:
    return {
        "equal": outcome.equal,
        "tapes": [{"run": run_id, **_counts(finding)} for run_id, finding in outcome.tapes.items()],
        "watchers": [
            {
                "run": account.run,
                "watcher": account.watcher,
                "reason": account.reason,
                "connections": account.connections,
                **_counts(account.finding),
            }
            for account in outcome.accounts
        ],
    }


def _counts(finding: Finding) -> dict[str, Any]:
    return {
        "events": finding.events,
        "lost": finding.lost,
        "repeated": finding.repeated,
        "sha256": finding.digest,
    }
