"""Where everything lies, and on which core it runs."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.cores import Cores, Ports
from systems.system import Context, System, missing

NATIVE: Final = ("load", "floor", "upstream")
SETUP: Final = "run `make bench-setup` first"


@dataclass(frozen=True, kw_only=True)
class Place:
    """The checkout, its `.bench` folder, the cores and the ports."""

    root: Path
    cores: Cores
    ports: Ports = field(default_factory=Ports)

    @property
    def home(self) -> Path:
        return self.root / ".bench"

    @property
    def bin(self) -> Path:
        return self.home / "bin"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def node(self) -> Path:
        own = self.home / "node_modules" / ".bin" / "node"
        return own if own.exists() else Path(shutil.which("node") or own)

    def not_ready(self) -> str | None:
        """What is missing for any benchmark at all, and what to do about it."""
        if not self.home.is_dir():
            return f"there is no .bench folder: {SETUP}"
        absent = [name for name in NATIVE if not (self.bin / name).is_file()]
        return f"not built: {', '.join(absent)}: {SETUP}" if absent else None

    def workdir(self) -> Path:
        """A fresh folder; whoever asks for it removes it."""
        folder = self.home / "work"
        folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=folder))

    def context(self, *, port: int = 0, workdir: Path | None = None, upstream: str = "") -> Context:
        return Context(
            port=port,
            bin=self.bin,
            venv=self.home / "venv",
            node=self.node,
            node_modules=self.home / "node_modules",
            workdir=workdir or self.home,
            python=Path(sys.executable),
            upstream=upstream,
        )

    def unavailable(self, system: System) -> str | None:
        """Why a system cannot be measured here, or None."""
        absent = missing(system, self.context())
        return f"not installed: {', '.join(absent)} is missing" if absent else None

    def version(self, system: System) -> str:
        """What a system says of its version; one that cannot say is measured nevertheless."""
        try:
            return system.version(self.context()).strip()
        except Exception as error:  # noqa: BLE001  any failure of somebody else's program
            return f"unknown ({type(error).__name__})"
