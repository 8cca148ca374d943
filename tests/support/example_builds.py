"""Builds the examples that need it: once, until something that goes into them changes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from made_once import GENERATED, ROOT, made
from node import node
from npm_tarball import install, published

EXAMPLES: Final = ROOT / "examples"
PACKAGES: Final = EXAMPLES / "node_modules"
SETTINGS: Final = {"NEXT_TELEMETRY_DISABLED": "1", "NO_COLOR": "1"}


def built(example: str) -> Path:
    """The folder of an example, after its build by Vite; fails with what the build says."""
    folder = EXAMPLES / example

    def build() -> None:
        run_node(folder, "typescript/bin/tsc", "")
        run_node(folder, "vite/bin/vite.js", "build")

    made(folder / "dist", _inputs(folder), build)
    return folder


def built_from_tarball(example: str) -> Path:
    """A copy of an example for Next.js, after its build: with `tokentape` from its tarball, elsewhere it is a link."""
    folder = GENERATED / example

    def build() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        # Its configuration is for the link.
        shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns(".next", "next.config.ts"))
        # Real folders, since a bundler follows no link out of the application; but the files need no room.
        shutil.copytree(PACKAGES, folder / "node_modules", symlinks=True, ignore=_links, copy_function=os.link)
        install(folder)
        run_node(folder, "next/dist/bin/next", "build")

    made(folder / ".next", _inputs(EXAMPLES / example), build)
    return folder


def _inputs(folder: Path) -> tuple[Path, ...]:
    assert PACKAGES.exists(), "The packages of the examples are not installed: run make node-packages (make test does)."
    return (EXAMPLES / "package-lock.json", folder, *published())


def _links(folder: str, names: list[str]) -> list[str]:
    """The packages that are links into this repository."""
    return [name for name in names if Path(folder) == PACKAGES and Path(folder, name).is_symlink()]


def run_node(folder: Path, program: str, command: str) -> None:
    """Runs a program of the packages in a folder; fails with what it says."""
    packages = folder / "node_modules"
    done = subprocess.run(
        [node(), (packages if packages.exists() else PACKAGES) / program, *command.split()],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", ""), **SETTINGS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{program} {command} in {folder.name}:\n{done.stdout}\n{done.stderr}"
