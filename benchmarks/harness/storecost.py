"""What an append costs: `benchmarks/store.py` as a program of its own, on the server's core."""

from __future__ import annotations

import shutil
import sys
from typing import Final

from harness.child import Child, ChildError
from harness.drive import number
from harness.place import Place
from harness.results import Cell, Key

LIMIT_SECONDS: Final = 120
FIGURES: Final = ("wall_us", "cpu_us", "p50_ms", "p99_ms")
LINES: Final = 6
"""Two stores at three sizes of a batch."""


def measure(place: Place, *, events: int) -> list[Cell]:
    """Both stores at batches of one, a hundred and a thousand appends."""
    workdir = place.workdir()
    script = place.root / "benchmarks" / "store.py"
    command = [sys.executable, str(script), "--json", "--events", str(events), "--dir", str(workdir)]
    cells = []
    try:
        with Child("store.py", command, core=place.cores.server, log=place.logs / "store.log") as child:
            for _ in range(LINES):
                answer = child.answer(seconds=LIMIT_SECONDS, what="the next figure", key="store")
                key = Key(workload="store", system=str(answer["store"]), variant=f"batches of {answer['batch']}")
                cells.append(Cell(key=key, round=0, values={name: number(answer, name) for name in FIGURES}))
    except ChildError as error:
        key = Key(workload="store", system="store", variant="all")
        cells.append(Cell(key=key, round=0, status="failed", reason=str(error)))
    finally:
        shutil.rmtree(workdir, ignore_errors=True)
    return cells
