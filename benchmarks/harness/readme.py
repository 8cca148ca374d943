"""The README: text by hand, and generated parts between markers; and the drawing of the plots."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from harness import acceptance, tables
from harness.child import environment
from harness.results import Results

MARKED: Final = re.compile(r"(<!-- begin: ([a-z0-9-]+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)
DRAW_SECONDS: Final = 120


def filled(text: str, results: Results) -> str:
    """The text with every generated part made anew; a marker that nothing is made for is an error."""

    def part(match: re.Match[str]) -> str:
        name = match[2]
        if name not in tables.PARTS:
            raise ValueError(f"no part {name!r}; there are: {', '.join(tables.PARTS)}")
        return f"{match[1]}{tables.PARTS[name](results)}\n{match[3]}"

    return MARKED.sub(part, text)


def write(results: Results, path: Path, *, template: Path) -> None:
    path.write_text(filled(template.read_text("utf-8"), results), "utf-8")


def verdict(results: Results) -> str:
    """For the terminal: what is required, line by line, and what could not be measured."""
    lines = [f"{line.verdict:12}  ({line.workload}) {line.text}: {line.measured}" for line in acceptance.lines(results)]
    failed = {
        f"failed        {cell.key.workload} {cell.key.system}: {cell.reason}"
        for cell in results.cells
        if cell.status == "failed"
    }
    absent = [f"not measured  {name}: {each.unavailable}" for name, each in results.systems.items() if each.unavailable]
    return "\n".join(["", *lines, *absent, *sorted(failed)])


def draw(folder: Path, python: Path) -> str:
    """Draws the plots of the results in a folder, with whichever Python has matplotlib: this one or the benchmarks'."""
    interpreter = Path(sys.executable) if importlib.util.find_spec("matplotlib") else python
    command = [str(interpreter), "-m", "harness.plots", str(folder.resolve())]
    benchmarks = Path(__file__).resolve().parent.parent
    advice = "no plots: matplotlib is missing; `make bench-setup` installs it, then: make bench ARGS=--report"
    if not interpreter.exists():
        return advice
    done = subprocess.run(
        command, cwd=benchmarks, env=environment(), capture_output=True, text=True, timeout=DRAW_SECONDS, check=False
    )
    if done.returncode:
        return advice if "No module named 'matplotlib'" in done.stderr else f"no plots: {done.stderr.strip()[-500:]}"
    return done.stdout.strip()
