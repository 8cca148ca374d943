"""Builds the examples that need it: once, until something that goes into them changes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node import node

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples"
PACKAGES: Final = EXAMPLES / "node_modules"
CLIENT: Final = ROOT / "clients" / "typescript" / "dist"

_VITE: Final = ("typescript/bin/tsc", ""), ("vite/bin/vite.js", "build")
_NEXT: Final = (("next/dist/bin/next", "build"),)
_NOT_BUILT: Final = {"node_modules", "dist", ".next", "next-env.d.ts", "tsconfig.tsbuildinfo", "README.md"}
SETTINGS: Final = {"NEXT_TELEMETRY_DISABLED": "1", "NO_COLOR": "1"}


def built(example: str) -> Path:
    """The folder of an example, after its build; fails with what the build says. Several processes may ask at once."""
    assert (CLIENT / "index.js").exists(), "The TypeScript client is not built: run make typescript (make test does)."
    assert PACKAGES.exists(), "The packages of the examples are not installed: run make node-packages (make test does)."
    folder = EXAMPLES / example
    is_next = (folder / "next.config.ts").exists()
    output = folder / (".next" if is_next else "dist")
    stamp = output / "inputs"
    with (PACKAGES / f".{example}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        inputs = _inputs(folder)
        if not stamp.exists() or stamp.read_text() != inputs:
            for program, command in _NEXT if is_next else _VITE:
                run_node(folder, program, command)
            stamp.write_text(inputs)
    return folder


def _inputs(folder: Path) -> str:
    """A digest of all that the build reads."""
    digest = hashlib.sha256((EXAMPLES / "package-lock.json").read_bytes())
    for path in (*_files(folder), *_files(CLIENT)):
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _NOT_BUILT:
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def run_node(folder: Path, program: str, command: str) -> None:
    """Runs a program of the packages in a folder; fails with what it says."""
    done = subprocess.run(
        [node(), PACKAGES / program, *command.split()],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", ""), **SETTINGS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{program} {command} in {folder.name}:\n{done.stdout}\n{done.stderr}"
