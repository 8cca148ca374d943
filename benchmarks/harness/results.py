"""What came out: one cell per measurement, kept raw, and the medians over the rounds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from harness.stats import Figure, figure

FORMAT: Final = 1

Status = Literal["ok", "saturated", "failed", "skipped"]
"""saturated: the system did all of it, later than it was asked to. Its CPU per event counts, its latency is a queue."""


@dataclass(frozen=True, kw_only=True, order=True)
class Key:
    """What was measured; the rounds of one key are rounds of the same thing."""

    workload: str
    """`fanout`, `turns`, `proxy`, `idle`, `connect`, `storm`, `stalled`, `store`, `dialect`; `noise` is the check."""
    system: str
    watchers: int = 0
    """Of proxies: the streams, each with one watcher."""
    rate: int = 0
    """Events per second and stream; 0 is as fast as it goes."""
    variant: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measurement in one round."""

    key: Key
    round: int
    status: Status = "ok"
    reason: str = ""
    """Why there are no values, or why they are to be read with care."""
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Described:
    """A system as the tables name it."""

    label: str
    kind: str
    transport: str
    per_message: bool
    version: str = ""
    unavailable: str = ""
    """Why it was not measured; empty when it was."""


@dataclass(kw_only=True)
class Results:
    """A whole run."""

    mode: str
    """`full`, `quick` or `partial`: only the first is what the acceptance speaks of."""
    machine: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0
    interrupted: bool = False
    systems: dict[str, Described] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)

    def measured(self, key: Key) -> list[Cell]:
        """The rounds of one key that have values."""
        return [cell for cell in self.cells if cell.key == key and cell.values]

    def figure(self, key: Key, name: str) -> Figure | None:
        """The median of one value over the rounds, or None when it was never measured."""
        values = [cell.values[name] for cell in self.measured(key) if name in cell.values]
        return figure(values) if values else None

    def worst(self, key: Key) -> Cell | None:
        """The cell that says most of what went wrong with one key: failed before skipped before saturated."""
        order = {"failed": 0, "skipped": 1, "saturated": 2, "ok": 3}
        return min((cell for cell in self.cells if cell.key == key), key=lambda cell: order[cell.status], default=None)

    def keys(self, workload: str) -> list[Key]:
        """The keys of one workload, in the order in which they first came."""
        return list(dict.fromkeys(cell.key for cell in self.cells if cell.key.workload == workload))

    def total(self, names: Iterable[str], *, of: Iterable[str]) -> float:
        """The sum of values over all cells of some systems: gaps, duplicates."""
        wanted, systems = tuple(names), set(of)
        return sum(cell.values.get(name, 0) for cell in self.cells if cell.key.system in systems for name in wanted)


def to_json(results: Results) -> dict[str, Any]:
    """Raw rounds and their summary, which is there for readers: reading takes the rounds alone."""
    return {
        "format": FORMAT,
        "mode": results.mode,
        "interrupted": results.interrupted,
        "started": results.started,
        "seconds": round(results.seconds, 1),
        "machine": results.machine,
        "systems": {name: asdict(described) for name, described in results.systems.items()},
        "summary": list(_summary(results)),
        "rounds": [_cell_to_json(cell) for cell in results.cells],
    }


def from_json(value: Mapping[str, Any]) -> Results:
    """What `to_json` made; a file of another format is refused."""
    if value.get("format") != FORMAT:
        raise ValueError(f"results of format {value.get('format')!r}; this harness reads {FORMAT}")
    return Results(
        mode=value["mode"],
        interrupted=value["interrupted"],
        started=value["started"],
        seconds=value["seconds"],
        machine=value["machine"],
        systems={name: Described(**described) for name, described in value["systems"].items()},
        cells=[
            Cell(
                key=Key(**cell["key"]),
                round=cell["round"],
                status=cell["status"],
                reason=cell["reason"],
                values=cell["values"],
            )
            for cell in value["rounds"]
        ],
    )


def save(results: Results, path: Path) -> None:
    """Writes the file in one step: whoever reads it meanwhile sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(_text(to_json(results)), "utf-8")
    part.replace(path)


def load(path: Path) -> Results:
    return from_json(json.loads(path.read_text("utf-8")))


def _text(value: dict[str, Any]) -> str:
    """JSON with one line per round: a run can be compared with another by eye and by diff."""
    lines = []
    for name, part in value.items():
        if isinstance(part, list):
            rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in part)
            lines.append(f'"{name}": [\n{rows}\n ]')
        else:
            lines.append(f'"{name}": {json.dumps(part, ensure_ascii=False, indent=2)}'.replace("\n", "\n "))
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def _cell_to_json(cell: Cell) -> dict[str, Any]:
    values = {name: rounded(value) for name, value in cell.values.items()}
    return {
        "key": asdict(cell.key),
        "round": cell.round,
        "status": cell.status,
        "reason": cell.reason,
        "values": values,
    }


def _summary(results: Results) -> Iterator[dict[str, Any]]:
    for key in dict.fromkeys(cell.key for cell in results.cells):
        cells = results.measured(key)
        names = dict.fromkeys(name for cell in cells for name in cell.values)
        worst = results.worst(key)
        assert worst is not None
        yield {
            "key": asdict(key),
            "status": worst.status,
            "reason": worst.reason,
            "values": {
                name: {part: rounded(value) for part, value in found.to_json().items()}
                for name in names
                if (found := results.figure(key, name)) is not None
            },
        }


def rounded(value: float) -> float:
    """Five significant digits: more of them would be noise."""
    return value if isinstance(value, int) or value == int(value) else float(f"{value:.5g}")
