"""Tables as Markdown: cells with their range, and numbered notes for what is missing or to be read with care."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.results import Key, Results
from harness.stats import Figure

NOTHING = "–"
CLIENT_BOUND = 0.95
"""Share of the client's core above which a figure may be the harness's own limit."""


def plain(value: float) -> str:
    """About three significant digits: 0.118, 4.31, 98.4, 1,235."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{3 if abs(value) < 1 else digits}f}"


def ranged(figure: Figure, show: Callable[[float], str] = plain) -> str:
    """The median, and the range when there were several rounds."""
    if figure.rounds == 1 or show(figure.low) == show(figure.high):
        return show(figure.median)
    return f"{show(figure.median)} ({show(figure.low)}–{show(figure.high)})"


def times(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f} ×" if value < 10 else f"{value:,.0f} ×"


class Table:
    """Rows of text under a head; notes below it."""

    def __init__(self, *head: str) -> None:
        self._head = head
        self._rows: list[tuple[str, ...]] = []
        self._notes: dict[str, int] = {}

    def row(self, *cells: str) -> None:
        if len(cells) != len(self._head):
            raise ValueError(f"{len(cells)} cells in a table of {len(self._head)} columns")
        self._rows.append(tuple(cell.replace("|", "\\|") for cell in cells))

    @property
    def empty(self) -> bool:
        return not self._rows

    def note(self, text: str) -> str:
        """A reference to a note; equal notes share a number."""
        return f"<sup>{self._notes.setdefault(text, len(self._notes) + 1)}</sup>"

    def figure(self, results: Results, key: Key, name: str, show: Callable[[float], str] = plain) -> str:
        """One value of one key, or why there is none."""
        found, worst = results.figure(key, name), results.worst(key)
        if found is None:
            return NOTHING if worst is None or not worst.reason else NOTHING + self.note(worst.reason)
        mark = self.note(worst.reason) if worst is not None and worst.reason else ""
        share = results.figure(key, "client_share")
        if share is not None and share.median > CLIENT_BOUND:
            mark += self.note("the client's core was full: the figure may be the harness's limit")
        return ranged(found, show) + mark

    def render(self) -> str:
        if self.empty:
            return "*Not measured in this run.*"
        lines = [_line(self._head), _line(["---"] + ["--:"] * (len(self._head) - 1)), *map(_line, self._rows)]
        notes = [f"<sup>{number}</sup> {text}" for text, number in self._notes.items()]
        return "\n".join(lines) + ("\n\n" + "<br>\n".join(notes) if notes else "")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
