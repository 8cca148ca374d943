"""The npm package as it is published: packed once for all tests, and installed where one wants to use it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from made_once import GENERATED, ROOT, made

PACKAGE: Final = ROOT / "clients" / "typescript"
CLIENT: Final = PACKAGE / "dist"

_PACKED: Final = GENERATED / "tarball"


def published() -> tuple[Path, ...]:
    """What goes into the package; fails when it is not built."""
    assert (CLIENT / "index.js").exists(), "The TypeScript client is not built: run make typescript (make test does)."
    return (CLIENT, *(PACKAGE / name for name in ("package.json", "README.md", "LICENSE")))


def install(folder: Path) -> None:
    """Puts what the tarball holds into the `node_modules` of a folder, as npm does."""
    made(_PACKED, published(), _pack)
    [tarball] = _PACKED.glob("*.tgz")
    unpacked = folder / "unpacked"
    with tarfile.open(tarball) as archive:
        archive.extractall(unpacked, filter="data")
    (folder / "node_modules").mkdir(exist_ok=True)
    (unpacked / "package").rename(folder / "node_modules" / "tokentape")
    unpacked.rmdir()


def _pack() -> None:
    shutil.rmtree(_PACKED, ignore_errors=True)
    _PACKED.mkdir()
    # Where the system has no npm, one came with Python's packages.
    path = subprocess.run(ROOT / "scripts" / "nodejs", capture_output=True, text=True, check=True).stdout.strip()
    command = ("npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(_PACKED))
    done = subprocess.run(
        command, cwd=PACKAGE, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"npm pack failed: {done.stderr}"
