"""What this machine allows a server: connections, descriptors, the event loop."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from tokentape.core.findings import Finding
from tokentape.server.accept import RESERVE
from tokentape.server.config import ServerConfig
from tokentape.server.serve import BACKLOG
from tokentape.server.uring import Ring

_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


def examine_machine(config: ServerConfig) -> list[Finding]:
    """What holds for a server that is started here, as this user, with this configuration."""
    return [_descriptors(config), *_backlog(), _loop(), *_ring(config)]


def _descriptors(config: ServerConfig) -> Finding:
    if sys.platform == "win32":
        return Finding("descriptors", "warning", "This system is not one that tokentape is tested on.", "Use Linux.")
    import resource  # noqa: PLC0415 - not on every system

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.limits.connections + RESERVE
    shown = f"{soft:,} open files, for {config.limits.connections:,} connections (`limits.connections`)"
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        return Finding("descriptors", "ok", f"{shown}; `serve` raises the limit as far as it has to.")
    return Finding(
        "descriptors",
        "warning",
        f"{shown}, and at most {hard:,}: connections beyond that are refused with 429.",
        f"Allow {wanted:,}: `LimitNOFILE={wanted}` (systemd), `--ulimit nofile={wanted}` (Docker).",
    )


def _backlog() -> list[Finding]:
    try:
        length = int(_SOMAXCONN.read_text())
    except (OSError, ValueError):
        return []
    if length >= BACKLOG:
        return [Finding("backlog", "ok", f"{length:,} connections may wait to be accepted.")]
    return [
        Finding(
            "backlog",
            "warning",
            f"Only {length:,} connections may wait to be accepted: of a burst the others try again after a second.",
            f"Set the sysctl net.core.somaxconn to {BACKLOG} or more.",
        )
    ]


def _loop() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if importlib.util.find_spec("uvloop") is not None:
        return Finding("event loop", "ok", f"uvloop, on Python {version}.")
    return Finding(
        "event loop", "warning", f"asyncio's own, on Python {version}: about half as fast.", "pip install uvloop"
    )


def _ring(config: ServerConfig) -> list[Finding]:
    if not config.io_uring:
        return [Finding("io_uring", "ok", "Switched off (`io_uring = false`): one system call for each write.")]
    try:
        Ring().close()
    except OSError as error:
        # Nothing is wrong with that: most containers have it so.
        return [Finding("io_uring", "ok", f"Not to be had here ({error.strerror}): one system call for each write.")]
    return [Finding("io_uring", "ok", "A hundred writes are one system call.")]
