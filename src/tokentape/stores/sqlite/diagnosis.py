"""What an operator should know of the file and its disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import apsw

from tokentape.core.findings import Finding
from tokentape.stores.sqlite.database import Durability

LITTLE_SPACE: Final = 1 << 30
"""Bytes on the disk below which it is time to look after it."""
_REMOTE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs"})
"""File systems over a network: a write-ahead log needs memory that all its users share."""
_MOUNTS: Final = Path("/proc/self/mounts")


def diagnose(path: Path, durability: Durability) -> list[Finding]:
    """The findings, best of an open store."""
    place = path.absolute().parent
    size, free = path.stat().st_size, shutil.disk_usage(place).free
    survives = "a loss of power" if durability == "full" else "a crash of the process, but not a loss of power"
    found = [
        Finding(
            "store", "ok", f"SQLite {apsw.sqlite_lib_version()}, {_human(size)}; what is accepted survives {survives}."
        )
    ]
    if free < LITTLE_SPACE:
        found.append(
            Finding("disk", "warning", f"{_human(free)} are free in {place}.", "Make room, or bound `retention`.")
        )
    if (system := file_system(place, _mounts())) in _REMOTE:
        found.append(
            Finding(
                "disk", "failure", f"{place} is on {system}, where SQLite can lose data.", "Use a local disk, or Redis."
            )
        )
    return found


def file_system(place: Path, mounts: str) -> str:
    """The kind of the file system that a folder is on, by the lines of /proc/mounts; empty when they do not tell."""
    best, kind = Path(), ""
    for line in mounts.splitlines():
        words = line.split()
        where = Path(words[1].replace("\\040", " ")) if len(words) > 2 else Path()
        if place.is_relative_to(where) and len(where.parts) >= len(best.parts):
            best, kind = where, words[2]
    return kind


def _mounts() -> str:
    try:
        return _MOUNTS.read_text()
    except OSError:
        return ""


def _human(size: int) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:,} {unit}"
        size //= 1024
    raise AssertionError
