"""What the harness knows of a system under test: how to start it, how to reach it, what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where a system is started, and with what."""

    port: int
    bin: Path
    """Native programs: `.bench/bin`."""
    venv: Path
    """The peers' Python environment: `.bench/venv`."""
    node: Path
    """The Node.js to run."""
    node_modules: Path
    workdir: Path
    """A fresh folder: databases, generated configuration."""
    python: Path
    """The project's own Python, with tokentape in it."""
    upstream: str = ""
    """Of proxies: the provider's origin, such as `http://127.0.0.1:9000`, without a path."""

    @property
    def home(self) -> Path:
        """The folder that `make bench-setup` fills."""
        return self.bin.parent


Command = Callable[[Context], list[str]]


@dataclass(frozen=True, kw_only=True)
class System:
    """One system under test. Commands are argument vectors; every path in them is absolute."""

    name: str
    label: str
    """As the tables call it."""
    kind: Literal["fanout", "proxy"]
    transport: Literal["sse", "ws"]
    command: Command
    """The server: prints `{"ready": true, "port": P, "pid": N}`, then obeys its stdin. What counts as its CPU and
    memory is process N with all its children: a launcher beside it (nginx, NATS) is none of it."""
    path: str
    """What a watcher asks for; of a proxy: what is POSTed to."""
    hello: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    """`Name: value`, of a watcher's request."""
    subprotocol: str | None = None
    engineio: bool = False
    hello_binary: bool = False
    publisher: Command | None = None
    """The program that feeds a system which cannot make events itself, on the client's core. It obeys the commands of
    `load publish`: `start RATE COUNT` → `{"ok":true}`, `done SECONDS` → `{"published":N,"seconds":S}`, `quit`."""
    resume: Literal["last-event-id", "durable"] | None = None
    requires: tuple[str, ...] = ()
    """Files that must exist, relative to `.bench`; else the system is reported as not installed."""
    per_message: bool = True
    """Whether each event is a write of its own; what merges is compared with what merges."""
    body: bytes = b""
    """Of a proxy: what is POSTed."""
    version: Callable[[Context], str] = field(default=lambda _context: "")


def missing(system: System, context: Context) -> list[str]:
    """The files that a system needs and that are not there; with one missing it is not installed."""
    return [name for name in system.requires if not (context.home / name).exists()]
