"""Where a command prints: results on stdout, everything about their making on stderr."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from typing import Any, Final, Literal, TextIO

import click
import msgspec

Colour = Literal["red", "green", "yellow", "blue", "cyan", "magenta"]

_UNSAFE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What could move the cursor, change the terminal or reverse the text: C0 but tab and newline, C1, bidi controls."""


def printable(text: str) -> str:
    """Text from elsewhere, safe for a terminal."""
    return _UNSAFE.sub("\ufffd", text)


class Console:
    """The two outputs of a command. With `as_json` stdout is for machines, and bears JSON only."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        self._mid_line = False

    # stdout

    def document(self, value: Any) -> None:
        """One JSON document: a line for each, so that several can be told apart."""
        self.raw(msgspec.json.encode(value))

    def raw(self, line: bytes) -> None:
        """A line of bytes that are JSON already."""
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()

    def text(self, text: str) -> None:
        """A piece of running text, as it comes."""
        if text:
            sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
            sys.stdout.flush()
            self._mid_line = not text.endswith("\n")

    def line(self, text: str) -> None:
        """One line of text of its own."""
        self.end_line()
        self.text(text + "\n")

    def end_line(self) -> None:
        """Begins a new line, when the running text has not."""
        if self._mid_line:
            self.text("\n")

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Aligned columns; on a terminal the last one is cut at its edge."""
        widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
        edge = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for row in (heads, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.text(fit("  ".join(cells).rstrip(), edge) + "\n")

    # stderr

    def note(self, text: str, *, colour: Colour | None = None, dim: bool = False, bold: bool = False) -> None:
        """One line about what is going on."""
        self._break(sys.stdout)
        self._say(text + "\n", colour=colour, dim=dim, bold=bold)

    def aside(self, text: str) -> None:
        """Running text that is not the result, such as a model's reasoning."""
        self._say(text, dim=True)

    def error(self, text: str, hint: str = "") -> None:
        """What went wrong, and the way out."""
        self._break(sys.stdout)
        self._say("error: ", colour="red", bold=True)
        self._say(f"{text} {hint}".rstrip() + "\n")

    def _break(self, stream: TextIO) -> None:
        # On one terminal both outputs share the line; in a file each has its own.
        if self._mid_line and stream.isatty() and sys.stderr.isatty():
            self.end_line()

    def _say(self, text: str, *, colour: Colour | None = None, dim: bool = False, bold: bool = False) -> None:
        safe = printable(text) if sys.stderr.isatty() else text
        if self._colour and (colour or dim or bold):
            safe = click.style(safe, fg=colour, dim=dim or None, bold=bold or None)
        sys.stderr.write(safe)
        sys.stderr.flush()


def fit(text: str, columns: int | None) -> str:
    """Text cut to so many columns, with an ellipsis; None means without an edge."""
    if columns is None or len(text) <= columns:
        return text
    return text[: max(columns - 1, 0)] + "…"
