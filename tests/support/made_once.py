"""Folders that are made for tests, and stay until something that goes into them changes."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
GENERATED: Final = ROOT / ".venv" / "made"
"""For those that have no place of their own."""

_NOT_READ: Final = {"node_modules", "dist", ".next", "next-env.d.ts", "tsconfig.tsbuildinfo"}


def made(output: Path, inputs: tuple[Path, ...], make: Callable[[], None]) -> None:
    """Calls `make`, which fills `output`, unless it has done so from these files and folders.

    Several processes may ask at once: one makes it, and the others wait.
    """
    GENERATED.mkdir(parents=True, exist_ok=True)
    stamp = output / "inputs"
    with (GENERATED / f"{output.parent.name}-{output.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        digest = _digest(inputs)
        if not stamp.exists() or stamp.read_text() != digest:
            make()
            stamp.write_text(digest)


def _digest(inputs: tuple[Path, ...]) -> str:
    whole = hashlib.sha256()
    for path in inputs:
        for file in _files(path):
            whole.update(f"{file}\0".encode() + file.read_bytes() + b"\0")
    return whole.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(set(folders) - _NOT_READ)
        yield from (Path(folder, name) for name in sorted(set(names) - _NOT_READ))
